import COpenSSL

/// The way from a configuration to the SSL_CTXs of a `TLSContext`.
struct ContextLoading {
    let configuration: TLSServerConfiguration
    /// Owned; whoever throws the loading away frees them.
    private(set) var contexts: [OpaquePointer] = []
    private(set) var staples: [StapledResponse?] = []
    private(set) var serverNames = ServerNames()
    private(set) var trust: TrustStore?
    private(set) var facts: [CertificateFacts] = []
    private(set) var warnings: [String] = []

    /// Authenticated encryption with forward secrecy; CCM for small devices (RFC 7925).
    static let defaultCipherList = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM"
    /// TLS 1.1 has nothing better.
    static let oldCipherList = "ECDHE+AES"
    static let pskCipherList = "kECDHEPSK+CHACHA20:kECDHEPSK+AES:kPSK+AESGCM:kPSK+CHACHA20:kPSK+AESCCM:kPSK+AES"

    init(_ configuration: TLSServerConfiguration) { self.configuration = configuration }

    mutating func load(tickets: TicketKeyring?, nowSeconds: Int64) throws(TLSConfigurationError) {
        try check()
        if configuration.clientCertificates != .none {
            let trust = try TrustStore(configuration, nowSeconds: nowSeconds)
            warnings += trust.warnings
            self.trust = trust
        }
        // Certificates of different kinds of keys for the same names share a context: the client's abilities choose.
        var shared: [(names: [String], keyKinds: [Int32])] = []
        for pair in configuration.certificates {
            let loaded = try ServerCertificate(pair, nowSeconds: nowSeconds)
            defer { EVP_PKEY_free(loaded.key) }
            facts.append(loaded.facts)
            warnings += loaded.warnings
            let names = loaded.facts.names.map { $0.lowercased() }.sorted()
            let kind = loaded.leaf.keyKind
            let index: Int
            if let twin = shared.firstIndex(where: { $0.names == names && !$0.keyKinds.contains(kind) }) {
                index = twin
                shared[twin].keyKinds.append(kind)
                if staples[twin] == nil { staples[twin] = loaded.staple }
            } else {
                index = contexts.count
                shared.append((names, [kind]))
                try addContext(hasTickets: tickets != nil)
                staples.append(loaded.staple)
            }
            try use(loaded, in: contexts[index], file: pair.chainFile)
            serverNames.add(loaded.facts.names, for: index)
        }
        if contexts.isEmpty {
            try addContext(hasTickets: tickets != nil)
            staples.append(nil)
        }
    }

    private func check() throws(TLSConfigurationError) {
        if configuration.certificates.isEmpty, configuration.preSharedKeys == nil {
            throw TLSConfigurationError(
                "listener \(configuration.name) has neither a certificate nor pre-shared keys",
                remedy: "give it a certificate and its key, or a file of pre-shared keys")
        }
        if configuration.clientCertificates != .none, configuration.clientCAFile == nil, configuration.clientCADirectory == nil {
            throw TLSConfigurationError(
                "listener \(configuration.name) asks for client certificates and has no authority to check them with",
                remedy: "give it a file or directory of CA certificates")
        }
        if configuration.minimumVersion > configuration.maximumVersion {
            throw TLSConfigurationError(
                "the lowest version, \(configuration.minimumVersion), is above the highest, \(configuration.maximumVersion)",
                remedy: "exchange them")
        }
        for name in configuration.applicationProtocols where name.isEmpty || name.utf8.count > 255 {
            throw TLSConfigurationError("an ALPN protocol has 1 to 255 bytes, and \"\(name)\" has not", remedy: "correct it")
        }
        for (identity, key) in configuration.preSharedKeys?.keys ?? [:] {
            guard !identity.utf8.isEmpty, identity.utf8.count <= Int(PSK_MAX_IDENTITY_LEN), !identity.utf8.contains(0) else {
                throw TLSConfigurationError("a PSK identity has 1 to \(PSK_MAX_IDENTITY_LEN) bytes", remedy: "correct it")
            }
            guard key.count > 0, key.count <= Int(PSK_MAX_PSK_LEN) else {
                throw TLSConfigurationError(
                    "the pre-shared key of \"\(identity)\" has \(key.count) bytes",
                    remedy: "give it 1 to \(PSK_MAX_PSK_LEN), better 16 or more")
            }
        }
    }

