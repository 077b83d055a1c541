import COpenSSL

/// Why a handshake, or the connection after it, failed.
package struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A closed set of stable words, fit for a label of a metric.
    package enum Reason: String, Sendable, CaseIterable {
        case noSharedCipher = "no_shared_cipher"
        case unsupportedProtocol = "unsupported_protocol"
        /// The peer doesn't speak TLS at all: MQTT or HTTP in the clear, or noise.
        case plainText = "plain_text"
        case certificateRequired = "certificate_required"
        case certificateExpired = "certificate_expired"
        case certificateNotYetValid = "certificate_not_yet_valid"
        case certificateRevoked = "certificate_revoked"
        /// No usable revocation list for the certificate's issuer: it is missing, or out of date.
        case revocationUnknown = "revocation_unknown"
        case unknownCA = "unknown_ca"
        case badCertificate = "bad_certificate"
        /// The certificate isn't for a TLS client (or server): extended key usage, or an issuer that isn't a CA.
        case wrongPurpose = "wrong_purpose"
        case alpn = "alpn"
        case sni = "sni"
        case psk = "psk"
        /// The peer went before the handshake was complete.
        case closedEarly = "closed_early"
        case decryptError = "decrypt_error"
        /// The peer refused us; the detail is its alert.
        case peerAlert = "peer_alert"
        case other = "other"
    }

    package let reason: Reason
    /// For a log: OpenSSL's words, or the name of an alert. Nothing that the peer has chosen freely.
    package let detail: String

    package init(_ reason: Reason, _ detail: String = "") {
        self.reason = reason
        self.detail = detail
    }

    package var description: String { detail.isEmpty ? reason.rawValue : "\(reason.rawValue) (\(detail))" }

    /// - Parameter verifyResult: An X509_V_ERR_… code.
    init(verifyResult: Int) {
        let reason: Reason =
            switch Int32(truncatingIfNeeded: verifyResult) {
            case X509_V_ERR_CERT_HAS_EXPIRED: .certificateExpired
            case X509_V_ERR_CERT_NOT_YET_VALID: .certificateNotYetValid
            case X509_V_ERR_CERT_REVOKED: .certificateRevoked
            case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_CRL_HAS_EXPIRED, X509_V_ERR_CRL_NOT_YET_VALID,
                X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, X509_V_ERR_CRL_SIGNATURE_FAILURE:
                .revocationUnknown
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
                .unknownCA
            case X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_INVALID_CA: .wrongPurpose
            default: .badCertificate
            }
        self.init(reason, String(cString: X509_verify_cert_error_string(verifyResult)))
    }

    /// What OpenSSL's error queue of this thread says; the queue is empty afterwards.
    /// - Parameters:
    ///   - usedPSK: The handshake had got as far as a pre-shared key, which then explains what can't be decrypted.
    ///   - refusedPSK: The client named an identity that isn't known.
    static func fromErrorQueue(_ ssl: OpaquePointer, usedPSK: Bool, refusedPSK: Bool) -> TLSError {
        // Ciphers leave words of their own before those of libssl.
        var code = ERR_get_error()
        while code != 0, headwater_error_library(code) != ERR_LIB_SSL {
            let next = ERR_get_error()
            if next == 0 { break }
            code = next
        }
        ERR_clear_error()
        guard code != 0 else { return TLSError(.other, "no reason given") }
        let words = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
        guard headwater_error_library(code) == ERR_LIB_SSL else { return TLSError(.other, words) }
        let reason = headwater_error_reason(code)
        // Above the alerts are the reasons that all libraries share.
        if (SSL_AD_REASON_OFFSET..<SSL_AD_REASON_OFFSET + 256).contains(reason) {
            let alert = SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET).map { String(cString: $0) }
            return TLSError(.peerAlert, alert ?? "alert \(reason - SSL_AD_REASON_OFFSET)")
        }
        let known: Reason
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            let result = SSL_get_verify_result(ssl)
            return result == Int(X509_V_OK) ? TLSError(.badCertificate, words) : TLSError(verifyResult: result)
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
            SSL_R_NO_SHARED_GROUPS, SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_CERTIFICATE_SET:
            known = refusedPSK ? .psk : .noSharedCipher
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH, SSL_R_INAPPROPRIATE_FALLBACK,
            SSL_R_UNKNOWN_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE:
            known = .unsupportedProtocol
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_WRONG_VERSION_NUMBER: known = .plainText
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: known = .certificateRequired
        case SSL_R_NO_APPLICATION_PROTOCOL: known = .alpn
        case SSL_R_CALLBACK_FAILED: known = .sni
        case SSL_R_PSK_IDENTITY_NOT_FOUND, SSL_R_BINDER_DOES_NOT_VERIFY, SSL_R_BAD_PSK, SSL_R_BAD_PSK_IDENTITY: known = .psk
        case SSL_R_DIGEST_CHECK_FAILED, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SSL_R_DECRYPTION_FAILED, SSL_R_BAD_SIGNATURE:
            known = usedPSK ? .psk : .decryptError
        default: known = .other
        }
        return TLSError(known, words)
    }
}
