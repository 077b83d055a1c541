/// Where the records of a stream end (RFC 8446 section 5.1).
///
/// OpenSSL is lent whole records only. An incomplete one stays with the engine, in as many bytes as have come, while OpenSSL would
/// take a buffer of 17 kB for the first byte of it.
enum RecordScanner {
    static let headerBytes = 5
    /// A longer one is refused by OpenSSL, in every version: TLSCiphertext of TLS 1.2 is the longest.
    static let maxFragmentBytes = 16_384 + 2_048

    /// Bytes of the record that begins at `bytes`, or `nil` if not even its header is there.
    ///
    /// A record that is longer than allowed ends after its header: OpenSSL says what it thinks of it, and nobody waits for the rest.
    @inline(__always)
    static func recordBytes(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= headerBytes else { return nil }
        let fragment = Int(bytes[3]) << 8 | Int(bytes[4])
        return fragment <= maxFragmentBytes ? headerBytes + fragment : headerBytes
    }

    /// The whole records at the front of `bytes`.
    /// - Returns: Their number, and all their bytes together.
    @inline(__always)
    static func wholeRecords(_ bytes: UnsafeRawBufferPointer) -> (count: Int, bytes: Int) {
        var count = 0
        var end = 0
        while let length = recordBytes(UnsafeRawBufferPointer(rebasing: bytes[end...])), end &+ length <= bytes.count {
            end &+= length
            count &+= 1
        }
        return (count, end)
    }

    /// What the first record of a client must be: a ClientHello whose length is in bounds. OpenSSL would take memory for the
    /// length that the message claims.
    enum Opening { case clientHello, plainText, oldVersion, malformed }

    /// A ClientHello is a few hundred bytes, with a post-quantum key share and a ticket a few thousand.
    static let maxClientHelloBytes = 32_768

    /// `record`: at least one byte; as many as are there.
    static func opening(_ record: UnsafeRawBufferPointer) -> Opening? {
        guard record[0] == 22 else {
            // An SSL 2.0 ClientHello has its own header.
            guard record[0] & 0x80 != 0 else { return .plainText }
            return record.count < 3 ? nil : record[2] == 1 ? .oldVersion : .plainText
        }
        if record.count > 1, record[1] != 3 { return .plainText }
        guard record.count >= headerBytes else { return nil }
        let fragment = Int(record[3]) << 8 | Int(record[4])
        // No client splits the four bytes of the message's header over records.
        guard fragment >= 4, fragment <= maxFragmentBytes else { return .malformed }
        guard record.count >= headerBytes + 4 else { return nil }
        let message = Int(record[6]) << 16 | Int(record[7]) << 8 | Int(record[8])
        return record[5] == 1 && message <= maxClientHelloBytes ? .clientHello : .malformed
    }
}
