import Testing

@testable import Security

@Suite struct PSKFileTests {
    static func faults(_ text: String) -> [String] {
        do throws(SecurityFaults) {
            _ = try PSKFile.parse(Array(text.utf8), path: "psk")
            return []
        } catch {
            return error.faults.map(\.description)
        }
    }

    @Test("identities and their keys, in either case of digits")
    func keys() throws {
        let loaded = try PSKFile.parse(
            Array("\u{FEFF}# keys\r\nsensor 1: 00112233445566778899aAbBcCdDeEfF \r\n\nb:\(String(repeating: "ff", count: 64))".utf8),
            path: "psk")
        #expect(loaded.table.count == 2 && loaded.warnings.isEmpty)
        #expect(loaded.table.key(for: Array("sensor 1".utf8)) == (0...15).map { UInt8($0 * 0x11) })
        #expect(loaded.table.key(for: Array("b".utf8))?.count == 64)
        #expect(loaded.table.key(for: Array("c".utf8)) == nil && loaded.table.key(for: []) == nil)
    }

    @Test("a short key is warned about")
    func shortKey() throws {
        let warnings = try PSKFile.parse(Array("a:1234\nb:00112233445566778899aabbccddeeff".utf8), path: "psk").warnings
        #expect(warnings.map(\.line) == [1])
        #expect(warnings[0].description.hasPrefix("psk:1: the key has 2 bytes; "))
    }

    @Test(
        "what is no entry is refused with its line and without its key",
        arguments: [
            ("00112233", "no colon"), (":00112233", "identity is empty"), ("a:", "has 0 digits"), ("a:001", "has 3 digits"),
            ("a:0x0011", "begins with 0x"), ("a:00gg", "no hexadecimal digits"), ("a:00 1 ", "no hexadecimal digits"),
            ("a:0011:22", "has 7 digits"), ("a:00\0011", "no hexadecimal digits"), ("a\0:0011", "NUL"),
        ])
    func refused(line: String, reason: String) {
        let faults = Self.faults("first:00112233445566778899aabbccddeeff\n" + line)
        #expect(faults.count == 1)
        #expect(faults.first?.hasPrefix("psk:2: ") == true && faults.first?.contains(reason) == true, "\(faults)")
    }

    @Test("duplicates, long identities, long keys and a line of a megabyte are refused")
    func bounds() {
        #expect(Self.faults("a:0011\na:0011").first?.contains("given in line 1 already") == true)
        #expect(Self.faults(String(repeating: "i", count: 256) + ":0011").isEmpty)
        #expect(Self.faults(String(repeating: "i", count: 257) + ":0011").count == 1)
        #expect(Self.faults("a:" + String(repeating: "0", count: 1_024)).isEmpty)
        #expect(Self.faults("a:" + String(repeating: "0", count: 1_026)).count == 1)
        #expect(Self.faults(String(repeating: "0", count: 1 << 20)).count == 1)
    }

    @Test("keys show nowhere")
    func secrecy() throws {
        let table = try PSKFile.parse(Array("a:AABBCCDDEEFF00112233445566778899".utf8), path: "psk").table
        var dumped = ""
        dump(table, to: &dumped)
        for text in ["\(table)", String(reflecting: table), dumped] {
            #expect(!text.contains("170") && !text.lowercased().contains("aabb"))
        }
    }
}
