import COpenSSL

/// A client's settings, loaded.
// @unchecked: nothing here changes after init; an SSL_CTX may then be used by any number of threads.
package final class TLSClientContext: @unchecked Sendable {
    let configuration: TLSClientConfiguration
    private let context: OpaquePointer

    package init(_ configuration: TLSClientConfiguration) throws(TLSConfigurationError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw TLSConfigurationError("no memory for a TLS context", remedy: "free memory")
        }
        self.configuration = configuration
        self.context = context
        // If this throws, everything is initialised: deinit frees the context.
        try Self.configure(context, configuration)
    }

    deinit { SSL_CTX_free(context) }

    private static func configure(
        _ context: OpaquePointer, _ configuration: TLSClientConfiguration
    ) throws(TLSConfigurationError) {
        defer { ERR_clear_error() }
        SSL_CTX_set_options(context, UInt64(headwater_tls_options()))
        headwater_tls_release_buffers(context)
        headwater_tls_no_session_cache(context)
        guard headwater_tls_set_versions(context, configuration.minimumVersion.rawValue, configuration.maximumVersion.rawValue) == 1 else {
            throw TLSConfigurationError("this OpenSSL doesn't speak the versions asked for", remedy: "choose other versions")
        }
        var list = configuration.cipherList
        if list == nil, configuration.minimumVersion < .v1_2 { list = "DEFAULT:@SECLEVEL=0" }
        if let list, SSL_CTX_set_cipher_list(context, list) != 1 {
            throw TLSConfigurationError("OpenSSL finds no cipher in \"\(list)\"", remedy: "try it with: openssl ciphers -v '\(list)'")
        }
        if let suites = configuration.cipherSuites, SSL_CTX_set_ciphersuites(context, suites) != 1 {
            throw TLSConfigurationError("OpenSSL doesn't know all of the cipher suites \"\(suites)\"", remedy: "correct them")
        }
        if let groups = configuration.groups, headwater_tls_set_groups(context, groups) != 1 {
            throw TLSConfigurationError("OpenSSL doesn't know all of the groups \"\(groups)\"", remedy: "correct them")
        }
        let protocols = configuration.applicationProtocols.flatMap { [UInt8(clamping: $0.utf8.count)] + Array($0.utf8) }
        if !protocols.isEmpty { SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count)) }
        if let pair = configuration.certificate {
            let loaded = try ServerCertificate(pair, nowSeconds: nil)
            defer { EVP_PKEY_free(loaded.key) }
            SSL_CTX_use_certificate(context, loaded.leaf.pointer)
            SSL_CTX_use_PrivateKey(context, loaded.key)
            for intermediate in loaded.chain { headwater_tls_add_chain_certificate(context, intermediate.pointer) }
        }
        if configuration.pskIdentity != nil { SSL_CTX_set_psk_client_callback(context, clientPreSharedKey) }
        guard !configuration.isInsecure else { return SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil) }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let file = configuration.caFile {
            let store = SSL_CTX_get_cert_store(context)
            for authority in try CertificateFile.certificates(CertificateFile.read(file).bytes, file: file) {
                X509_STORE_add_cert(store, authority.pointer)
            }
        } else {
            SSL_CTX_set_default_verify_paths(context)
        }
    }

    /// For one connection.
    /// - Parameters:
    ///   - host: Name or IP address that the server's certificate must have; a name is asked for by SNI as well.
    ///   - serverName: Asked for by SNI in the place of `host`.
    package func makeEngine(host: String?, serverName: String? = nil, resuming session: TLSSession? = nil) -> sending TLSEngine? {
        guard let engine = TLSEngine(client: self, context) else { return nil }
        defer { ERR_clear_error() }
        var isAddress = false
        if let host, let parameters = SSL_get0_param(engine.ssl) {
            isAddress = X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1
            if !isAddress, X509_VERIFY_PARAM_set1_host(parameters, host, host.utf8.count) != 1 { return nil }
        }
        if let name = serverName ?? (isAddress ? nil : host) { headwater_tls_set_server_name(engine.ssl, name) }
        if let session { SSL_set_session(engine.ssl, session.pointer) }
        return engine
    }
}

/// What a client keeps to resume: session secrets and ticket.
// @unchecked: an SSL_SESSION that was taken from its connection isn't changed, and its references are counted atomically.
package final class TLSSession: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Of a client's connection, when the ticket has come (in TLS 1.3: after the handshake). `nil`: there is none.
    package init?(_ engine: TLSEngine) {
        guard let session = SSL_get1_session(engine.ssl) else { return nil }
        guard SSL_SESSION_is_resumable(session) == 1 else {
            SSL_SESSION_free(session)
            return nil
        }
        pointer = session
    }

    deinit { SSL_SESSION_free(pointer) }

    /// Bytes that the server would take before the handshake.
    package var maxEarlyDataBytes: Int { Int(SSL_SESSION_get_max_early_data(pointer)) }
}

private func clientPreSharedKey(
    ssl: OpaquePointer?, hint: UnsafePointer<CChar>?, identity: UnsafeMutablePointer<CChar>?, maxIdentityBytes: UInt32,
    key: UnsafeMutablePointer<UInt8>?, maxKeyBytes: UInt32
) -> UInt32 {
    guard let configuration = OpenSSLCallbacks.engine(ssl)?.clientContext?.configuration, let name = configuration.pskIdentity,
        let secret = configuration.preSharedKey, let identity, let key, name.utf8.count < Int(maxIdentityBytes),
        secret.count <= Int(maxKeyBytes)
    else { return 0 }
    let text = Array(name.utf8) + [0]
    UnsafeMutableRawBufferPointer(start: identity, count: Int(maxIdentityBytes)).copyBytes(from: text)
    secret.withBytes { UnsafeMutableRawBufferPointer(start: key, count: Int(maxKeyBytes)).copyMemory(from: $0) }
    return UInt32(secret.count)
}
