import MQTTModel
import Security
import Testing

/// Mosquitto's semantics, rule by rule, on files that Mosquitto loads too.
@Suite struct ACLSemanticsTests {
    @Test("without an access word a rule is for reading and writing, and the filter is one word")
    func accessWord() throws {
        let policy = try ACLPolicy(text: "topic a/b\ntopic read c d/#\ntopic read\ntopic write \t w  x\n")
        #expect(policy.allows(nil, "c", .read, "a/b") && policy.allows(nil, "c", .write, "a/b"))
        #expect(policy.allows(nil, "c", .read, "c d/e") && !policy.allows(nil, "c", .write, "c d/e"))
        // An access word alone is the topic.
        #expect(policy.allows(nil, "c", .read, "read") && policy.allows(nil, "c", .write, "read"))
        #expect(policy.allows(nil, "c", .write, "w  x") && !policy.allows(nil, "c", .read, "w  x"))
        #expect(throws: ACLFileError.self) { try ACLPolicy(text: "topic a b\n") }
    }

    @Test("topic lines before the first user are for clients without a username, and for nobody else")
    func anonymous() throws {
        let policy = try ACLPolicy(text: "topic read a\nuser bob\ntopic read b\n")
        #expect(policy.allows(nil, "c", .read, "a") && !policy.allows(nil, "c", .read, "b"))
        #expect(policy.allows("bob", "c", .read, "b") && !policy.allows("bob", "c", .read, "a"))
        #expect(!policy.allows("", "c", .read, "a"))
    }

    @Test("pattern lines are for everybody, wherever they stand")
    func patterns() throws {
        let policy = try ACLPolicy(text: "user bob\npattern read %c/x\ntopic read b\npattern read plain\n")
        for username in [nil, "bob", "eve"] {
            #expect(policy.allows(username, "c1", .read, "c1/x") && policy.allows(username, "c1", .read, "plain"))
            #expect(!policy.allows(username, "c1", .read, "c2/x"))
        }
        #expect(policy.allows("bob", "c1", .read, "b") && !policy.allows(nil, "c1", .read, "b"))
    }

    @Test("a deny is tested before the allows of its list, wherever it stands")
    func denyFirst() throws {
        let policy = try ACLPolicy(text: "user bob\ntopic readwrite a/#\ntopic deny a/secret\ntopic readwrite a/secret\n")
        #expect(policy.allows("bob", "c", .read, "a/b"))
        #expect(policy.decide("bob", "c", .read, "a/secret") == .deny(rule: 1))
        #expect(policy.decide("bob", "c", .write, "a/secret") == .deny(rule: 1))
    }

    @Test("of several denies the last in the file is named")
    func lastDeny() throws {
        let policy = try ACLPolicy(text: "topic deny a/#\ntopic deny a/b\ntopic deny c\n")
        #expect(policy.decide(nil, "c", .read, "a/b") == .deny(rule: 1) && policy.decide(nil, "c", .read, "a/c") == .deny(rule: 0))
    }

