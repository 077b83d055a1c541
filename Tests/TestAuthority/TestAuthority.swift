import COpenSSL
import Foundation

/// A certificate authority in memory.
package final class TestAuthority: Sendable {
    package let own: Issued
    private static let serials = LockedCounter()

    package init(_ name: String, issuer: TestAuthority? = nil) {
        let profile = Profile(name).with {
            $0.isAuthority = true
            $0.usage = nil
        }
        own = issuer.map { $0.issue(profile) } ?? Self.make(profile, signedBy: nil)
    }

    package func issue(_ profile: Profile) -> Issued { Self.make(profile, signedBy: own) }

    package static func makeKey(_ kind: Profile.KeyKind) -> OpaquePointer {
        let context = EVP_PKEY_CTX_new_id(kind == .ec ? EVP_PKEY_EC : EVP_PKEY_RSA, nil)
        defer { EVP_PKEY_CTX_free(context) }
        EVP_PKEY_keygen_init(context)
        switch kind {
        case .ec: EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1)
        case .rsa: EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2_048)
        case .rsa1024: EVP_PKEY_CTX_set_rsa_keygen_bits(context, 1_024)
        }
        var key: OpaquePointer?
        precondition(EVP_PKEY_keygen(context, &key) == 1)
        return key!
    }

    private static func make(_ profile: Profile, signedBy issuer: Issued?) -> Issued {
        let key = makeKey(profile.key)
        let certificate = X509_new()!
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serials.next())
        X509_set_pubkey(certificate, key)
        ASN1_TIME_set(X509_getm_notBefore(certificate), time_t(profile.notBefore))
        ASN1_TIME_set(X509_getm_notAfter(certificate), time_t(profile.notAfter))
        let name = X509_NAME_new()
        for entry in profile.commonNames {
            X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, entry, Int32(entry.count), -1, 0)
        }
        var filling = profile.padding
        while filling > 0 {
            let part = [UInt8](repeating: 120, count: min(filling, 16_000))
            X509_NAME_add_entry_by_NID(name, NID_description, V_ASN1_UTF8STRING, part, Int32(part.count), -1, 0)
            filling -= part.count
        }
        for (value, attribute) in [(profile.organization, NID_organizationName), (profile.unit, NID_organizationalUnitName)] {
            guard let value else { continue }
            X509_NAME_add_entry_by_NID(name, attribute, V_ASN1_UTF8STRING, Array(value.utf8), Int32(value.utf8.count), -1, 0)
        }
        X509_set_subject_name(certificate, name)
        X509_set_issuer_name(certificate, issuer.map { X509_get_subject_name($0.certificate) } ?? name)
        X509_NAME_free(name)
        func extend(_ nid: Int32, _ value: String?) {
            guard let value, let made = X509V3_EXT_conf_nid(nil, nil, nid, value) else { return }
            X509_add_ext(certificate, made, -1)
            X509_EXTENSION_free(made)
        }
        extend(NID_basic_constraints, profile.isAuthority ? "critical,CA:TRUE" : "critical,CA:FALSE")
        extend(NID_key_usage, profile.isAuthority ? "critical,keyCertSign,cRLSign,digitalSignature" : "digitalSignature")
        extend(NID_ext_key_usage, profile.usage)
        extend(NID_subject_alt_name, profile.alternativeNames)
        if let raw = profile.rawAlternativeNames {
            let content = ASN1_OCTET_STRING_new()
            ASN1_OCTET_STRING_set(content, raw, Int32(raw.count))
            let made = X509_EXTENSION_create_by_NID(nil, NID_subject_alt_name, 0, content)
            X509_add_ext(certificate, made, -1)
            X509_EXTENSION_free(made)
            ASN1_OCTET_STRING_free(content)
        }
        precondition(X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0)
        return Issued(certificate, key)
    }

    /// A revocation list in PEM.
    package func list(revoking revoked: [Issued] = [], nextUpdate: Int64 = Int64(time(nil)) + 86_400) -> String {
        let list = X509_CRL_new()
        defer { X509_CRL_free(list) }
        X509_CRL_set_version(list, 1)
        X509_CRL_set_issuer_name(list, X509_get_subject_name(own.certificate))
        let now = ASN1_TIME_set(nil, time(nil) - 7_200)
        X509_CRL_set1_lastUpdate(list, now)
        let next = ASN1_TIME_set(nil, time_t(nextUpdate))
        X509_CRL_set1_nextUpdate(list, next)
        for certificate in revoked {
            let entry = X509_REVOKED_new()
            X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.certificate))
            X509_REVOKED_set_revocationDate(entry, now)
            X509_CRL_add0_revoked(list, entry)
        }
        ASN1_TIME_free(now)
        ASN1_TIME_free(next)
        X509_CRL_sort(list)
        precondition(X509_CRL_sign(list, own.key, EVP_sha256()) > 0)
        return text { PEM_write_bio_X509_CRL($0, list) }
    }

    /// An OCSP response in DER that finds nothing against the certificate.
    package func ocspResponse(for certificate: Issued, nextUpdate: Int64) -> [UInt8] {
        let basic = OCSP_BASICRESP_new()
        let id = OCSP_cert_to_id(EVP_sha1(), certificate.certificate, own.certificate)
        let now = ASN1_TIME_set(nil, time(nil) - 60)
        let next = ASN1_TIME_set(nil, time_t(nextUpdate))
        OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nil, now, next)
        OCSP_basic_sign(basic, own.certificate, own.key, EVP_sha256(), nil, 0)
        let response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic)
        var start: UnsafeMutablePointer<UInt8>?
        let count = i2d_OCSP_RESPONSE(response, &start)
        defer {
            headwater_openssl_free(start)
            OCSP_RESPONSE_free(response)
            OCSP_BASICRESP_free(basic)
            OCSP_CERTID_free(id)
            ASN1_TIME_free(now)
            ASN1_TIME_free(next)
        }
        return Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
}

/// `@unchecked`: the value is behind the lock.
private final class LockedCounter: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Int64 = 1_000

    func next() -> Int64 {
        lock.withLock {
            value += 1
            return value
        }
    }
}
