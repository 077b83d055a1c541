import COpenSSL

/// An OCSP response from a file, given to clients that ask for one (RFC 6066 section 8) until it expires.
struct StapledResponse: Sendable {
    private let bytes: [UInt8]
    /// Seconds since 1970.
    let nextUpdateSeconds: Int64

    init(file: String) throws(TLSConfigurationError) {
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
        guard let single = OCSP_resp_get0(basic, 0) else { throw unusable }
        var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        OCSP_single_get0_status(single, nil, nil, nil, &nextUpdate)
        nextUpdateSeconds = nextUpdate.map { headwater_asn1_seconds($0) } ?? .max
    }

    /// - Returns: Whether the client gets it.
    func staple(to ssl: OpaquePointer, nowSeconds: Int64) -> Bool {
        guard nowSeconds < nextUpdateSeconds else { return false }
        return bytes.withUnsafeBytes { headwater_tls_staple(ssl, $0.baseAddress, $0.count) == 1 }
    }
}
