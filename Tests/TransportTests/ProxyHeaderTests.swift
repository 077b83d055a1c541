import Testing

@testable import Transport

/// Headers of version 2, right ones and wrong ones.
enum ProxyV2 {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let inet: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x22, 0xB3]

    static func make(_ command: UInt8 = 0x21, _ family: UInt8 = 0x11, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 0xFF)] + body
    }

    static func record(_ type: UInt8, _ value: [UInt8]) -> [UInt8] { [type, UInt8(value.count >> 8), UInt8(value.count & 0xFF)] + value }
    static func record(_ type: UInt8, _ value: String) -> [UInt8] { record(type, Array(value.utf8)) }

    static func ssl(_ client: UInt8, verify: [UInt8] = [0, 0, 0, 0], _ records: [UInt8] = []) -> [UInt8] {
        record(0x20, [client] + verify + records)
    }
}

@Suite("PROXY headers")
struct ProxyHeaderTests {
    private func parse(_ bytes: some Collection<UInt8>, accepting: Set<ProxyHeader.Version> = [.v1, .v2]) -> ProxyHeader.Parsed {
        Array(bytes).withUnsafeBytes { ProxyHeader.parse($0, accepting: accepting, maxBytes: 4096) }
    }

    private func isMalformed(_ bytes: some Collection<UInt8>) -> Bool {
        if case .malformed = parse(bytes) { true } else { false }
    }

    private func header(_ bytes: [UInt8]) throws -> ProxyHeader {
        guard case .header(let header, let count) = parse(bytes + [0x10]), count == bytes.count else {
            Issue.record("\(parse(bytes))")
            throw CancellationError()
        }
        return header
    }

    private func peer(_ address: String, _ port: UInt16) -> PeerAddress { .ip(IPAddress(address)!, port: port) }

    // MARK: Version 1

