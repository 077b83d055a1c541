import MQTTModel
import Security
import Testing

@Suite struct ACLParserTests {
    private func faults(_ bytes: [UInt8]) -> [String] {
        do {
            _ = try ACLFile(bytes, name: "acl")
            return []
        } catch { return error.diagnostics.map(\.description) }
    }
    private func faults(_ text: String) -> [String] { faults(Array(text.utf8)) }

    @Test(
        "what is wrong is told with its line and how to mend it",
        arguments: [
            ("topic", "acl:1: the topic filter is missing; write topic [read|write|readwrite|deny] FILTER"),
            (
                "\n\ntopic perhaps a/b",
                "acl:3: \"perhaps\" is no access; write read, write, readwrite or deny before a filter, also before one that holds blanks"
            ),
            ("user", "acl:1: the username is missing; write user NAME"),
            ("Topic read a", "acl:1: \"Topic\" begins no line; words are written small: topic"),
            ("topic\tread a", "acl:1: \"topic?read\" holds a tab; begin lines without white space and separate words by blanks"),
            ("  # remark", "acl:1: a comment begins in the first column; remove the blanks before the #"),
            ("topic read a+/b", "acl:1: \"a+/b\" has a + that does not fill a level; write the level out or + alone between slashes"),
            ("topic read #/b", "acl:1: \"#/b\" has a # that is not the whole last level; end the filter with /#"),
            ("topic read a#", "acl:1: \"a#\" has a # that is not the whole last level; end the filter with /#"),
            ("pattern read ++", "acl:1: \"++\" has a + that does not fill a level; write the level out or + alone between slashes"),
            ("member bob", "acl:1: member stands outside of a group; write group NAME above it"),
            ("group", "acl:1: the name of the group is missing; write group NAME"),
            ("tenant", "acl:1: the name of the tenant is missing; write tenant NAME"),
            ("everyone else", "acl:1: \"else\" after everyone has no meaning; write everyone alone and rules in the lines below it"),
            (
                "tenant t\npattern read a",
                "acl:2: pattern lines are for everybody; move it above the first tenant line, or write allow or deny"
            ),
            ("allow a/b", "acl:1: \"a/b\" is no access; write allow read, write or readwrite, then the filter"),
            ("allow", "acl:1: access and topic filter are missing; write allow read, write or readwrite, then the filter"),
            ("deny read", "acl:1: the topic filter is missing; write it at the end of the line"),
            ("allow read max-qos=3 a", "acl:1: \"max-qos=3\" is no QoS; write max-qos=0, max-qos=1 or max-qos=2"),
            ("allow read max-qos=1 max-qos=1 a", "acl:1: max-qos stands twice; remove one"),
            ("deny read max-qos=1 a", "acl:1: a deny has no max-qos; write an allow with max-qos for what is allowed"),
            ("deny write retain=no a", "acl:1: a deny has no retain; write an allow with retain=no for what is allowed"),
            ("allow read retain=maybe a", "acl:1: \"retain=maybe\" says neither yes nor no; write retain=no or retain=yes"),
            (
                "deny read reason=because a",
                "acl:1: the reason is not in quotes; write reason=\"TEXT\" and a blank, \\\" for a quote within the text"
            ),
            (
                "deny read reason=\"open a",
                "acl:1: the reason is not in quotes; write reason=\"TEXT\" and a blank, \\\" for a quote within the text"
            ),
            (
                "deny read qos=1 a",
                "acl:1: \"qos=1\" is no option; there are max-qos=, retain= and reason=; a filter that begins like that is written filter=FILTER"
            ),
            ("allow read filter=", "acl:1: the topic filter is missing"),
        ])
    func fault(text: String, expected: String) {
        #expect(faults(text) == [expected])
    }

    @Test("every fault is told at once, a hundred of them in full")
    func allFaults() {
        #expect(faults("topic\nuser bob\nnonsense\ntopic read a\nuser\n").map { $0.prefix(6) } == ["acl:1:", "acl:3:", "acl:5:"])
        let many = String(repeating: "nonsense\n", count: 250)
        do {
            _ = try ACLFile(Array(many.utf8), name: "acl")
            Issue.record("accepted")
        } catch {
            #expect(error.diagnostics.count == 100 && error.omitted == 150 && error.description.hasSuffix("and 150 more faults"))
        }
    }

