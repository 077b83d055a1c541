import COpenSSL

/// The names in a certificate that can become a user name or a tenant.
///
/// A name with a NUL in it, or one that isn't UTF-8, is in none of the lists and makes the whole set unusable: "admin\0.example.org"
/// must not pass for "admin" with anybody who looks at it later.
struct CertificateNames {
    var commonNames: [String] = []
    var organizations: [String] = []
    var organizationalUnits: [String] = []
    var dnsNames: [String] = []
    var uris: [String] = []
    var emails: [String] = []
    var hasUnusable = false

    init(_ certificate: Certificate) {
        let subject = X509_get_subject_name(certificate.pointer)
        commonNames = entries(subject, NID_commonName)
        organizations = entries(subject, NID_organizationName)
        organizationalUnits = entries(subject, NID_organizationalUnitName)
        guard let names = headwater_alternative_names(certificate.pointer) else {
            if X509_get_ext_by_NID(certificate.pointer, NID_subject_alt_name, -1) >= 0 { hasUnusable = true }
            ERR_clear_error()
            return
        }
        defer { GENERAL_NAMES_free(names) }
        for index in 0..<headwater_alternative_name_count(names) {
            var kind: Int32 = 0
            guard let text = headwater_alternative_name(names, index, &kind) else { continue }
            let bytes = UnsafeRawBufferPointer(start: ASN1_STRING_get0_data(text), count: Int(ASN1_STRING_length(text)))
            // IA5String is ASCII (RFC 5280 section 4.2.1.6).
            guard let name = usable(bytes), name.utf8.allSatisfy({ $0 < 0x80 }) else {
                hasUnusable = true
                continue
            }
            switch kind {
            case GEN_DNS: dnsNames.append(name)
            case GEN_URI: uris.append(name)
            default: emails.append(name)
            }
        }
    }

    private mutating func entries(_ name: OpaquePointer?, _ attribute: Int32) -> [String] {
        guard let name else { return [] }
        var found: [String] = []
        var index = X509_NAME_get_index_by_NID(name, attribute, -1)
        while index >= 0 {
            if let text = text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index))) {
                found.append(text)
            } else {
                hasUnusable = true
            }
            index = X509_NAME_get_index_by_NID(name, attribute, index)
        }
        return found
    }

    private func text(_ string: UnsafeMutablePointer<ASN1_STRING>?) -> String? {
        guard let string else { return nil }
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&bytes, string)
        guard count >= 0, let bytes else {
            ERR_clear_error()
            return nil
        }
        defer { headwater_openssl_free(bytes) }
        return usable(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
    }

    private func usable(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}
