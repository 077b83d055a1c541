/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` CR LF.
extension ProxyHeader {
    static func parseV1(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        let mark = "PROXY ".utf8
        guard zip(bytes, mark).allSatisfy({ $0 == $1 }) else { return .malformed("no PROXY header") }
        let window = bytes.prefix(maxV1Bytes)
        guard let end = window.firstIndex(where: { $0 == 0x0D || $0 == 0x0A }), end + 1 < window.count || bytes[end] == 0x0A else {
            return window.count < maxV1Bytes ? .needMore : .malformed("no line end within \(maxV1Bytes) bytes")
        }
        guard bytes[end] == 0x0D, bytes[end + 1] == 0x0A, end > mark.count else { return .malformed("line does not end as it must") }
        guard let header = header(of: bytes[mark.count..<end]) else { return .malformed("addresses of version 1 can't be read") }
        return .header(header, byteCount: end + 2)
    }

    /// - Parameter line: What stands between `PROXY` and the line's end.
    private static func header(of line: Slice<UnsafeRawBufferPointer>) -> ProxyHeader? {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        // With UNKNOWN the rest of the line is to be ignored, whatever it is.
        if words[0].elementsEqual("UNKNOWN".utf8) { return ProxyHeader() }
        let isIPv6 = words[0].elementsEqual("TCP6".utf8)
        guard words.count == 5, isIPv6 || words[0].elementsEqual("TCP4".utf8),
            let source = address(words[1], words[3], isIPv6), let destination = address(words[2], words[4], isIPv6)
        else { return nil }
        return ProxyHeader(source: source, destination: destination)
    }

    private static func address(_ text: Slice<UnsafeRawBufferPointer>, _ port: Slice<UnsafeRawBufferPointer>, _ isIPv6: Bool)
        -> PeerAddress?
    {
        guard text.contains(UInt8(ascii: ":")) == isIPv6, let ip = IPAddress(String(decoding: text, as: UTF8.self)) else { return nil }
        // Canonical: digits alone, and no zero before them.
        guard (1...5).contains(port.count), port.allSatisfy({ (0x30...0x39).contains($0) }), port.count == 1 || port.first != 0x30,
            let number = UInt16(String(decoding: port, as: UTF8.self))
        else { return nil }
        return .ip(ip, port: number)
    }
}
