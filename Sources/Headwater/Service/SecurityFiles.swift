import HTTPFetch
import MQTTModel
import Security
import TLS
import Transport

/// Reads what the listeners' configuration names and compiles it. Nothing is in force before everything is read.
struct SecurityFiles {
    /// What was read, and what is to be known about it.
    struct Loaded: Sendable {
        let security: [ListenerSecurity]
        let certificates: [CertificateFact]
        /// Not faults, but worth a line in the log.
        let warnings: [String]
    }

    struct CertificateFact: Sendable {
        let listener: String
        let file: String
        let notAfterSeconds: Int64
    }

    /// Everything that is wrong, one line each.
    struct Faults: Error, CustomStringConvertible {
        let lines: [String]
        var description: String { lines.joined(separator: "\n") }
    }

    /// What outlives a reload, by listener.
    struct LastingParts: Sendable {
        /// Fetched key sets.
        let keySources: [Int: JWKSource]
        let ticketKeys: [Int: TicketKeyring]

        /// Seconds since 1970.
        static var now: Int64 { MessageClock.now.unixMilliseconds / 1000 }

        /// - Throws: A key file of tickets that can't be used.
        init(_ configuration: BrokerConfiguration) throws {
            var keySources: [Int: JWKSource] = [:]
            var ticketKeys: [Int: TicketKeyring] = [:]
            for (index, listener) in configuration.listeners.enumerated() {
                if let jwt = listener.jwt, let url = jwt.jwksURL {
                    // Whoever is on the way could put keys of his own in place, except within this machine.
                    let isHere = ["http://127.0.0.1", "http://localhost", "http://[::1]"].contains { url.hasPrefix($0) }
                    let fetch = try HTTPFetch(HTTPFetch.Options(url: url, caFile: jwt.jwksCAFile, allowsPlain: isHere))
                    keySources[index] = JWKSource(refreshMilliseconds: Int64(jwt.jwksRefreshSeconds) * 1000, fetch: { try await fetch.get() })
                }
                if let tls = listener.tls {
                    ticketKeys[index] = try TicketKeyring(
                        file: tls.ticketKeyFile, rotationSeconds: Int64(tls.ticketKeySeconds),
                        lifetimeSeconds: Int64(TLSServerConfiguration(name: "").sessionLifetimeSeconds), nowSeconds: Self.now)
                }
            }
            self.keySources = keySources
            self.ticketKeys = ticketKeys
        }
    }

    private let configuration: BrokerConfiguration
    private let parts: LastingParts
    private var faults: [String] = []
    private var warnings: [String] = []
    private var certificates: [CertificateFact] = []
    /// The same file is read once for all listeners that name it.
    private var policies: [String: ACLPolicy?] = [:]
    private var passwordTables: [String: PasswordTable?] = [:]

    init(_ configuration: BrokerConfiguration, _ parts: LastingParts) {
        self.configuration = configuration
        self.parts = parts
    }

    /// Files and directories that are read: those that are watched.
    static func paths(of configuration: BrokerConfiguration) -> [String] {
        var paths: Set<String> = []
        for listener in configuration.listeners {
            paths.formUnion([listener.passwordFile, listener.aclFile].compactMap { $0 })
            if let jwt = listener.jwt { paths.formUnion(jwt.keyFiles) }
            guard let tls = listener.tls else { continue }
            for pair in tls.certificates { paths.formUnion([pair.chainFile, pair.keyFile]) }
            paths.formUnion([tls.passphraseFile, tls.caFile, tls.caDirectory, tls.ocspResponseFile, tls.pskFile].compactMap { $0 })
            paths.formUnion(tls.crlFiles)
        }
        return paths.sorted()
    }

    mutating func load() throws(Faults) -> Loaded {
        var all: [ListenerSecurity] = []
        for (index, listener) in configuration.listeners.enumerated() {
            if let security = load(listener, index: index) { all.append(security) }
        }
        guard faults.isEmpty else { throw Faults(lines: faults) }
        return Loaded(security: all, certificates: certificates, warnings: warnings)
    }

    private mutating func load(_ listener: ListenerConfiguration, index: Int) -> ListenerSecurity? {
        let known = faults.count
        let keys = presharedKeys(listener)
        let tls = tlsContext(listener, index: index, keys: keys)
        let passwords = listener.passwordFile.flatMap { passwordTable($0) }
        let acl = listener.aclFile.flatMap { policy($0) }
        let tokens = listener.jwt.flatMap { tokenLogin($0, index: index) }
        let proxy = attempt(listener) { try Self.proxyOptions(listener) } ?? nil
        let seconds = configuration.limits.connectTimeoutSeconds
        let webSocket = attempt(listener) { try Self.webSocketOptions(listener, timeoutSeconds: seconds) }
        let naming = attempt(listener) { try TenantNaming(listener.tenant) }
        guard faults.count == known, let webSocket, let naming else { return nil }
        return ListenerSecurity(
            tls: tls, presharedKeys: keys, proxyProtocol: proxy, webSocket: webSocket, passwords: passwords, tokens: tokens, acl: acl,
            tenantNaming: naming)
    }

    private mutating func attempt<Value>(_ listener: ListenerConfiguration, _ body: () throws -> Value) -> Value? {
        do {
            return try body()
        } catch {
            faults.append("listener \(listener.name): \(error)")
            return nil
        }
    }

    // MARK: TLS

