import Headwater

/// Who is let in, and how: options of a listener, and of the section `security`, which says them for all listeners at once.
enum SecurityOptions {
    typealias Option = ConfigurationOption<ListenerEntry>

    static let table: [Option] = admission + tls + transports + tokens + tenants

    private static let admission: [Option] = [
        Option(
            "protocol", \.listener.wireProtocol,
            "What is spoken: mqtt, websocket, or any: both on one port, told apart by ALPN or the first byte."),
        Option(
            "allow_anonymous", \.listener.allowsAnonymous,
            "Let clients in that show nothing, no user name and no certificate. Off, as soon as a listener is configured."),
        file("password_file", \.listener.passwordFile, "Users and hashes, in Mosquitto's formats; `headwater passwd` writes it."),
        file("acl_file", \.listener.aclFile, "Topic rules, in Mosquitto's format. null: everybody may everything; an empty file: nobody anything."),
        Option(
            "refuse_hopeless_subscriptions", \.listener.refusesHopelessSubscriptions,
            "Answer SUBSCRIBE with 0x87 when no rule could ever match. Off: granted as Mosquitto does, and nothing forbidden is delivered."),
        choice(
            "identity.username", \.listener.identity.username,
            "Take the user name from the client certificate or key; the client's own name and password count for nothing."),
        choice(
            "identity.client_id", \.listener.identity.clientID,
            "Take the client identifier from the client certificate or key, whatever the client says."),
        Option(
            "identity.username_as_client_id", \.listener.identity.usesUsernameAsClientID,
            "The client identifier is the user name, whatever the client says."),
    ]

    private static let tls: [Option] = [
        file("tls.certificate", \.certificate, "Certificate chain, PEM, the server's own first. With it the listener speaks TLS."),
        file("tls.key", \.key, "Key of tls.certificate, PEM."),
        Option(
            "tls.more_certificates", .fields(meaning: "mapping of chain file: key file"),
            "Further certificates, each shown to clients whose SNI it names (exact or wildcard).",
            get: { .fields($0.moreCertificates) },
            set: { if case .fields(let fields) = $1 { $0.moreCertificates = fields } }),
        file("tls.passphrase_file", \.tls.passphraseFile, "Holds the passphrase of encrypted keys."),
        Option("tls.min_version", \.tls.minVersion, "Lowest TLS version. 1.1 is broken by today's measure."),
        Option("tls.max_version", \.tls.maxVersion, "Highest TLS version."),
        text("tls.ciphers", "OpenSSL cipher string", \.tls.ciphers, "Ciphers of TLS 1.2 and below. null: ephemeral keys and AEAD alone."),
        text("tls.cipher_suites", "suites, colon-separated", \.tls.cipherSuites, "Cipher suites of TLS 1.3. null: OpenSSL's."),
        text("tls.curves", "groups, colon-separated", \.tls.curves, "Groups for the key exchange, the preferred one first. null: OpenSSL's."),
        Option("tls.prefer_server_ciphers", \.tls.prefersServerCiphers, "The broker's order of ciphers counts, not the client's."),
        Option(
            "tls.client_certificates", \.tls.clientCertificates,
            "Whether clients must show a certificate; optional: if they show one it must be good."),
        file("tls.ca_file", \.tls.caFile, "Authorities that client certificates may come from, PEM."),
        file("tls.ca_directory", \.tls.caDirectory, "The same as a directory, hashed by openssl rehash."),
        Option("tls.chain_depth", .integer(0...100), \.tls.chainDepth, "Certificates between a client's and the authority's."),
        Option(
            "tls.crl_files", .texts(meaning: "files, PEM"), "Revocation lists. With any, every client's authority must have one.",
            get: { .texts($0.tls.crlFiles) }, set: { if case .texts(let texts) = $1 { $0.tls.crlFiles = texts } }),
        Option("tls.check_chain_revocation", \.tls.checksChainRevocation, "Look up the authorities between in the lists, too."),
        file("tls.ocsp_response", \.tls.ocspResponseFile, "OCSP response, DER, that is stapled to tls.certificate."),
        file("tls.psk_file", \.tls.pskFile, "identity:hexkey lines: pre-shared keys beside, or in place of, certificates."),
        text("tls.psk_hint", "text", \.tls.pskHint, "Identity hint for TLS 1.2 clients with pre-shared keys."),
        file("tls.ticket_keys", \.tls.ticketKeyFile, "Keys of session tickets, made if not there. Nodes that share it resume each other's sessions. null: in memory."),
        Option("tls.ticket_key_lifetime", .seconds(60...604_800), \.tls.ticketKeySeconds, "After it another ticket key is used; tickets live twice as long at most."),
        Option("tls.refuse_unknown_sni", \.tls.refusesUnknownSNI, "Turn clients away that name a host which no certificate has."),
        Option("tls.handshake_timeout", .seconds(1...3_600), \.tls.handshakeTimeoutSeconds, "How long a handshake may take."),
    ]