    @Test("the three kinds of version 1")
    func v1() throws {
        let v4 = try header(Array("PROXY TCP4 255.255.255.255 192.0.2.2 65535 443\r\n".utf8))
        #expect(v4 == ProxyHeader(source: peer("255.255.255.255", 65535), destination: peer("192.0.2.2", 443)))
        let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 0\r\n"
        #expect(try header(Array(longest.utf8)).source == peer("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535))
        for text in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 whatever it is 1 2\r\n"] {
            #expect(try header(Array(text.utf8)) == ProxyHeader())
        }
    }

    @Test(
        "a line of version 1 that is wrong in any way is refused",
        arguments: [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "PROXY TCP6 [::1] ::2 1 2\r\n", "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY\r\n", "PROXY \r\n", "PROXY TCP4\r\n", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXX TCP4", "GET / HTTP/1.1\r\n",
            "P\r\n", "PROXY UNKNOWNX\r\n",
            "PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n",
        ])
    func v1Malformed(text: String) {
        #expect(isMalformed(Array(text.utf8)))
        // A fault never turns into a header by more bytes.
        #expect(isMalformed(Array(text.utf8) + Array(" 1 2\r\n".utf8)))
    }

    @Test("a line of version 1 has 107 bytes at most, its end included, and no more are awaited")
    func v1Longest() {
        let line = Array("PROXY UNKNOWN ".utf8)
        let longest = line + [UInt8](repeating: 0x61, count: 105 - line.count)
        #expect(parse(longest) == .needMore)
        #expect(parse(longest + [0x0D]) == .needMore)
        #expect(parse(longest + [0x0D, 0x0A]) == .header(ProxyHeader(), byteCount: 107))
        #expect(parse(longest + [0x61]) == .needMore)
        #expect(isMalformed(longest + [0x61, 0x0D]))
        #expect(isMalformed(longest + [0x61, 0x0D, 0x0A]))
        #expect(isMalformed([UInt8](repeating: 0x50, count: 1)) == false)
        #expect(isMalformed(line + [UInt8](repeating: 0x61, count: 10_000)))
    }

    // MARK: Version 2

    @Test("the addresses of version 2")
    func v2() throws {
        #expect(
            try header(ProxyV2.make(ProxyV2.inet))
                == ProxyHeader(source: peer("192.0.2.1", 56324), destination: peer("198.51.100.2", 8883)))
        let v6 = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        let both = try header(ProxyV2.make(0x21, 0x21, v6 + v6 + [0, 80, 0x1F, 0x90]))
        #expect(both.source == peer("2001:db8::1", 80) && both.destination == peer("2001:db8::1", 8080))
        // As a dual-stack proxy may write an IPv4 client.
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 1]
        #expect(try header(ProxyV2.make(0x21, 0x21, mapped + mapped + [0, 1, 0, 2])).source == peer("192.0.2.1", 1))
        #expect(try header(ProxyV2.make(0x21, 0x31, [UInt8](repeating: 0, count: 216))).source == .unix)
    }

    @Test("LOCAL and UNSPEC say nothing of a client, whatever they carry")
    func local() throws {
        for body in [[], ProxyV2.inet, [0x20, 0xFF, 0xFF], [UInt8](repeating: 0xFF, count: 300)] {
            #expect(try header(ProxyV2.make(0x20, 0x11, body)) == ProxyHeader(isLocal: true))
            #expect(try header(ProxyV2.make(0x20, 0xEE, body)) == ProxyHeader(isLocal: true))
            #expect(try header(ProxyV2.make(0x21, 0x00, body)) == ProxyHeader())
        }
    }

    @Test("what a proxy tells of TLS")
    func tls() throws {
        let records =
            ProxyV2.record(0x01, "mqtt") + ProxyV2.record(0x02, "Broker.Example") + ProxyV2.record(0x04, [0, 0])
            + ProxyV2.record(0x05, [1, 2, 3])
            + ProxyV2.record(0x30, "netns") + ProxyV2.record(0xE0, [7])
            + ProxyV2.ssl(
                0x07,
                ProxyV2.record(0x21, "TLSv1.3") + ProxyV2.record(0x22, "device-1") + ProxyV2.record(0x23, "TLS_AES_128_GCM_SHA256")
                    + ProxyV2.record(0x24, "SHA256"))
        let header = try header(ProxyV2.make(ProxyV2.inet + records))
        #expect(header.alpn == "mqtt" && header.authority == "broker.example" && header.uniqueID == [1, 2, 3])
        #expect(
            header.tls
                == ProxyHeader.TLS(
                    version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", hasVerifiedCertificate: true, commonName: "device-1"))
    }

    @Test(
        "a certificate counts only when it was there and was verified",
        arguments: [
            (0x01, [0, 0, 0, 0], false), (0x03, [0, 0, 0, 0], true), (0x05, [0, 0, 0, 0], true), (0x03, [0, 0, 0, 1], false),
            (0x07, [1, 0, 0, 0], false), (0x05, [0, 0, 1, 0], false),
        ] as [(UInt8, [UInt8], Bool)])
    func verified(client: UInt8, verify: [UInt8], isVerified: Bool) throws {
        let tls = try header(ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(client, verify: verify, ProxyV2.record(0x22, "device-1")))).tls
        #expect(tls?.hasVerifiedCertificate == isVerified)
        #expect(tls?.commonName == (isVerified ? "device-1" : nil))
    }

    @Test("an SSL record that says that there was no TLS is none")
    func noTLS() throws {
        #expect(try header(ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(0x06, ProxyV2.record(0x22, "device-1")))).tls == nil)
    }

    @Test(
        "a common name is any text without control characters",
        arguments: ["+#/", "Gerät 7", "*.example", "a/b", String(repeating: "x", count: 1024)])
    func commonNames(name: String) throws {
        #expect(try header(ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, name)))).tls?.commonName == name)
    }

    private static let malformed: [(String, [UInt8])] = [
        ("version 1 in binary", ProxyV2.make(0x11, 0x11, ProxyV2.inet)),
        ("version 3", ProxyV2.make(0x31, 0x11, ProxyV2.inet)),
        ("command 2", ProxyV2.make(0x22, 0x11, ProxyV2.inet)),
        ("family 4", ProxyV2.make(0x21, 0x41, ProxyV2.inet)),
        ("datagrams", ProxyV2.make(0x21, 0x12, ProxyV2.inet)),
        ("protocol UNSPEC of a family", ProxyV2.make(0x21, 0x10, ProxyV2.inet)),
        ("11 bytes of addresses", ProxyV2.make(ProxyV2.inet.dropLast())),
        ("IPv6 with IPv4's addresses", ProxyV2.make(0x21, 0x21, ProxyV2.inet)),
        ("UNIX that is too short", ProxyV2.make(0x21, 0x31, [UInt8](repeating: 0, count: 215))),
        ("length 65,535", ProxyV2.signature + [0x21, 0x11, 0xFF, 0xFF]),
        ("length 4,097", ProxyV2.signature + [0x21, 0x11, 0x10, 0x01]),
        ("length 65,535 in LOCAL", ProxyV2.signature + [0x20, 0x00, 0xFF, 0xFF]),
        ("record cut off in its head", ProxyV2.make(ProxyV2.inet + [0x04, 0x00])),
        ("record beyond the header", ProxyV2.make(ProxyV2.inet + [0x04, 0x00, 0x01])),
        ("record far beyond the header", ProxyV2.make(ProxyV2.inet + [0x02, 0xFF, 0xFF, 0x61])),
        ("SSL record of 4 bytes", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x20, [1, 0, 0, 0]))),
        (
            "record beyond the SSL record",
            ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, [0x22, 0x00, 0x09, 0x61]) + ProxyV2.record(0x04, "zzzzzzzzz"))
        ),
        ("SSL twice", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(1) + ProxyV2.ssl(3, ProxyV2.record(0x22, "admin")))),
        ("common name twice", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "device") + ProxyV2.record(0x22, "admin")))),
        ("common name with NUL", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "admin\0.device")))),
        ("common name with a line end", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "a\nb")))),
        ("common name with C1 controls", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "a\u{85}b")))),
        ("common name that is no UTF-8", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, [0xC0, 0x80])))),
        ("empty common name", ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "")))),
        (
            "common name of 1,025 bytes",
            ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, String(repeating: "x", count: 1025))))
        ),
        ("authority twice", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x02, "a") + ProxyV2.record(0x02, "b"))),
        ("authority of 256 bytes", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x02, String(repeating: "a", count: 256)))),
        ("unique identifier of 129 bytes", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x05, [UInt8](repeating: 1, count: 129)))),
        ("checksum of 3 bytes", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x03, [1, 2, 3]))),
        ("checksum that is wrong", ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x03, [1, 2, 3, 4]))),
        ("signature that ends otherwise", Array(ProxyV2.signature.dropLast()) + [0x0B]),
    ]

    @Test("a header of version 2 that is wrong in any way is refused", arguments: malformed)
    func v2Malformed(name: String, bytes: [UInt8]) { #expect(isMalformed(bytes), "\(name)") }

    @Test("CRC-32C is the one of RFC 3720, and a header that has it must match it")
    func checksum() throws {
        var sum = CRC32C()
        sum.add("123456789".utf8)
        #expect(sum.value == 0xE306_9283)
        var bytes = ProxyV2.make(ProxyV2.inet + ProxyV2.record(0x03, [0, 0, 0, 0]) + ProxyV2.record(0x04, "padding"))
        var whole = CRC32C()
        whole.add(bytes)
        for index in 0..<4 { bytes[31 + index] = UInt8(truncatingIfNeeded: whole.value >> (24 - 8 * UInt32(index))) }
        #expect(try header(bytes).source == peer("192.0.2.1", 56324))
        // All but the type of the record itself: a header may have no checksum.
        for index in bytes.indices.dropFirst(16) where index != 28 {
            var damaged = bytes
            damaged[index] ^= 0x10
            if case .header(let header, _) = parse(damaged) { Issue.record("byte \(index) damaged: \(header)") }
        }
    }

    // MARK: Both

    @Test("a header is the same however it comes, and needs all of its bytes")
    func split() {
        let headers = [
            Array("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".utf8), Array("PROXY UNKNOWN\r\n".utf8),
            ProxyV2.make(ProxyV2.inet + ProxyV2.ssl(3, ProxyV2.record(0x22, "device-1"))), ProxyV2.make(0x20, 0, []),
        ]
        for bytes in headers {
            for count in 0..<bytes.count { #expect(parse(bytes[..<count]) == .needMore, "\(count)") }
            guard case .header(_, let count) = parse(bytes + [1, 2, 3]) else {
                Issue.record("no header")
                continue
            }
            #expect(count == bytes.count)
        }
    }

    @Test("a version that is not accepted is refused with its first byte")
    func versions() {
        #expect(parse("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".utf8, accepting: [.v2]) == .malformed("version 1 is not accepted"))
        #expect(parse([0x0D], accepting: [.v1]) == .malformed("version 2 is not accepted"))
    }

    @Test("random and damaged headers don't crash the parser", arguments: 1...8)
    func damaged(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let v1 = Array("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n".utf8)
        let v2 = ProxyV2.make(
            ProxyV2.inet + ProxyV2.record(0x02, "a") + ProxyV2.ssl(3, ProxyV2.record(0x21, "TLSv1.2") + ProxyV2.record(0x22, "d"))
                + ProxyV2.record(0x05, [1]))
        for _ in 0..<5_000 {
            var bytes = Bool.random(using: &random) ? v1 : v2
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                default: bytes.removeLast(min(bytes.count - 1, Int.random(in: 0...5, using: &random)))
                }
            }
            if Int.random(in: 0..<10, using: &random) == 0 { bytes = ProxyV2.signature + random.bytes(60) }
            if case .header(_, let count) = parse(bytes) { #expect(count <= bytes.count) }
        }
    }
}

extension ProxyV2 {
    fileprivate static func make(_ body: some Sequence<UInt8>) -> [UInt8] { make(0x21, 0x11, Array(body)) }
}
