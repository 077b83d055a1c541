import COpenSSL

/// What the handshake has established. To be asked after it; computed at each call.
extension TLSEngine {
    package var version: TLSVersion { TLSVersion(rawValue: SSL_version(ssl)) ?? .v1_2 }
    package var cipher: String { SSL_get_current_cipher(ssl).flatMap { SSL_CIPHER_get_name($0) }.map { String(cString: $0) } ?? "" }
    package var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// As the client wrote it; `nil` if it asked for none, or for one that isn't UTF-8.
    package var serverName: String? {
        SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).flatMap { String(validatingCString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    package var applicationProtocol: String? {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &count)
        guard let start, count > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self)
    }

    /// Everything at once, for the decisions about identity and tenant.
    package func peerIdentity() -> PeerIdentity {
        var certificate: Certificate?
        if let leaf = SSL_get1_peer_certificate(ssl) {
            certificate = Certificate(owning: leaf, untrusted: headwater_x509_up_ref(SSL_get_peer_cert_chain(ssl)))
        }
        return PeerIdentity(
            certificate: certificate, pskIdentity: psk?.identity, preSharedKey: psk?.key, serverName: serverName,
            applicationProtocol: applicationProtocol, version: version, cipher: cipher, isResumed: isResumed)
    }
}