    private mutating func tlsContext(_ listener: ListenerConfiguration, index: Int, keys: PSKTable?) -> TLSContext? {
        guard let tls = listener.tls else { return nil }
        var configuration = TLSServerConfiguration(name: listener.name)
        let passphrase = tls.passphraseFile.flatMap { readPassphrase($0) }
        configuration.certificates = tls.certificates.enumerated().map { place, pair in
            .init(
                chainFile: pair.chainFile, keyFile: pair.keyFile, passphrase: passphrase,
                ocspResponseFile: place == 0 ? tls.ocspResponseFile : nil)
        }
        configuration.minimumVersion = Self.version(tls.minVersion)
        configuration.maximumVersion = Self.version(tls.maxVersion)
        configuration.cipherList = tls.ciphers
        configuration.cipherSuites = tls.cipherSuites
        configuration.groups = tls.curves
        configuration.prefersServerCiphers = tls.prefersServerCiphers
        configuration.applicationProtocols =
            switch listener.wireProtocol {
            case .mqtt: ["mqtt", "x-amzn-mqtt-ca"]
            case .webSocket: ["http/1.1"]
            case .any: ["mqtt", "x-amzn-mqtt-ca", "http/1.1"]
            }
        configuration.refusesUnknownServerNames = tls.refusesUnknownSNI
        switch tls.clientCertificates {
        case .none: configuration.clientCertificates = .none
        case .optional: configuration.clientCertificates = .optional
        case .required: configuration.clientCertificates = .required
        }
        configuration.clientCAFile = tls.caFile
        configuration.clientCADirectory = tls.caDirectory
        configuration.verifyDepth = tls.chainDepth
        configuration.crlFiles = tls.crlFiles
        configuration.checksCRLOfWholeChain = tls.checksChainRevocation
        if let keys { configuration.preSharedKeys = .init(
                keys: Dictionary(uniqueKeysWithValues: keys.texts().map { ($0.identity, SecretBytes($0.key)) }), hint: tls.pskHint) }
        do {
            let context = try TLSContext(configuration, tickets: parts.ticketKeys[index], nowSeconds: LastingParts.now)
            warnings += context.warnings
            certificates += context.certificateFacts.map {
                CertificateFact(listener: listener.name, file: $0.file, notAfterSeconds: $0.notAfterSeconds)
            }
            return context
        } catch {
            faults.append("listener \(listener.name): \(error)")
            return nil
        }
    }

    private mutating func readPassphrase(_ path: String) -> SecretBytes? {
        do {
            var bytes = try SecurityFile.read(path, maxBytes: 4096).bytes
            while let last = bytes.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { bytes.removeLast() }
            return SecretBytes(bytes)
        } catch {
            faults.append(error.description)
            return nil
        }
    }

    private static func version(_ version: ListenerConfiguration.TLS.Version) -> TLSVersion {
        switch version {
        case .tlsv1_1: .v1_1
        case .tlsv1_2: .v1_2
        case .tlsv1_3: .v1_3
        }
    }

    // MARK: Passwords, keys and rules

    private mutating func passwordTable(_ path: String) -> PasswordTable? {
        if let known = passwordTables[path] { return known }
        var table: PasswordTable?
        do {
            let loaded = try PasswordFile.load(path)
            warnings += loaded.warnings.map(\.description)
            table = loaded.table
        } catch {
            faults.append(error.description)
        }
        passwordTables[path] = .some(table)
        return table
    }

    private mutating func policy(_ path: String) -> ACLPolicy? {
        if let known = policies[path] { return known }
        var policy: ACLPolicy?
        do {
            let file = try ACLFile(try SecurityFile.read(path, maxBytes: ACLFile.maximumBytes).bytes, name: path)
            warnings += file.notes.map(\.description)
            policy = ACLPolicy(file)
        } catch {
            faults.append("\(error)")
        }
        policies[path] = .some(policy)
        return policy
    }

    private mutating func presharedKeys(_ listener: ListenerConfiguration) -> PSKTable? {
        guard let path = listener.tls?.pskFile else { return nil }
        do {
            let loaded = try PSKFile.load(path)
            warnings += loaded.warnings.map(\.description)
            return loaded.table
        } catch {
            faults.append(error.description)
            return nil
        }
    }

    private mutating func tokenLogin(_ jwt: ListenerConfiguration.JWT, index: Int) -> TokenLogin? {
        var keys = JWTKeySet()
        for path in jwt.keyFiles {
                do {
                let loaded = try JWTKeyFile.load(path, form: path.hasSuffix(".secret") ? .secret : .publicKeys)
                warnings += loaded.warnings.map(\.description)
                keys = keys.adding(loaded.keys)
            } catch {
                faults.append(error.description)
            }
        }
        return TokenLogin(keys: keys, source: parts.keySources[index], configuration: jwt)
    }

    // MARK: Options of transports

    private static func proxyOptions(_ listener: ListenerConfiguration) throws -> ProxyOptions? {
        guard let proxy = listener.proxyProtocol else { return nil }
        var options = ProxyOptions()
        options.trusted = try TrustedPeers(proxy.trustedAddresses)
        switch proxy.version {
        case .v1: options.versions = [.v1]
        case .v2: options.versions = [.v2]
        case .any: options.versions = [.v1, .v2]
        }
        options.requiresTLS = proxy.requiresTLS
        return options
    }

    private static func webSocketOptions(_ listener: ListenerConfiguration, timeoutSeconds: Int) throws -> WebSocketOptions {
        var options = WebSocketOptions()
        options.path = listener.webSocket.path
        for text in listener.webSocket.origins {
            guard let origin = WebOrigin(text) else {
                throw BrokerError("websocket.origins: \"\(text)\" is no origin; write it as in https://app.example.com")
            }
            options.origins.insert(origin)
        }
        options.trustedProxies = try TrustedPeers(listener.webSocket.trustedProxies)
        options.timeoutSeconds = timeoutSeconds
        return options
    }
}
