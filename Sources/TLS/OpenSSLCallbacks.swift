import COpenSSL
import Glibc

/// What OpenSSL asks in the middle of a server's handshake, and who answers: the engine behind the SSL, and its context.
///
/// After the handshake an engine has no context any more, and OpenSSL nothing to ask.
enum OpenSSLCallbacks {
    static func install(in context: OpaquePointer, _ configuration: TLSServerConfiguration, hasTickets: Bool) {
        headwater_tls_set_servername_callback(context, choseServerName)
        headwater_tls_set_status_callback(context, askedForStaple)
        if !configuration.applicationProtocols.isEmpty { SSL_CTX_set_alpn_select_cb(context, offeredProtocols, nil) }
        if hasTickets {
            headwater_tls_set_ticket_callback(context, ticketKey)
            SSL_CTX_set_session_ticket_cb(context, { _, _ in 1 }, openedTicket, nil)
        }
        if let keys = configuration.preSharedKeys {
            SSL_CTX_set_psk_server_callback(context, preSharedKey)
            if let hint = keys.hint { SSL_CTX_use_psk_identity_hint(context, hint) }
        }
        if configuration.clientCertificates != .none {
            let mode = configuration.clientCertificates == .required ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER
            SSL_CTX_set_verify(context, mode, nil)
            SSL_CTX_set_cert_verify_callback(context, verifyClient, nil)
        }
    }

    /// The engine that owns the SSL: it is alive as long as the SSL is.
    @inline(__always)
    static func engine(_ ssl: OpaquePointer?) -> TLSEngine? {
        guard let ssl, let pointer = SSL_get_ex_data(ssl, 0) else { return nil }
        return Unmanaged<TLSEngine>.fromOpaque(pointer).takeUnretainedValue()
    }
}

private func choseServerName(
    ssl: OpaquePointer?, alert: UnsafeMutablePointer<Int32>?, argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = OpenSSLCallbacks.engine(ssl)?.context, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else {
        return SSL_TLSEXT_ERR_NOACK
    }
    switch context.choose(serverName: String(cString: name)) {
    case .default: return SSL_TLSEXT_ERR_OK
    case .context(let chosen): return SSL_set_SSL_CTX(ssl, chosen) == nil ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK
    case .refused:
        alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
}

private func askedForStaple(ssl: OpaquePointer?, argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let ssl, let context = OpenSSLCallbacks.engine(ssl)?.context, let response = context.staple(for: SSL_get_SSL_CTX(ssl)) else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return response.staple(to: ssl, nowSeconds: Int64(time(nil))) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK
}

private func offeredProtocols(
    ssl: OpaquePointer?, chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, chosenCount: UnsafeMutablePointer<UInt8>?,
    offered: UnsafePointer<UInt8>?, offeredCount: UInt32, argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = OpenSSLCallbacks.engine(ssl)?.context, let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    let list = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
    for wanted in context.applicationProtocols {
        var at = 0
        while at < list.count {
            let end = at + 1 + Int(list[at])
            guard end <= list.count else { break }
            if wanted.elementsEqual(list[at..<end]) {
                chosen?.pointee = offered + at + 1
                chosenCount?.pointee = list[at]
                return SSL_TLSEXT_ERR_OK
            }
            at = end
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}

private func ticketKey(
    ssl: OpaquePointer?, name: UnsafeMutablePointer<UInt8>?, iv: UnsafeMutablePointer<UInt8>?, cipher: OpaquePointer?, mac: OpaquePointer?,
    seals: Int32
) -> Int32 {
    guard let tickets = OpenSSLCallbacks.engine(ssl)?.context?.tickets, let name, let iv, let cipher, let mac else { return -1 }
    return tickets.apply(name: name, iv: iv, cipher: cipher, mac: mac, seals: seals == 1)
}

private func openedTicket(
    ssl: OpaquePointer?, session: OpaquePointer?, name: UnsafePointer<UInt8>?, nameCount: Int, status: SSL_TICKET_STATUS,
    argument: UnsafeMutableRawPointer?
) -> SSL_TICKET_RETURN {
    guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW else {
        return SSL_TICKET_RETURN(SSL_TICKET_RETURN_IGNORE_RENEW)
    }
    guard let session, let context = OpenSSLCallbacks.engine(ssl)?.context, context.mayResume(session) else {
        return SSL_TICKET_RETURN(SSL_TICKET_RETURN_IGNORE_RENEW)
    }
    return SSL_TICKET_RETURN(status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW)
}

/// In TLS 1.3 OpenSSL asks here too, with every identity that the client offers, tickets among them.
private func preSharedKey(
    ssl: OpaquePointer?, identity: UnsafePointer<CChar>?, key: UnsafeMutablePointer<UInt8>?, maxBytes: UInt32
) -> UInt32 {
    guard let engine = OpenSSLCallbacks.engine(ssl), let identity, let key else { return 0 }
    guard let found = engine.offeredPSK(String(validatingCString: identity)), found.count <= Int(maxBytes) else { return 0 }
    found.withBytes { UnsafeMutableRawBufferPointer(start: key, count: Int(maxBytes)).copyMemory(from: $0) }
    return UInt32(found.count)
}

/// Instead of OpenSSL's own verification, which would need the store in the SSL_CTX.
private func verifyClient(store: OpaquePointer?, argument: UnsafeMutableRawPointer?) -> Int32 {
    let pointer = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    guard let context = OpenSSLCallbacks.engine(OpaquePointer(pointer))?.context, let leaf = X509_STORE_CTX_get0_cert(store) else {
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED)
        return 0
    }
    let result = context.trusts(leaf, untrusted: X509_STORE_CTX_get0_untrusted(store))
    X509_STORE_CTX_set_error(store, result)
    return result == X509_V_OK ? 1 : 0
}
