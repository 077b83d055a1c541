import COpenSSL

/// An OCSP response from a file, given to clients that ask for one (RFC 6066 section 8) until it expires.
struct StapledResponse: Sendable {
    private let bytes: [UInt8]
    /// Seconds since 1970.
    let nextUpdateSeconds: Int64
    /// Whether it is another certificate's, as happens while both are renewed: then nobody gets it.
    let isForeign: Bool
    /// Whether it says that the certificate is revoked.
    let isRevoked: Bool

    init(file: String, for certificate: Certificate) throws(TLSConfigurationError) {
        bytes = try CertificateFile.read(file, maxBytes: 1 << 20).bytes
        let unusable = TLSConfigurationError(
            file: file, "is not a successful OCSP response in DER",
            remedy: "write it with openssl ocsp -issuer CA -cert CERT -url … -respout FILE")
        let parsed = bytes.withUnsafeBytes { raw in
            var start = raw.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return d2i_OCSP_RESPONSE(nil, &start, raw.count)
        }
        defer { ERR_clear_error() }
        guard let parsed else { throw unusable }
        defer { OCSP_RESPONSE_free(parsed) }
        guard OCSP_response_status(parsed) == OCSP_RESPONSE_STATUS_SUCCESSFUL, let basic = OCSP_response_get1_basic(parsed) else {
            throw unusable
        }
        defer { OCSP_BASICRESP_free(basic) }
        let answers = (0..<OCSP_resp_count(basic)).compactMap { OCSP_resp_get0(basic, $0) }
        guard !answers.isEmpty else { throw unusable }
        let own = answers.first { Self.isAbout(certificate, $0) }
        isForeign = own == nil
        var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        isRevoked = own.map { OCSP_single_get0_status($0, nil, nil, nil, &nextUpdate) } == V_OCSP_CERTSTATUS_REVOKED
        nextUpdateSeconds = nextUpdate.map { headwater_asn1_seconds($0) } ?? .max
    }

    /// Serial number and issuer's name; the issuer's key need not be at hand, and the client compares it.
    private static func isAbout(_ certificate: Certificate, _ answer: OpaquePointer) -> Bool {
        let id = OCSP_SINGLERESP_get0_id(answer)
        var nameHash: UnsafeMutablePointer<ASN1_OCTET_STRING>?
        var algorithm: OpaquePointer?
        var serial: UnsafeMutablePointer<ASN1_INTEGER>?
        guard OCSP_id_get0_info(&nameHash, &algorithm, nil, &serial, id) == 1, let nameHash, let serial,
            ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate.pointer)) == 0,
            let digest = EVP_get_digestbyname(OBJ_nid2sn(OBJ_obj2nid(algorithm)))
        else { return false }
        var expected = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_NAME_digest(X509_get_issuer_name(certificate.pointer), digest, &expected, &count) == 1 else { return false }
        return UnsafeRawBufferPointer(start: ASN1_STRING_get0_data(nameHash), count: Int(ASN1_STRING_length(nameHash))).elementsEqual(expected.prefix(Int(count)))
    }

    /// - Returns: Whether the client gets it.
    func staple(to ssl: OpaquePointer, nowSeconds: Int64) -> Bool {
        guard !isForeign, nowSeconds < nextUpdateSeconds else { return false }
        return bytes.withUnsafeBytes { headwater_tls_staple(ssl, $0.baseAddress, $0.count) == 1 }
    }
}