    @Test("line ends may be CRLF, the last one may be missing, a byte order mark may stand in front")
    func lineEnds() throws {
        let policy = try ACLPolicy(
            ACLFile([0xEF, 0xBB, 0xBF] + Array("topic read a\r\nuser bob\r\n\r\ntopic read b \t\r\ntopic read c".utf8), name: "acl"))
        #expect(policy.allows(nil, "c", .read, "a") && policy.allows("bob", "c", .read, "b") && policy.allows("bob", "c", .read, "c"))
        #expect(policy.file.rules.map(\.line) == [1, 4, 5])
    }

    @Test("NUL bytes are refused")
    func nul() {
        #expect(faults(Array("topic read a\n".utf8) + [0] + Array("\ntopic read b\n".utf8)).map { $0.prefix(6) } == ["acl:2:"])
        let utf16 = Array("topic read a\n".utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        #expect(faults(utf16).first?.contains("UTF-16") == true)
    }

    @Test("invalid UTF-8 is refused in rules and names and tolerated in comments")
    func invalidUTF8() {
        #expect(
            faults(Array("topic read b".utf8) + [0xFC] + Array("ro\n".utf8)) == [
                "acl:1: \"b\u{FFFD}ro\" is not valid UTF-8, so that no topic could match it; save the file as UTF-8"
            ])
        #expect(faults(Array("user b".utf8) + [0xFC] + Array("ro\n".utf8)).count == 1)
        #expect(faults(Array("# b".utf8) + [0xFC] + Array("ro\n".utf8)) == [])
    }

    @Test("a line of a megabyte is a fault as a filter, shown short, and a long username none")
    func longLines() {
        let long = String(repeating: "x", count: 1_000_000)
        #expect(faults("topic read \(long)") == ["acl:1: the topic filter has 1000000 bytes, and no topic has more than 65535; shorten it"])
        #expect(faults(long).first.map { $0.utf8.count < 300 } == true)
        #expect(faults("user \(long)\ntopic read a") == [] && faults("# \(long)") == [])
    }

    @Test("a filter has at most 201 levels")
    func levels() {
        #expect(faults("topic read a" + String(repeating: "/a", count: 200)) == [])
        #expect(
            faults("topic read a" + String(repeating: "/a", count: 201)) == [
                "acl:1: the topic filter has 202 levels, more than 201; use # for the rest"
            ])
    }

    @Test("what is allowed and may not be meant is noted")
    func notes() throws {
        let text =
            "topic read\npattern read a\ntopic read a/%u/b\npattern read a/%c/x%u\npattern read %c/%t\ntopic read a\u{1}b\nuser bob\n"
        let file = try ACLFile(Array(text.utf8), name: "acl")
        #expect(file.notes.map(\.line) == [1, 2, 3, 4, 5, 6])
    }

    @Test("no bytes crash the parser, and what it accepts can be asked")
    func fuzz() {
        var random = ACLRandom(seed: 77)
        let pieces = [
            "topic ", "pattern ", "user ", "allow ", "deny ", "group ", "member ", "tenant ", "everyone", "anonymous", "read ", "write ",
            "readwrite ",
            "max-qos=", "retain=no ", "reason=\"", "\"", "\\", "filter=", "%c", "%u", "%t", "/", "+", "#", "$", "a", " ", "\t", "\r", "\n",
            "\n", "\0",
            "\u{E9}", "1", "=",
        ]
        var accepted = 0
        for round in 0..<6_000 {
            var bytes: [UInt8]
            if round % 3 == 0 {
                bytes = (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            } else if round % 3 == 1 {
                bytes = (0..<Int(random.next() % 40)).flatMap { _ in Array(random.one(pieces).utf8) }
            } else {
                bytes = Array(random.file(extended: true).utf8)
                for _ in 0..<Int(random.next() % 3) where !bytes.isEmpty {
                    let place = Int(random.next() % UInt64(bytes.count))
                    switch random.next() % 3 {
                    case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                    case 1: bytes.remove(at: place)
                    default: bytes.insert(contentsOf: random.one(pieces).utf8, at: place)
                    }
                }
            }
            _ = try? ACLExpectations(bytes, name: "cases")
            guard let file = try? ACLFile(bytes, name: "acl") else { continue }
            accepted += 1
            let policy = ACLPolicy(file)
            for _ in 0..<5 {
                let (client, topic) = (random.client(), random.topic())
                let explanation = policy.explain(client, topic: topic, access: .read)
                _ = policy.lines(explanation)
                _ = policy.could(client.username, client.clientID, random.filter())
            }
        }
        #expect(accepted > 1_000)
    }
}
