/// TLS, identity and tenants of a listener. Files are read at the start and when they change (`Broker.reload`).
extension ListenerConfiguration {
    public struct TLS: Sendable, Equatable {
        public enum Version: String, Sendable, Equatable, CaseIterable {
            /// Broken by today's measure (RFC 8996); for devices that can't be mended.
            case tlsv1_1 = "1.1"
            case tlsv1_2 = "1.2"
            case tlsv1_3 = "1.3"
        }
        public enum ClientCertificates: String, Sendable, Equatable, CaseIterable {
            /// Not asked for.
            case none
            /// Asked for; a client that shows one must show a good one.
            case optional
            case required
        }
        /// A certificate chain and its key, PEM.
        public struct Pair: Sendable, Equatable {
            public var chainFile: String
            public var keyFile: String
            public init(chainFile: String, keyFile: String) {
                self.chainFile = chainFile
                self.keyFile = keyFile
            }
        }
        /// The first is shown to clients whose SNI no other names. May be empty where there are pre-shared keys.
        public var certificates: [Pair] = []
        /// A file with the passphrase of encrypted keys.
        public var passphraseFile: String?
        public var minVersion = Version.tlsv1_2
        public var maxVersion = Version.tlsv1_3
        /// OpenSSL's cipher string for TLS 1.2 and below; `nil`: ephemeral key exchange and AEAD alone.
        public var ciphers: String?
        /// Cipher suites of TLS 1.3, colon-separated; `nil`: OpenSSL's.
        public var cipherSuites: String?
        /// Groups for the key exchange, colon-separated, the preferred one first; `nil`: OpenSSL's.
        public var curves: String?
        public var prefersServerCiphers = true
        public var clientCertificates = ClientCertificates.none
        /// Authorities that client certificates may come from.
        public var caFile: String?
        public var caDirectory: String?
        /// Certificates between a client's and the authority's.
        public var chainDepth = 9
        /// Revocation lists, PEM. With any, each certificate must be covered by one.
        public var crlFiles: [String] = []
        /// Whether the authorities between are looked up in the lists, too.
        public var checksChainRevocation = false
        /// An OCSP response, DER, that is stapled to the first certificate.
        public var ocspResponseFile: String?
        /// `identity:hexkey` lines; pre-shared keys in place of certificates.
        public var pskFile: String?
        public var pskHint: String?
        /// Keys of session tickets, kept over restarts and shared by nodes; made if it is not there. `nil`: in memory.
        public var ticketKeyFile: String?
        /// Seconds after which another ticket key is used, 60…604,800. Tickets live twice as long at most.
        public var ticketKeySeconds = 43_200
        /// Whether a client that names a host that no certificate has is turned away instead of shown the first one.
        public var refusesUnknownSNI = false
        /// Seconds for a handshake, 1…3,600.
        public var handshakeTimeoutSeconds = 10

        public init() {}
    }

    public struct WebSocket: Sendable, Equatable {
        /// The only path that is answered; `nil`: any.
        public var path: String?
        /// Origins that a browser's page may come from, compared exactly; empty: any.
        public var origins: [String] = []
        /// Addresses whose X-Forwarded-For is believed.
        public var trustedProxies: [String] = []
        public init() {}
    }

    /// HAProxy's PROXY protocol: who the client is stands in front of the connection's bytes.
    public struct ProxyProtocol: Sendable, Equatable {
        public enum Version: String, Sendable, Equatable, CaseIterable {
            case v1, v2, any
        }
        public var version = Version.any
        /// Addresses (CIDR) that may say so; others are closed.
        public var trustedAddresses: [String] = []
        /// Whether the header must say that the client came over TLS.
        public var requiresTLS = false
        public init() {}
    }

    /// Where a user name or client identifier comes from that the client need not, and can't, choose.
    public struct Identity: Sendable, Equatable {
        public enum Source: String, Sendable, Equatable, CaseIterable {
            /// Common name of the client certificate.
            case commonName = "cn"
            /// The whole subject, as RFC 2253 writes it.
            case subject
            /// The first such name among the certificate's alternative names.
            case sanDNS = "san_dns"
            case sanURI = "san_uri"
            case sanEmail = "san_email"
            /// Identity of the pre-shared key.
            case psk
        }
        /// The client's own user name and password are ignored.
        public var username: Source?
        public var clientID: Source?
        /// The client identifier is the user name, whatever the client says.
        public var usesUsernameAsClientID = false
        public init() {}
    }

    /// JSON Web Tokens (RFC 7519) in the password field.
    public struct JWT: Sendable, Equatable {
        /// Public keys and certificates (PEM), secrets (`*.secret`, raw bytes) and key sets (`*.json`, RFC 7517).
        public var keyFiles: [String] = []
        /// A key set that is fetched, and fetched again.
        public var jwksURL: String?
        /// Authorities for the URL's certificate; `nil`: the system's.
        public var jwksCAFile: String?
        /// Seconds between fetches, 10…604,800.
        public var jwksRefreshSeconds = 600
        /// `nil`: any.
        public var issuer: String?
        /// `nil`: any.
        public var audience: String?
        public var usernameClaim = "sub"
        /// Seconds that clocks may differ, 0…3,600.
        public var leewaySeconds = 30
        public init() {}
    }

    /// What decides whose device a client is. A client for which nothing does is refused.
    public enum TenantRule: Sendable, Equatable {
        /// No tenants: everybody is in the one that has no name.
        case none
        /// All clients of the listener.
        case listener(name: String)
        /// From a text, by a pattern with `%t` where the name stands, and `%u` for what is left as the user name.
        case pattern(Source, String)

        public enum Source: Sendable, Equatable {
            case sni
            case username
            case issuer, organization, organizationalUnit
            case sanDNS, sanURI, sanEmail
            case claim(String)
        }
    }
}
