/// Version 2: a signature, 4 bytes, addresses, and records of type, length and value (TLV).
extension ProxyHeader {
    private static let fixedBytes = 16

    private enum Record {
        static let alpn: UInt8 = 0x01
        static let authority: UInt8 = 0x02
        static let crc32c: UInt8 = 0x03
        static let uniqueID: UInt8 = 0x05
        static let ssl: UInt8 = 0x20
        static let sslVersion: UInt8 = 0x21
        static let sslCommonName: UInt8 = 0x22
        static let sslCipher: UInt8 = 0x23
    }

    /// Bits of the first byte of an SSL record.
    private enum Client {
        static let ssl: UInt8 = 1
        static let certificateOnConnection: UInt8 = 2
        static let certificateInSession: UInt8 = 4
    }

    private struct Malformed: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    static func parseV2(_ bytes: UnsafeRawBufferPointer, maxBytes: Int) -> Parsed {
        guard zip(bytes, signature).allSatisfy({ $0 == $1 }) else { return .malformed("no PROXY header") }
        if bytes.count > 12 {
            guard bytes[12] >> 4 == 2 else { return .malformed("binary header of another version") }
            guard bytes[12] & 0x0F < 2 else { return .malformed("unknown command") }
        }
        guard bytes.count >= fixedBytes else { return .needMore }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        guard length <= maxBytes else { return .malformed("header of \(length) bytes, above the limit of \(maxBytes)") }
        guard bytes.count >= fixedBytes + length else { return .needMore }
        let all = UnsafeRawBufferPointer(rebasing: bytes[..<(fixedBytes + length)])
        do throws(Malformed) {
            return .header(try header(of: all), byteCount: all.count)
        } catch {
            return .malformed(error.reason)
        }
    }

    private static func header(of bytes: UnsafeRawBufferPointer) throws(Malformed) -> ProxyHeader {
        // LOCAL: whatever follows is to be ignored.
        guard bytes[12] & 0x0F == 1 else { return ProxyHeader(isLocal: true) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[fixedBytes...])
        var header = ProxyHeader()
        let addressBytes: Int
        switch bytes[13] {
        case 0x00: return header  // UNSPEC: the same
        case 0x11:
            addressBytes = 12
            try require(addressBytes, in: body)
            header.source = address(in: body, at: 0, portAt: 8, bytes: 4)
            header.destination = address(in: body, at: 4, portAt: 10, bytes: 4)
        case 0x21:
            addressBytes = 36
            try require(addressBytes, in: body)
            header.source = address(in: body, at: 0, portAt: 32, bytes: 16)
            header.destination = address(in: body, at: 16, portAt: 34, bytes: 16)
        case 0x31:
            addressBytes = 216
            try require(addressBytes, in: body)
            header.source = .unix
            header.destination = .unix
        default: throw Malformed("address family and protocol \(bytes[13]) are not those of a stream")
        }
        try read(UnsafeRawBufferPointer(rebasing: body[addressBytes...]), of: bytes, into: &header)
        return header
    }

    private static func require(_ count: Int, in body: UnsafeRawBufferPointer) throws(Malformed) {
        guard body.count >= count else { throw Malformed("header is shorter than its addresses") }
    }

    private static func address(in body: UnsafeRawBufferPointer, at start: Int, portAt: Int, bytes: Int) -> PeerAddress? {
        let ip = IPAddress(networkOrder: UnsafeRawBufferPointer(rebasing: body[start..<start + bytes]))
        return ip.map { .ip($0, port: UInt16(body[portAt]) << 8 | UInt16(body[portAt + 1])) }
    }

    private static func read(
        _ records: UnsafeRawBufferPointer, of whole: UnsafeRawBufferPointer, into header: inout ProxyHeader
    ) throws(Malformed) {
        var seen = Set<UInt8>()
        try forEach(in: records) { (type, value) throws(Malformed) in
            switch type {
            case Record.alpn, Record.authority, Record.crc32c, Record.uniqueID, Record.ssl:
                guard seen.insert(type).inserted else { throw Malformed("record \(type) twice") }
            default: return
            }
            switch type {
            case Record.alpn: header.alpn = try text(value, maxBytes: 255)
            case Record.authority: header.authority = try text(value, maxBytes: 255).lowercased()
            case Record.uniqueID:
                guard value.count <= 128 else { throw Malformed("unique identifier above 128 bytes") }
                header.uniqueID = Array(value)
            case Record.crc32c:
                guard value.count == 4, isIntact(whole, checksum: value) else { throw Malformed("checksum does not match") }
            default: header.tls = try tls(value)
            }
        }
    }

    private static func tls(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> TLS? {
        guard bytes.count >= 5 else { throw Malformed("SSL record is too short") }
        var tls = TLS()
        // 0 only where a certificate was presented and verified; without one it says nothing.
        let isVerified = bytes[1] | bytes[2] | bytes[3] | bytes[4] == 0
        tls.hasVerifiedCertificate = isVerified && bytes[0] & (Client.certificateOnConnection | Client.certificateInSession) != 0
        var seen = Set<UInt8>()
        try forEach(in: UnsafeRawBufferPointer(rebasing: bytes[5...])) { (type, value) throws(Malformed) in
            switch type {
            case Record.sslVersion, Record.sslCommonName, Record.sslCipher:
                guard seen.insert(type).inserted else { throw Malformed("record \(type) twice") }
            default: return
            }
            let text = try text(value, maxBytes: 1_024)
            switch type {
            case Record.sslVersion: tls.version = text
            case Record.sslCipher: tls.cipher = text
            default: tls.commonName = text
            }
        }
        // A name that nobody has verified is no name.
        if !tls.hasVerifiedCertificate { tls.commonName = nil }
        return bytes[0] & Client.ssl != 0 ? tls : nil
    }

    private static func forEach(
        in records: UnsafeRawBufferPointer, _ body: (UInt8, UnsafeRawBufferPointer) throws(Malformed) -> Void
    ) throws(Malformed) {
        var offset = 0
        while offset < records.count {
            guard offset + 3 <= records.count else { throw Malformed("record is cut off") }
            let count = Int(records[offset + 1]) << 8 | Int(records[offset + 2])
            guard offset + 3 + count <= records.count else { throw Malformed("record goes beyond the header") }
            try body(records[offset], UnsafeRawBufferPointer(rebasing: records[offset + 3..<offset + 3 + count]))
            offset += 3 + count
        }
    }

    /// Text that becomes part of names, logs and patterns: UTF-8 without control characters, as RFC 3629 has it.
    private static func text(_ bytes: UnsafeRawBufferPointer, maxBytes: Int) throws(Malformed) -> String {
        guard (1...maxBytes).contains(bytes.count), let text = String(validating: bytes, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
        else { throw Malformed("text in a record is empty, too long, no UTF-8, or has control characters") }
        return text
    }

    /// CRC-32C of the whole header, with zeros where the checksum is.
    private static func isIntact(_ whole: UnsafeRawBufferPointer, checksum: UnsafeRawBufferPointer) -> Bool {
        guard let start = whole.baseAddress, let place = checksum.baseAddress else { return false }
        let offset = place - start
        var sum = CRC32C()
        sum.add(whole[..<offset])
        for _ in 0..<4 { sum.add(0) }
        sum.add(whole[(offset + 4)...])
        return sum.value == UInt32(bigEndian: checksum.loadUnaligned(as: UInt32.self))
    }
}
