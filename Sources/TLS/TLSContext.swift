import COpenSSL
import Glibc

/// The TLS of one listener, loaded: what a reload makes anew and hands to the handshakes that come after it.
// @unchecked: nothing here changes after init; an SSL_CTX may then be used by any number of threads.
package final class TLSContext: @unchecked Sendable {
    let configuration: TLSServerConfiguration
    /// One for each set of names, the first is the default; a listener with pre-shared keys alone has one without a certificate.
    private let contexts: [OpaquePointer]
    /// By the index of the context.
    private let staples: [StapledResponse?]
    private let serverNames: ServerNames
    let trust: TrustStore?
    let tickets: TicketKeyring?
    /// Protocols in the form that the extension has: each with its length in front.
    let applicationProtocols: [[UInt8]]
    /// For metrics: one for each certificate file, in their order.
    package let certificateFacts: [CertificateFacts]
    /// For the log: what works and should still be looked at.
    package let warnings: [String]

    /// Everything is read and checked, or nothing is taken.
    /// - Parameters:
    ///   - tickets: `nil`: no sessions are resumed.
    ///   - nowSeconds: Seconds since 1970; certificates must be valid then.
    package init(_ configuration: TLSServerConfiguration, tickets: TicketKeyring?, nowSeconds: Int64) throws(TLSConfigurationError) {
        var loading = ContextLoading(configuration)
        do throws(TLSConfigurationError) {
            try loading.load(tickets: tickets, nowSeconds: nowSeconds)
        } catch {
            for context in loading.contexts { SSL_CTX_free(context) }
            throw error
        }
        self.configuration = configuration
        contexts = loading.contexts
        staples = loading.staples
        serverNames = loading.serverNames
        trust = loading.trust
        self.tickets = tickets
        applicationProtocols = configuration.applicationProtocols.map { [UInt8(clamping: $0.utf8.count)] + Array($0.utf8) }
        certificateFacts = loading.facts
        warnings = loading.warnings
    }

    deinit {
        for context in contexts { SSL_CTX_free(context) }
    }

    /// For one connection that was accepted. `nil`: there is no memory.
    package func makeEngine() -> sending TLSEngine? { TLSEngine(server: self, contexts[0]) }

    /// Whether a client that is connected would be let in by its certificate now; for the time after a reload. Without a certificate
    /// it is only asked whether one is needed. A pre-shared key must still be the same.
    package func stillTrusts(_ peer: PeerIdentity) -> Bool {
        if let identity = peer.pskIdentity { return configuration.preSharedKeys?.keys[identity] == peer.preSharedKey }
        guard configuration.clientCertificates != .none else { return true }
        guard let certificate = peer.certificate else { return configuration.clientCertificates == .optional }
        return trusts(certificate.pointer, untrusted: certificate.untrusted) == X509_V_OK
    }

    // MARK: What the callbacks ask

    /// - Returns: X509_V_OK, or what is wrong.
    func trusts(_ leaf: OpaquePointer, untrusted: OpaquePointer?) -> Int32 {
        guard let trust else { return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY }
        return trust.verify(leaf, untrusted: untrusted, securityLevel: SSL_CTX_get_security_level(contexts[0]))
    }

    enum NameChoice {
        case `default`
        case context(OpaquePointer)
        case refused
    }

    func choose(serverName: String) -> NameChoice {
        if let index = serverNames.certificate(for: serverName) { return index == 0 ? .default : .context(contexts[index]) }
        return configuration.refusesUnknownServerNames ? .refused : .default
    }

    func staple(for context: OpaquePointer?) -> StapledResponse? {
        contexts.firstIndex { $0 == context }.flatMap { staples[$0] }
    }

    /// The session was made with this listener's settings, and its client would be let in today. If not, the full handshake that
    /// follows finds the words for it.
    func mayResume(_ session: OpaquePointer) -> Bool {
        // Whether the identity still exists can't be told from a ticket; a handshake with a pre-shared key is cheap anyway.
        if let cipher = SSL_SESSION_get0_cipher(session),
            SSL_CIPHER_get_auth_nid(cipher) == NID_auth_psk || SSL_CIPHER_get_kx_nid(cipher) == NID_kx_rsa_psk
        {
            return false
        }
        guard configuration.clientCertificates != .none else { return true }
        guard let leaf = SSL_SESSION_get0_peer(session) else { return configuration.clientCertificates == .optional }
        return trusts(leaf, untrusted: nil) == X509_V_OK
    }
}
