/// What a handshake has established about the peer, and about the connection.
package struct PeerIdentity: Sendable {
    /// Verified against the listener's CA. `nil`: the peer has shown none.
    package let certificate: Certificate?
    /// A name that has a NUL in it or isn't UTF-8 was left out of the lists: nothing in this certificate may be taken for an identity.
    package let hasUnusableNames: Bool
    /// RFC 2253, escaped to ASCII: "CN=pump-7,O=Works".
    package let subject: String
    package let issuer: String
    /// All of them, in the order of the certificate; most have one.
    package let commonNames: [String]
    package let organizations: [String]
    package let organizationalUnits: [String]
    package let dnsNames: [String]
    package let uris: [String]
    package let emails: [String]
    /// Upper-case hexadecimal digits.
    package let serialHex: String
    /// SHA-256 of the certificate, lower-case hexadecimal digits.
    package let fingerprint: String
    /// Seconds since 1970, when the certificate expires; `nil` without one.
    package let notAfterSeconds: Int64?
    /// The identity whose pre-shared key opened the connection.
    package let pskIdentity: String?
    /// That key, to see whether it is still the same after a reload.
    let preSharedKey: SecretBytes?
    /// The host name that the client asked for (RFC 6066), as it wrote it.
    package let serverName: String?
    /// The protocol that was agreed on (RFC 7301).
    package let applicationProtocol: String?
    package let version: TLSVersion
    /// OpenSSL's name of the cipher suite.
    package let cipher: String
    /// The handshake was an abbreviated one: by a ticket, not by showing the certificate anew.
    package let isResumed: Bool

    init(
        certificate: Certificate?, pskIdentity: String?, preSharedKey: SecretBytes?, serverName: String?, applicationProtocol: String?,
        version: TLSVersion, cipher: String, isResumed: Bool
    ) {
        let names = certificate.map { CertificateNames($0) }
        self.certificate = certificate
        hasUnusableNames = names?.hasUnusable ?? false
        subject = certificate?.subject ?? ""
        issuer = certificate?.issuer ?? ""
        commonNames = names?.commonNames ?? []
        organizations = names?.organizations ?? []
        organizationalUnits = names?.organizationalUnits ?? []
        dnsNames = names?.dnsNames ?? []
        uris = names?.uris ?? []
        emails = names?.emails ?? []
        serialHex = certificate?.serialHex ?? ""
        fingerprint = certificate?.fingerprint ?? ""
        notAfterSeconds = certificate?.notAfterSeconds
        self.pskIdentity = pskIdentity
        self.preSharedKey = preSharedKey
        self.serverName = serverName
        self.applicationProtocol = applicationProtocol
        self.version = version
        self.cipher = cipher
        self.isResumed = isResumed
    }
}