    private static let transports: [Option] = [
        text("websocket.path", "path", \.listener.webSocket.path, "The only path that is answered. null: any."),
        Option(
            "websocket.origins", .texts(meaning: "origins, as in https://app.example.com"),
            "Pages that may connect, compared exactly. Empty: any.",
            get: { .texts($0.listener.webSocket.origins) }, set: { if case .texts(let texts) = $1 { $0.listener.webSocket.origins = texts } }),
        Option(
            "websocket.trusted_proxies", .texts(meaning: "addresses or networks"), "Whose X-Forwarded-For is believed.",
            get: { .texts($0.listener.webSocket.trustedProxies) },
            set: { if case .texts(let texts) = $1 { $0.listener.webSocket.trustedProxies = texts } }),
        choice("proxy_protocol.version", \.proxyVersion, "Expect a PROXY header in front of each connection: v1, v2 or any."),
        Option(
            "proxy_protocol.trusted", .texts(meaning: "addresses or networks"), "Who may send one; others are closed.",
            get: { .texts($0.proxy.trustedAddresses) }, set: { if case .texts(let texts) = $1 { $0.proxy.trustedAddresses = texts } }),
        Option("proxy_protocol.require_tls", \.proxy.requiresTLS, "Refuse clients that did not come to the proxy over TLS."),
    ]

    private static let tokens: [Option] = [
        Option(
            "jwt.keys", .texts(meaning: "files"), "Keys of tokens in the password field: PEM, *.secret (raw bytes), *.json (key sets).",
            get: { .texts($0.jwt.keyFiles) }, set: { if case .texts(let texts) = $1 { $0.jwt.keyFiles = texts } }),
        text("jwt.jwks_url", "URL", \.jwt.jwksURL, "Key set that is fetched, and fetched again."),
        file("jwt.jwks_ca_file", \.jwt.jwksCAFile, "Authorities for that URL. null: the system's."),
        Option("jwt.jwks_refresh", .seconds(10...604_800), \.jwt.jwksRefreshSeconds, "Between fetches."),
        text("jwt.issuer", "text", \.jwt.issuer, "The only iss that is accepted. null: any."),
        text("jwt.audience", "text", \.jwt.audience, "What aud must name. null: anything."),
        Option("jwt.username_claim", .text(meaning: "claim"), \.jwt.usernameClaim, "Claim that is the user name."),
        Option("jwt.leeway", .seconds(0...3_600), \.jwt.leewaySeconds, "How far clocks may differ."),
    ]

    private static let tenants: [Option] = [
        choice(
            "tenant.from", \.tenantFrom,
            "What says whose device a client is. Tenants share no topics, client identifiers, retained messages or groups."),
        text("tenant.name", "name", \.tenantName, "The tenant, where tenant.from is listener."),
        text("tenant.pattern", "pattern", \.tenantPattern, "Where the name stands: %t, and %u for the user's, as in %u@%t or %t.example.com. Default: %t."),
        text("tenant.claim", "claim", \.tenantClaim, "The token's claim, where tenant.from is claim."),
    ]

    // MARK: Kinds of options

    private static func file(_ path: String, _ field: any WritableKeyPath<ListenerEntry, String?> & Sendable, _ summary: String) -> Option {
        text(path, "file", field, summary)
    }

    private static func text(
        _ path: String, _ meaning: String, _ field: any WritableKeyPath<ListenerEntry, String?> & Sendable, _ summary: String
    ) -> Option {
        Option(path, .text(meaning: meaning, word: "null", check: { $0.isEmpty ? "an empty text" : nil }), field, summary)
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable & SendableMetatype>(
        _ path: String, _ field: any WritableKeyPath<ListenerEntry, Choice?> & Sendable, _ summary: String
    ) -> Option {
        Option(
            path, .choice(Choice.allCases.map(\.rawValue), word: "null"), summary,
            get: { $0[keyPath: field].map { .text($0.rawValue) } ?? .none },
            set: { if case .text(let text) = $1 { $0[keyPath: field] = Choice(rawValue: text) } else { $0[keyPath: field] = nil } })
    }
}
