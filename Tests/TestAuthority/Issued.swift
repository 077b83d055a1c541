import COpenSSL

/// A certificate with its key, in PEM.
///
/// `@unchecked`: neither is changed once it is made, and OpenSSL counts references atomically.
package final class Issued: @unchecked Sendable {
    package let certificate: OpaquePointer
    package let key: OpaquePointer

    package init(_ certificate: OpaquePointer, _ key: OpaquePointer) {
        self.certificate = certificate
        self.key = key
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    package var pem: String { text { PEM_write_bio_X509($0, certificate) } }
    package var keyPEM: String { text { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) } }
    package var der: [UInt8] {
        var start: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509(certificate, &start)
        defer { headwater_openssl_free(start) }
        return Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }
    package func encryptedKeyPEM(_ passphrase: String) -> String {
        text { PEM_write_bio_PrivateKey($0, key, EVP_aes_256_cbc(), passphrase, Int32(passphrase.utf8.count), nil, nil) }
    }
}

/// What OpenSSL writes into a buffer in memory.
func text(_ write: (OpaquePointer?) -> Int32) -> String {
    let memory = BIO_new(BIO_s_mem())
    defer { BIO_free(memory) }
    precondition(write(memory) == 1)
    var start: UnsafeMutablePointer<CChar>?
    let count = headwater_bio_bytes(memory, &start)
    return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
}