    @Test("a user's allow beats a pattern's deny, and a user's deny a pattern's allow")
    func userBeforePattern() throws {
        let policy = try ACLPolicy(text: "pattern deny a/#\npattern read b/#\nuser bob\ntopic read a/x\ntopic deny b/x\n")
        #expect(policy.allows("bob", "c", .read, "a/x") && !policy.allows("bob", "c", .write, "a/x"))
        #expect(!policy.allows("bob", "c", .read, "a/y") && !policy.allows("eve", "c", .read, "a/x"))
        #expect(
            !policy.allows("bob", "c", .read, "b/x") && policy.allows("bob", "c", .read, "b/y") && policy.allows("eve", "c", .read, "b/x"))
    }

    @Test("a rule of the user's for the other access leaves the matter to the patterns")
    func otherAccess() throws {
        let policy = try ACLPolicy(text: "pattern write a\nuser bob\ntopic read a\n")
        #expect(policy.allows("bob", "c", .read, "a") && policy.allows("bob", "c", .write, "a"))
    }

    @Test("variables count only where they fill a level of a pattern")
    func wholeLevels() throws {
        let policy = try ACLPolicy(
            text: "pattern read a/%u/%c/b\npattern read x%u/y\npattern read %c%u\npattern read %t/l\nuser bob\ntopic read t/%u\n")
        #expect(policy.allows("bob", "c1", .read, "a/bob/c1/b") && !policy.allows("bob", "c1", .read, "a/c1/bob/b"))
        #expect(policy.allows("bob", "c1", .read, "x%u/y") && !policy.allows("bob", "c1", .read, "xbob/y"))
        #expect(policy.allows("bob", "c1", .read, "%c%u") && !policy.allows("bob", "c1", .read, "c1bob"))
        #expect(policy.allows("bob", "c1", .read, "%t/l", tenant: "acme") && !policy.allows("bob", "c1", .read, "acme/l", tenant: "acme"))
        #expect(policy.allows("bob", "c1", .read, "t/%u") && !policy.allows("bob", "c1", .read, "t/bob"))
        // A literal that looks like a variable is no match for one.
        #expect(!policy.allows("bob", "c1", .read, "a/%u/%c/b"))
    }

    @Test("patterns that mention %u say nothing about clients without a username, also where it is literal")
    func withoutUsername() throws {
        let policy = try ACLPolicy(text: "pattern read a/%u\npattern read x%u/y\npattern deny b/z%u\npattern read b/#\n")
        #expect(!policy.allows(nil, "c", .read, "x%u/y") && policy.allows("bob", "c", .read, "x%u/y"))
        #expect(!policy.allows(nil, "c", .read, "a/") && !policy.allows(nil, "c", .read, "a/%u"))
        #expect(policy.allows(nil, "c", .read, "b/z%u") && !policy.allows("bob", "c", .read, "b/z%u"))
    }

    @Test("an empty value, and one with a slash, is no level's; a longer name is not matched by its beginning")
    func values() throws {
        let policy = try ACLPolicy(text: "pattern read a/%c\npattern read %u/b\n")
        #expect(!policy.allows(nil, "", .read, "a/") && !policy.allows("", "c", .read, "/b"))
        #expect(!policy.allows(nil, "x/y", .read, "a/x/y") && !policy.allows(nil, "x/y", .read, "a/x"))
        #expect(!policy.allows(nil, "kitchen", .read, "a/kit") && !policy.allows(nil, "kit", .read, "a/kitchen"))
        #expect(policy.allows(nil, "kitchen", .read, "a/kitchen"))
    }

    @Test("a name with + or # is denied what the user's own rules don't allow, as soon as there is a pattern")
    func wildcardNames() throws {
        let policy = try ACLPolicy(text: "pattern read all/#\npattern deny no\nuser b+b\ntopic read own\nuser bob\ntopic read own\n")
        #expect(policy.allows("b+b", "c", .read, "own") && policy.allows("bob", "c#", .read, "own"))
        #expect(
            policy.decide("b+b", "c", .read, "all/x") == .deny(rule: nil) && policy.decide("bob", "#", .read, "all/x") == .deny(rule: nil))
        #expect(policy.decide("bob", "+", .read, "no") == .deny(rule: nil) && policy.decide(nil, "c+", .read, "all/x") == .deny(rule: nil))
        #expect(policy.explain(ACLClient(username: "bob", clientID: "+"), topic: "all/x", access: .read).isDeniedForName)
    }

    @Test("$-topics need a rule that begins with $")
    func dollar() throws {
        let policy = try ACLPolicy(text: "topic read #\ntopic read +/broker/#\npattern read %c/uptime\ntopic write $SYS/x\n")
        #expect(policy.allows(nil, "c", .read, "a/broker/b") && !policy.allows(nil, "c", .read, "$SYS/broker/uptime"))
        #expect(!policy.allows(nil, "$SYS", .read, "$SYS/uptime") && policy.allows(nil, "c", .write, "$SYS/x"))
        #expect(!policy.allows(nil, "c", .read, "$SYS") && policy.allows(nil, "c", .read, "a/$SYS"))
        let explicit = try ACLPolicy(text: "topic read $SYS/#\ntopic deny #\n")
        #expect(
            explicit.allows(nil, "c", .read, "$SYS/a") && explicit.allows(nil, "c", .read, "$SYS")
                && !explicit.allows(nil, "c", .read, "SYS"))
    }

    @Test("wildcards match as in topic filters")
    func wildcards() throws {
        let policy = try ACLPolicy(text: "topic read a/#\ntopic read +/x/+\ntopic read s//#\ntopic read /+\n")
        for topic in ["a", "a/", "a/b/c", "q/x/", "/x/y", "s/", "s//t", "/", "/r"] {
            #expect(policy.allows(nil, "c", .read, topic), "\(topic)")
        }
        for topic in ["b", "q/x", "q/x/y/z", "s", "s/t", "r", "/r/"] { #expect(!policy.allows(nil, "c", .read, topic), "\(topic)") }
    }

    @Test("an empty file denies everything, and so does one of comments")
    func empty() throws {
        for text in ["", "\n", "# nothing\n   \n", "user bob\n"] {
            let policy = try ACLPolicy(text: text)
            #expect(policy.decide("bob", "c", .read, "a") == .deny(rule: nil) && policy.decide(nil, "c", .write, "a") == .deny(rule: nil))
            #expect(!policy.could("bob", "c", "#"))
        }
    }

    @Test("a user who is not in the file has the patterns alone, and without them nothing")
    func absent() throws {
        #expect(!(try ACLPolicy(text: "topic read a\nuser bob\ntopic read a\n")).allows("eve", "c", .read, "a"))
        #expect(try ACLPolicy(text: "user eve\nuser bob\ntopic deny a\npattern read a\n").allows("eve", "c", .read, "a"))
    }

    @Test("sections of one user add up, and user * is a user of that name")
    func sections() throws {
        let policy = try ACLPolicy(text: "user bob\ntopic read a\nuser *\ntopic read s\nuser  c d \ntopic read e\nuser bob\ntopic read b\n")
        #expect(policy.allows("bob", "c", .read, "a") && policy.allows("bob", "c", .read, "b") && !policy.allows("bob", "c", .read, "s"))
        #expect(policy.allows("*", "c", .read, "s") && policy.allows("c d", "c", .read, "e"))
    }

    @Test("names that only look alike are different users")
    func exactNames() throws {
        let policy = try ACLPolicy(text: "user \u{E9}\ntopic read a\npattern read %c\n")
        #expect(policy.allows("\u{E9}", "c", .read, "a") && !policy.allows("e\u{301}", "c", .read, "a"))
        #expect(!policy.allows(nil, "e\u{301}", .read, "\u{E9}") && policy.allows(nil, "\u{E9}", .read, "\u{E9}"))
    }

    @Test("a principal of another policy is denied everything")
    func otherPolicy() throws {
        let one = try ACLPolicy(text: "topic read #\n")
        let other = try ACLPolicy(text: "topic read #\n")
        let principal = other.principal(username: nil, clientID: "c")
        Array("a".utf8).withUnsafeBytes { topic in
            #expect(
                one.check(principal, topic: topic, access: .read) == .deny(rule: nil)
                    && other.check(principal, topic: topic, access: .read).isAllowed)
            #expect(!one.couldEverRead(principal, filter: topic))
        }
    }

    @Test("201 levels are matched, also by topics with 32,768")
    func deep() throws {
        let levels = (0...200).map { "\($0)" }
        let policy = try ACLPolicy(text: "topic read \(levels.joined(separator: "/"))\ntopic read x/#\n")
        #expect(policy.allows(nil, "c", .read, levels.joined(separator: "/")))
        #expect(
            !policy.allows(nil, "c", .read, (levels + ["201"]).joined(separator: "/"))
                && !policy.allows(nil, "c", .read, levels.dropLast().joined(separator: "/")))
        #expect(policy.allows(nil, "c", .read, "x" + String(repeating: "/", count: 32_767)))
        #expect(!policy.allows(nil, "c", .read, String(repeating: "/", count: 65_535)))
    }
}
