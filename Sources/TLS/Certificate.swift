import COpenSSL

/// A certificate, with the certificates that its owner sent along with it.
///
/// Costs nothing beside the connection that it came over: references to what OpenSSL holds anyway.
// @unchecked: an X509 isn't changed once it is parsed, and its references are counted atomically.
package final class Certificate: @unchecked Sendable {
    let pointer: OpaquePointer
    /// STACK_OF(X509), or nil.
    let untrusted: OpaquePointer?

    /// Takes over one reference to each.
    init(owning pointer: OpaquePointer, untrusted: OpaquePointer? = nil) {
        self.pointer = pointer
        self.untrusted = untrusted
        // What the extensions say is cached in the certificate at first use, under a lock: here, so that nobody waits for it later.
        _ = X509_check_purpose(pointer, -1, 0)
    }

    deinit {
        X509_free(pointer)
        if let untrusted { headwater_x509_free_all(untrusted) }
    }

    /// Seconds since 1970; a time that can't be read has long passed.
    package var notAfterSeconds: Int64 { headwater_asn1_seconds(X509_get0_notAfter(pointer)) }
    /// Seconds since 1970; a time that can't be read has passed.
    package var notBeforeSeconds: Int64 { headwater_asn1_seconds(X509_get0_notBefore(pointer)) }

    /// The distinguished name in the form of RFC 2253, all of it ASCII: other characters and controls are escaped.
    package var subject: String { Self.text(X509_get_subject_name(pointer)) }
    package var issuer: String { Self.text(X509_get_issuer_name(pointer)) }

    /// Upper-case hexadecimal digits without separators, as `openssl x509 -serial` prints it.
    package var serialHex: String {
        guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(pointer), nil) else { return "" }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { headwater_openssl_free(text) }
        return String(cString: text)
    }

    /// SHA-256 of the whole certificate, 64 lower-case hexadecimal digits.
    package var fingerprint: String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(pointer, EVP_sha256(), &digest, &count) == 1 else { return "" }
        return hexDigits(digest.prefix(Int(count)))
    }

    /// "EC", "RSA", "ED25519": certificates of different kinds may stand side by side for the same names.
    var keyKind: Int32 { X509_get0_pubkey(pointer).map { EVP_PKEY_get_base_id($0) } ?? 0 }

    private static func text(_ name: OpaquePointer?) -> String {
        guard let name, let memory = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(memory) }
        guard X509_NAME_print_ex(memory, name, 0, headwater_rfc2253_flags()) >= 0 else { return "" }
        var start: UnsafeMutablePointer<CChar>?
        let count = headwater_bio_bytes(memory, &start)
        guard let start, count > 0 else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}

func hexDigits(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] { text.append(digit < 10 ? 48 + digit : 87 + digit) }
    }
    return String(decoding: text, as: UTF8.self)
}
