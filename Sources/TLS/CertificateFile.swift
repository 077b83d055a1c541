import COpenSSL
import Glibc

/// Files of certificates, keys and lists, read whole and in bounds before OpenSSL sees them.
enum CertificateFile {
    /// Revocation lists of a large fleet have some megabytes.
    static let maxBytes = 64 << 20

    /// Never waits: a FIFO or a device in the place of a file is an error.
    static func read(_ path: String, maxBytes: Int = maxBytes) throws(TLSConfigurationError) -> (bytes: [UInt8], mode: mode_t) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw TLSConfigurationError(
                file: path, "can't be read: \(reason(errno))",
                remedy: errno == ENOENT ? "check the path" : "let the user that the broker runs as read it")
        }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            throw TLSConfigurationError(file: path, "is not a regular file", remedy: "give the path of a file")
        }
        var bytes = [UInt8]()
        bytes.reserveCapacity(min(Int(facts.st_size), maxBytes) + 1)
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw TLSConfigurationError(file: path, "can't be read: \(reason(errno))", remedy: "check the file system")
            }
            if count == 0 { return (bytes, facts.st_mode) }
            guard bytes.count + count <= maxBytes else {
                throw TLSConfigurationError(
                    file: path, "is larger than \(maxBytes) bytes", remedy: "check that it is the file that was meant")
            }
            bytes.append(contentsOf: block[..<count])
        }
    }

    /// All certificates of a PEM file, in their order. The caller owns a reference to each.
    static func certificates(
        _ bytes: [UInt8], file: String, mayHaveNone: Bool = false
    ) throws(TLSConfigurationError) -> [Certificate] {
        var found: [Certificate] = []
        let damaged = withReader(bytes) { reader in
            while let next = PEM_read_bio_X509(reader, nil, refusePassphrase, nil) { found.append(Certificate(owning: next)) }
            return !atEndOfPEM()
        }
        if damaged {
            throw TLSConfigurationError(
                file: file, "the \(ordinal(found.count + 1)) certificate in it can't be read: it is damaged",
                remedy: "write the file again; it must hold PEM certificates (-----BEGIN CERTIFICATE-----)")
        }
        if found.isEmpty, !mayHaveNone {
            throw TLSConfigurationError(
                file: file, "there is no certificate in it",
                remedy: "it must hold PEM certificates (-----BEGIN CERTIFICATE-----)\(derHint(bytes))")
        }
        return found
    }

    /// Owned by the caller.
    static func privateKey(_ bytes: [UInt8], file: String, passphrase: SecretBytes?) throws(TLSConfigurationError) -> OpaquePointer {
        var answer = PassphraseAnswer(passphrase)
        let key = withReader(bytes) { reader in
            withUnsafeMutablePointer(to: &answer) { PEM_read_bio_PrivateKey(reader, nil, givePassphrase, $0) }
        }
        if let key {
            ERR_clear_error()
            return key
        }
        ERR_clear_error()
        if answer.wasAsked {
            guard passphrase != nil else {
                throw TLSConfigurationError(
                    file: file, "the private key is encrypted and there is no passphrase for it",
                    remedy: "configure a source for the passphrase, or decrypt the key: openssl pkey -in KEY -out PLAINKEY")
            }
            throw TLSConfigurationError(
                file: file, "the passphrase does not open the private key", remedy: "check the file or variable that holds the passphrase")
        }
        throw TLSConfigurationError(
            file: file, "there is no private key in it that can be read",
            remedy: "it must hold a PEM key (-----BEGIN PRIVATE KEY-----)\(derHint(bytes))")
    }

    /// Whether others than owner and group may read a file with this mode.
    static func isWorldReadable(_ mode: mode_t) -> Bool { mode & 0o004 != 0 }

    static func withReader<Result>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> Result) -> Result {
        ERR_clear_error()
        return bytes.withUnsafeBytes { raw in
            let reader = BIO_new_mem_buf(raw.baseAddress, Int32(raw.count))
            defer { BIO_free(reader) }
            return body(reader)
        }
    }

    /// After a PEM reader has returned nothing: there was no more, and not something that can't be read. Empties the error queue.
    static func atEndOfPEM() -> Bool {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        return code == 0 || headwater_error_library(code) == ERR_LIB_PEM && headwater_error_reason(code) == PEM_R_NO_START_LINE
    }

    /// DER begins with a SEQUENCE of long form.
    static func derHint(_ bytes: [UInt8]) -> String {
        bytes.starts(with: [0x30, 0x82]) ? "; this one is DER: convert it with openssl x509 or openssl pkey, -inform DER" : ""
    }

    static func ordinal(_ number: Int) -> String {
        switch number {
        case 1: "first"
        case 2: "second"
        case 3: "third"
        default: "\(number)th"
        }
    }

    static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

private struct PassphraseAnswer {
    let passphrase: SecretBytes?
    var wasAsked = false

    init(_ passphrase: SecretBytes?) { self.passphrase = passphrase }
}

/// OpenSSL would ask on the terminal without a callback.
private func givePassphrase(buffer: UnsafeMutablePointer<CChar>?, size: Int32, isWriting: Int32, argument: UnsafeMutableRawPointer?)
    -> Int32
{
    guard let answer = argument?.assumingMemoryBound(to: PassphraseAnswer.self), let buffer else { return -1 }
    answer.pointee.wasAsked = true
    guard let passphrase = answer.pointee.passphrase, passphrase.count <= Int(size) else { return -1 }
    passphrase.withBytes { UnsafeMutableRawBufferPointer(start: buffer, count: Int(size)).copyMemory(from: $0) }
    return Int32(passphrase.count)
}

private func refusePassphrase(buffer: UnsafeMutablePointer<CChar>?, size: Int32, isWriting: Int32, argument: UnsafeMutableRawPointer?)
    -> Int32
{
    -1
}
