import Testing

@testable import Security

@Suite struct PasswordFileEditTests {
    static let hash = PasswordHash.make(.sha512, password: Array("geheim".utf8))!

    static func edited(_ text: String, _ change: (inout PasswordFileEdit) throws -> Void) rethrows -> String {
        var edit = PasswordFileEdit(Array(text.utf8))
        try change(&edit)
        return String(decoding: edit.bytes, as: UTF8.self)
    }

    /// `nil` when there was nobody to remove.
    static func removed(_ name: String, from text: String) -> String? {
        var edit = PasswordFileEdit(Array(text.utf8))
        return edit.remove(Array(name.utf8)) ? String(decoding: edit.bytes, as: UTF8.self) : nil
    }

    @Test("what is not changed stays as it is, to the byte")
    func untouched() {
        for text in ["", "\n", "a:b", "\u{FEFF}# x\r\n\r\n a : b:c \nd\n", "\0\n:\n"] { #expect(Self.edited(text) { _ in } == text) }
        #expect(PasswordFileEdit([0xFF, 0x0A, 0xC0]).bytes == [0xFF, 0x0A, 0xC0])
    }

    @Test("a user's line is replaced where it stands, a new one comes last")
    func set() {
        let line = "alice:\(Self.hash.text)"
        func set(_ text: String, _ name: String = "alice") -> String { Self.edited(text) { $0.set(Self.hash, for: Array(name.utf8)) } }
        #expect(set("") == line + "\n")
        #expect(set("bob:x") == "bob:x\n" + line + "\n")
        #expect(set("# c\r\nalice:x\r\nbob:y\r\n") == "# c\r\n\(line)\r\nbob:y\r\n")
        #expect(set("\u{FEFF} alice : x") == "\u{FEFF}\(line)\n")
        #expect(set("#alice:x\n") == "#alice:x\n\(line)\n")
        #expect(set(set("", "bob")).hasSuffix("\n\(line)\n"))
    }

    @Test("all lines of a user are removed, and no other")
    func remove() {
        #expect(Self.removed("a", from: "a:1\nb:2\n a :3\n#a:4\naa:5") == "b:2\n#a:4\naa:5")
        #expect(Self.removed("a", from: "b:2\n") == nil)
    }

    @Test(
        "names that a reader would take for something else can't be written",
        arguments: ["", "a:b", "#a", " a", "a\t", "a\nb", "\u{FEFF}a", "a\u{85}", "a\0"])
    func names(name: String) { #expect(PasswordFileEdit.nameFault(Array(name.utf8)) != nil) }

    @Test("what is set is read as it was meant, whatever stands there already")
    func readBack() throws {
        for name in ["alice", "a#", "a b", "ü", "$6$", "%u"] {
            let text = Self.edited("\u{FEFF}# users\r\nbob:\(Self.hash.text)\r\n") { $0.set(Self.hash, for: Array(name.utf8)) }
            let table = try PasswordFileTests.table(text)
            #expect(table.count == 2 && table.verify(Array(name.utf8), password: Array("geheim".utf8)) == .right)
        }
    }

    @Test("plain passwords are hashed, hashes are left alone, and a second time there is nothing to do")
    func upgrade() throws {
        let text = "# c\nalice:plain\r\nbob:\(PasswordHashTests.foreign[0])\ncarl:with:colon $"
        let once = try Self.edited(text) { edit in
            #expect(try edit.upgrade(path: "p") { PasswordHash.make(.sha512, password: $0) } == 2)
            let again = try edit.upgrade(path: "p") { _ in
                Issue.record("hashed again")
                return nil
            }
            #expect(again == 0)
        }
        #expect(
            !once.contains("plain") && !once.contains("colon") && once.contains(PasswordHashTests.foreign[0]) && once.hasPrefix("# c\n"))
        let table = try PasswordFileTests.table(once)
        #expect(table.verify(Array("alice".utf8), password: Array("plain".utf8)) == .right)
        #expect(table.verify(Array("carl".utf8), password: Array("with:colon $".utf8)) == .right)
        #expect(table.verify(Array("bob".utf8), password: Array("geheim".utf8)) == .right)
    }

    @Test("an upgrade that meets a line that is no entry, or a hash that can't be read, changes nothing")
    func upgradeFaults() {
        let text = "alice:plain\nline\nbob:$6$abcdefgh$msgktWxVAbjjh3X7\ncarl:\n"
        let after = Self.edited(text) { edit in
            do throws(SecurityFaults) {
                _ = try edit.upgrade(path: "p") { PasswordHash.make(.sha512, password: $0) }
                Issue.record("upgraded")
            } catch {
                #expect(error.faults.map(\.line) == [2, 3, 4])
                #expect(!error.description.contains("msgk"))
            }
        }
        #expect(after == text)
    }
}
