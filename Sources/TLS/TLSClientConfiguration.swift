/// The client's side of TLS, for the broker's own tools and tests.
package struct TLSClientConfiguration: Sendable, Equatable {
    /// PEM; `nil`: the system's authorities.
    package var caFile: String?
    /// Takes any certificate of the server: for trying things out.
    package var isInsecure = false
    package var certificate: TLSServerConfiguration.CertificatePair?
    /// Identity and key (TLS 1.2 PSK suites, and TLS 1.3 with SHA-256).
    package var pskIdentity: String?
    package var preSharedKey: SecretBytes?
    package var applicationProtocols: [String] = []
    package var minimumVersion = TLSVersion.v1_2
    package var maximumVersion = TLSVersion.v1_3
    package var cipherList: String?
    package var cipherSuites: String?
    package var groups: String?

    package init() {}
}
