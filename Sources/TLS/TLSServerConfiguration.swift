/// The TLS of one listener, as configured: paths and settings, nothing loaded.
package struct TLSServerConfiguration: Sendable, Equatable {
    /// A certificate chain with its key. Which names it serves is what its subject alternative names say.
    package struct CertificatePair: Sendable, Equatable {
        /// PEM: the certificate first, then its intermediates.
        package var chainFile: String
        /// PEM; may be the same file.
        package var keyFile: String
        /// For an encrypted key.
        package var passphrase: SecretBytes?
        /// DER: the OCSP response that is stapled until it expires.
        package var ocspResponseFile: String?

        package init(chainFile: String, keyFile: String, passphrase: SecretBytes? = nil, ocspResponseFile: String? = nil) {
            self.chainFile = chainFile
            self.keyFile = keyFile
            self.passphrase = passphrase
            self.ocspResponseFile = ocspResponseFile
        }
    }

    package enum ClientCertificates: UInt8, Sendable {
        /// Not asked for.
        case none
        /// Asked for. One that is shown must be good; none is good too.
        case optional
        case required
    }

    /// Pre-shared keys (RFC 4279; RFC 8446 section 4.2.11), by identity.
    package struct PreSharedKeys: Sendable, Equatable {
        package var keys: [String: SecretBytes]
        /// Told to TLS 1.2 clients before they choose an identity.
        package var hint: String?

        package init(keys: [String: SecretBytes], hint: String? = nil) {
            self.keys = keys
            self.hint = hint
        }
    }

    /// Part of what a session ticket is good for: tickets of one listener mean nothing on another.
    package var name: String
    /// The first is shown to clients that ask for no name, or for one that none of them has.
    package var certificates: [CertificatePair] = []
    package var minimumVersion = TLSVersion.v1_2
    package var maximumVersion = TLSVersion.v1_3
    /// For TLS 1.2 and older, in OpenSSL's syntax. `nil`: authenticated encryption with forward secrecy alone, CBC only for TLS 1.1.
    package var cipherList: String?
    /// For TLS 1.3, names separated by colons. `nil`: OpenSSL's three. With pre-shared keys those of SHA-256 come first.
    package var cipherSuites: String?
    /// Names separated by colons, best first: "X25519:P-256". `nil`: OpenSSL's.
    package var groups: String?
    /// The first cipher of ours that the client has, instead of the first of the client's that we have. With pre-shared keys always.
    package var prefersServerCiphers = true
    /// Best first. A client that offers others only is refused; one that offers none isn't asked. Empty: nothing is negotiated.
    package var applicationProtocols: [String] = []
    /// A name that no certificate has is refused (unrecognized_name) instead of being shown the first. A client may still ask for none.
    package var refusesUnknownServerNames = false

    package var clientCertificates = ClientCertificates.none
    /// PEM, any number of certificates.
    package var clientCAFile: String?
    /// Every file in it that holds PEM certificates; no hashed names are needed.
    package var clientCADirectory: String?
    /// Intermediates between a client's certificate and a CA.
    package var verifyDepth = 9
    /// PEM, any number of lists in each. With one or more, a client whose issuer has no current list is refused.
    package var crlFiles: [String] = []
    /// The intermediates are looked up in the lists as well.
    package var checksCRLOfWholeChain = false
    /// Expired and not yet valid certificates pass, for devices that never get new ones.
    package var ignoresClientCertificateDates = false
    /// Bytes of the chain that a client may send; taken when it announces them.
    package var maxClientChainBytes = 32_768

    package var preSharedKeys: PreSharedKeys?
    /// How long after a full handshake its tickets are good. At most a week (RFC 8446 section 4.6.1).
    package var sessionLifetimeSeconds = 7_200

    package init(name: String, certificates: [CertificatePair] = []) {
        self.name = name
        self.certificates = certificates
    }
}
