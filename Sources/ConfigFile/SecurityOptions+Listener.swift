import Headwater

/// From options to a listener's security and back: what belongs together, and what makes no sense alone.
extension SecurityOptions {
    /// - Parameter general: What the section `security` says: alone it makes no TLS, proxy or token of a listener that has none.
    static func complete(
        _ listener: inout ListenerConfiguration, _ entry: ListenerEntry, general: ListenerEntry
    ) throws(OptionType.Fault) {
        listener.tls = try tls(entry, general: general)
        listener.proxyProtocol = try proxy(entry, general: general)
        listener.jwt = try jwt(entry, general: general)
        listener.tenant = try tenant(entry)
        let identity = listener.identity
        for source in [identity.username, identity.clientID].compactMap({ $0 }) {
            if source == .psk {
                guard listener.tls?.pskFile != nil else { throw OptionType.Fault("identity from psk needs tls.psk_file") }
            } else {
                let isProxied = source == .commonName && listener.proxyProtocol != nil
                guard listener.tls.map({ $0.clientCertificates != .none }) ?? isProxied else {
                    throw OptionType.Fault("identity from \(source.rawValue) needs tls.client_certificates: required (or optional)")
                }
            }
        }
    }

    private static func tls(_ entry: ListenerEntry, general: ListenerEntry) throws(OptionType.Fault) -> ListenerConfiguration.TLS? {
        var tls = entry.tls
        switch (entry.certificate, entry.key) {
        case (let certificate?, let key?): tls.certificates = [.init(chainFile: certificate, keyFile: key)]
        case (_?, nil): throw OptionType.Fault("tls.certificate needs its key: tls.key")
        case (nil, _?): throw OptionType.Fault("tls.key needs its certificate: tls.certificate")
        case (nil, nil):
            guard entry.moreCertificates.isEmpty else { throw OptionType.Fault("tls.more_certificates needs a first one: tls.certificate") }
        }
        tls.certificates += entry.moreCertificates.map { .init(chainFile: $0.name, keyFile: $0.value) }
        guard !tls.certificates.isEmpty || tls.pskFile != nil else {
            guard tls == general.tls else {
                throw OptionType.Fault("tls needs tls.certificate and tls.key, or tls.psk_file")
            }
            return nil
        }
        let versions = ListenerConfiguration.TLS.Version.allCases
        if let low = versions.firstIndex(of: tls.minVersion), let high = versions.firstIndex(of: tls.maxVersion), low > high {
            throw OptionType.Fault("tls.min_version is above tls.max_version")
        }
        if tls.clientCertificates != .none, tls.caFile == nil, tls.caDirectory == nil {
            throw OptionType.Fault("tls.client_certificates needs authorities: tls.ca_file or tls.ca_directory")
        }
        if tls.clientCertificates == .none, tls.caFile != nil || tls.caDirectory != nil || !tls.crlFiles.isEmpty {
            throw OptionType.Fault("tls.ca_file, ca_directory and crl_files are for client certificates: say tls.client_certificates, too")
        }
        return tls
    }

    private static func proxy(_ entry: ListenerEntry, general: ListenerEntry) throws(OptionType.Fault) -> ListenerConfiguration.ProxyProtocol? {
        guard let version = entry.proxyVersion else {
            guard entry.proxy == general.proxy else {
                throw OptionType.Fault("proxy_protocol needs proxy_protocol.version: v1, v2 or any")
            }
            return nil
        }
        guard !entry.proxy.trustedAddresses.isEmpty else {
            throw OptionType.Fault("proxy_protocol.trusted is empty: name the proxies' addresses, or whoever connects could pretend to be anybody")
        }
        if entry.proxy.requiresTLS, version != .v2 {
            throw OptionType.Fault("proxy_protocol.require_tls needs version: v2, as v1 says nothing of TLS")
        }
        var proxy = entry.proxy
        proxy.version = version
        return proxy
    }

    private static func jwt(_ entry: ListenerEntry, general: ListenerEntry) throws(OptionType.Fault) -> ListenerConfiguration.JWT? {
        if entry.jwt.keyFiles.isEmpty, entry.jwt.jwksURL == nil {
            guard entry.jwt == general.jwt else { throw OptionType.Fault("jwt needs keys: jwt.keys or jwt.jwks_url") }
            return nil
        }
        return entry.jwt
    }

    private static func tenant(_ entry: ListenerEntry) throws(OptionType.Fault) -> ListenerConfiguration.TenantRule {
        let source = entry.tenantFrom ?? .none
        if let name = entry.tenantName, source != .listener {
            throw OptionType.Fault("tenant.name \(OptionType.shown(name)) is for tenant.from: listener alone")
        }
        if entry.tenantClaim != nil, source != .claim { throw OptionType.Fault("tenant.claim is for tenant.from: claim alone") }
        if entry.tenantPattern != nil, source == .none || source == .listener {
            throw OptionType.Fault("tenant.pattern needs a text to look at: tenant.from: sni, username, …")
        }
        let kind: ListenerConfiguration.TenantRule.Source
        switch source {
        case .none: return .none
        case .listener:
            guard let name = entry.tenantName else { throw OptionType.Fault("tenant.from: listener needs tenant.name") }
            return .listener(name: name)
        case .claim:
            guard let claim = entry.tenantClaim else { throw OptionType.Fault("tenant.from: claim needs tenant.claim") }
            kind = .claim(claim)
        case .sni: kind = .sni
        case .username: kind = .username
        case .issuer: kind = .issuer
        case .organization: kind = .organization
        case .organizationalUnit: kind = .organizationalUnit
        case .sanDNS: kind = .sanDNS
        case .sanURI: kind = .sanURI
        case .sanEmail: kind = .sanEmail
        }
        return .pattern(kind, entry.tenantPattern ?? "%t")
    }

    // MARK: The way back

    static func entry(_ listener: ListenerConfiguration) -> ListenerEntry {
        var entry = ListenerEntry()
        entry.listener = listener
        if let tls = listener.tls {
            entry.tls = tls
            entry.tls.certificates = []
            entry.certificate = tls.certificates.first?.chainFile
            entry.key = tls.certificates.first?.keyFile
            entry.moreCertificates = tls.certificates.dropFirst().map { OptionField(name: $0.chainFile, value: $0.keyFile) }
        }
        if let proxy = listener.proxyProtocol {
            entry.proxyVersion = proxy.version
            entry.proxy = proxy
            entry.proxy.version = ListenerConfiguration.ProxyProtocol().version
        }
        if let jwt = listener.jwt { entry.jwt = jwt }
        switch listener.tenant {
        case .none: break
        case .listener(let name):
            entry.tenantFrom = .listener
            entry.tenantName = name
        case .pattern(let source, let pattern):
            entry.tenantPattern = pattern
            switch source {
            case .sni: entry.tenantFrom = .sni
            case .username: entry.tenantFrom = .username
            case .issuer: entry.tenantFrom = .issuer
            case .organization: entry.tenantFrom = .organization
            case .organizationalUnit: entry.tenantFrom = .organizationalUnit
            case .sanDNS: entry.tenantFrom = .sanDNS
            case .sanURI: entry.tenantFrom = .sanURI
            case .sanEmail: entry.tenantFrom = .sanEmail
            case .claim(let claim):
                entry.tenantFrom = .claim
                entry.tenantClaim = claim
            }
        }
        return entry
    }
}