    private mutating func addContext(hasTickets: Bool) throws(TLSConfigurationError) {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSConfigurationError("no memory for a TLS context", remedy: "free memory")
        }
        contexts.append(context)
        try setProtocol(context)
        setOptions(context, hasTickets: hasTickets)
        try setSessions(context)
        OpenSSLCallbacks.install(in: context, configuration, hasTickets: hasTickets)
        ERR_clear_error()
    }

    private func setProtocol(_ context: OpaquePointer) throws(TLSConfigurationError) {
        guard headwater_tls_set_versions(context, configuration.minimumVersion.rawValue, configuration.maximumVersion.rawValue) == 1 else {
            throw TLSConfigurationError(
                "this OpenSSL doesn't speak \(configuration.minimumVersion) to \(configuration.maximumVersion)",
                remedy: "choose other versions")
        }
        var list = configuration.cipherList ?? Self.defaultCipherList
        if configuration.cipherList == nil, configuration.preSharedKeys != nil {
            list = configuration.certificates.isEmpty ? Self.pskCipherList : "\(list):\(Self.pskCipherList)"
        }
        if configuration.cipherList == nil, configuration.minimumVersion < .v1_2 { list += ":\(Self.oldCipherList)" }
        if configuration.cipherList == nil { list += ":!aNULL:!eNULL" }
        // OpenSSL 3 has the digests of TLS 1.1 below its levels of security.
        if configuration.minimumVersion < .v1_2, !list.contains("@SECLEVEL") { list += ":@SECLEVEL=0" }
        guard SSL_CTX_set_cipher_list(context, list) == 1 else {
            throw TLSConfigurationError("OpenSSL finds no cipher in \"\(list)\"", remedy: "try it with: openssl ciphers -v '\(list)'")
        }
        if let suites = cipherSuites, SSL_CTX_set_ciphersuites(context, suites) != 1 {
            throw TLSConfigurationError(
                "OpenSSL doesn't know all of the TLS 1.3 cipher suites \"\(configuration.cipherSuites ?? suites)\"",
                remedy: "name some of TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, separated by colons")
        }
        if let name = unsafeCipher(context) {
            throw TLSConfigurationError(
                "the cipher list allows \(name), which \(name.contains("NULL") ? "encrypts nothing" : "proves nothing about the server")",
                remedy: "add :!aNULL:!eNULL to it")
        }
        if let groups = configuration.groups, headwater_tls_set_groups(context, groups) != 1 {
            throw TLSConfigurationError(
                "OpenSSL doesn't know all of the groups \"\(groups)\"", remedy: "name some of X25519, P-256, P-384, separated by colons")
        }
    }

    /// A pre-shared key from outside goes with SHA-256 (RFC 8446 section 4.2.11): the suites with another digest come last, or a client
    /// with a key would be shown the certificate.
    private var cipherSuites: String? {
        guard configuration.preSharedKeys != nil else { return configuration.cipherSuites }
        let names = (configuration.cipherSuites ?? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384")
            .split(separator: ":")
        return (names.filter { !$0.hasSuffix("SHA384") } + names.filter { $0.hasSuffix("SHA384") }).joined(separator: ":")
    }

    private func unsafeCipher(_ context: OpaquePointer) -> String? {
        guard let ciphers = SSL_CTX_get_ciphers(context) else { return nil }
        for index in 0..<headwater_cipher_count(ciphers) {
            guard let cipher = headwater_cipher_at(ciphers, index) else { continue }
            if SSL_CIPHER_get_auth_nid(cipher) == NID_auth_null || SSL_CIPHER_get_cipher_nid(cipher) == NID_undef {
                return SSL_CIPHER_get_name(cipher).map { String(cString: $0) }
            }
        }
        return nil
    }

    private func setOptions(_ context: OpaquePointer, hasTickets: Bool) {
        var options = UInt64(headwater_tls_options())
        if configuration.prefersServerCiphers || configuration.preSharedKeys != nil { options |= UInt64(headwater_tls_server_preference()) }
        if !hasTickets { options |= UInt64(headwater_tls_no_ticket()) }
        SSL_CTX_set_options(context, options)
        headwater_tls_release_buffers(context)
        headwater_tls_set_max_certificate_bytes(context, configuration.maxClientChainBytes)
        // One is what a client uses; OpenSSL's default is two.
        SSL_CTX_set_num_tickets(context, hasTickets ? 1 : 0)
        SSL_CTX_set_max_early_data(context, 0)
    }

    /// A ticket is good where it was given: a session of a listener that asks for no certificates opens none that does.
    private func setSessions(_ context: OpaquePointer) throws(TLSConfigurationError) {
        headwater_tls_no_session_cache(context)
        SSL_CTX_set_timeout(context, min(max(1, configuration.sessionLifetimeSeconds), 604_800))
        let origin = "\(configuration.name)\u{0}\(configuration.clientCertificates.rawValue)"
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_Digest(origin, origin.utf8.count, &digest, &count, EVP_sha256(), nil) == 1,
            SSL_CTX_set_session_id_context(context, digest, 32) == 1
        else { throw TLSConfigurationError("OpenSSL can't compute SHA-256", remedy: "check the system's OpenSSL configuration") }
        guard let trust else { return }
        if let names = headwater_names_new() {
            for authority in trust.authorityNames { headwater_names_push(names, X509_get_subject_name(authority.pointer)) }
            SSL_CTX_set_client_CA_list(context, names)
        }
    }

    private func use(_ loaded: ServerCertificate, in context: OpaquePointer, file: String) throws(TLSConfigurationError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate(context, loaded.leaf.pointer) == 1, SSL_CTX_use_PrivateKey(context, loaded.key) == 1 else {
            let code = ERR_get_error()
            ERR_clear_error()
            let words = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
            throw TLSConfigurationError(
                file: file, "OpenSSL doesn't take the certificate: \(words)",
                remedy: "a key of 2048 bits (RSA) or 256 bits (EC) and a SHA-2 signature are needed at the usual security level")
        }
        for intermediate in loaded.chain where headwater_tls_add_chain_certificate(context, intermediate.pointer) != 1 {
            ERR_clear_error()
            throw TLSConfigurationError(
                file: file, "OpenSSL doesn't take an intermediate of the chain", remedy: "check keys and signatures of the chain")
        }
    }
}
