import Testing

@testable import LMDB

@Suite("CRC-32C")
struct ChecksumTests {
    // RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
    static let known: [([UInt8], UInt32)] = [
        (text("123456789"), 0xE306_9283),
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        (Array(0..<32), 0x46DD_794E),
        (Array((0..<32).reversed()), 0x113F_DB5C),
        ([], 0),
    ]

    @Test("known answers come out, with the processor's instruction and without", arguments: known)
    func knownAnswers(bytes: [UInt8], expected: UInt32) {
        #expect(bytes.withUnsafeBytes { Checksum.crc32c($0) } == expected)
        #expect(bytes.withUnsafeBytes { Checksum.portable($0, continuing: 0) } == expected)
    }

    @Test("pieces give what the whole gives, wherever it is cut")
    func pieces() {
        var generator = SeededGenerator(seed: 1)
        let bytes = (0..<100).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let whole = bytes.withUnsafeBytes { Checksum.crc32c($0) }
        #expect(bytes.withUnsafeBytes { Checksum.portable($0, continuing: 0) } == whole)
        for cut in 0...bytes.count {
            let first = Array(bytes[..<cut])
            let second = Array(bytes[cut...])
            let running = first.withUnsafeBytes { Checksum.crc32c($0) }
            #expect(second.withUnsafeBytes { Checksum.crc32c($0, continuing: running) } == whole)
            #expect(second.withUnsafeBytes { Checksum.portable($0, continuing: running) } == whole)
        }
    }
}
