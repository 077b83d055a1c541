import MQTTModel
import Security
import Testing

/// Whether a subscription could ever have a message: what it is refused by, where a listener asks for that.
@Suite struct ACLSubscribeTests {
    private func check(
        _ policy: ACLPolicy, yes: [String], no: [String], username: String? = "u", clientID: String = "c", tenant: String = ""
    ) {
        for filter in yes { #expect(policy.could(username, clientID, filter, tenant: tenant), "\(filter)") }
        for filter in no { #expect(!policy.could(username, clientID, filter, tenant: tenant), "\(filter)") }
    }

    @Test("a filter needs a topic in common with an allow for reading")
    func common() throws {
        let policy = try ACLPolicy(text: "user u\ntopic read a/+/c\ntopic write w/#\ntopic read s/#\n")
        check(
            policy, yes: ["#", "+/#", "a/#", "a/b/c", "a/+/c", "+/b/+", "a/b/#", "s", "s/#", "s/t/u", "+", "+/+", "+/+/d"],
            no: ["b/#", "a", "a/b", "a/+", "a/+/d", "w/#", "w/x", "a/b/c/d", "a/b/c/+"])
        check(policy, yes: [], no: ["#"], username: "v")
    }

    @Test("one deny that covers what the filter and the allow have in common refuses it")
    func covered() throws {
        let policy = try ACLPolicy(
            text: """
                user u
                topic read a/#
                topic deny a/b/#
                topic read x/+/y
                topic deny x/1/+
                topic read all/+
                topic deny all/+
                topic deny l
                topic read l
                topic read p/+/q
                topic deny p/+/+
                pattern read g/#
                topic deny g/h

                """)
        check(
            policy, yes: ["a/#", "a/+", "a", "x/+/y", "x/2/y", "x/#", "g/#", "g/+", "#"],
            no: [
                "a/b", "a/b/#", "a/b/+", "a/b/c/d", "x/1/y", "x/1/+", "x/1/#", "all/+", "all/#", "all/z", "l", "p/+/q", "p/#", "p/1/+",
                "g/h",
            ])
        // A deny that only narrows, and denies of others, refuse nothing.
        check(try ACLPolicy(text: "user u\ntopic read a/+\ntopic deny a/b\nuser v\ntopic deny #\n"), yes: ["a/+", "a/#"], no: ["a/b"])
    }

    @Test("general denies say nothing about own allows")
    func levels() throws {
        let policy = try ACLPolicy(text: "pattern deny #\npattern read g\nuser u\ntopic read a/#\n")
        check(policy, yes: ["a/#", "#"], no: ["g", "b/#"])
    }

    @Test("several denies that only together leave nothing are not seen: the filter is granted, and nothing is sent")
    func unseen() throws {
        let policy = try ACLPolicy(text: "user u\ntopic read a/#\ntopic deny a\ntopic deny a/+/#\n")
        #expect(policy.could("u", "c", "a/#") && !policy.could("u", "c", "a") && !policy.could("u", "c", "a/b"))
        for topic in ["a", "a/", "a/b/c"] { #expect(!policy.allows("u", "c", .read, topic)) }
    }

    @Test("wildcards at the first level have nothing in common with $-topics")
    func dollar() throws {
        let policy = try ACLPolicy(text: "user u\ntopic read $SYS/broker/+\n")
        check(policy, yes: ["$SYS/#", "$SYS/+/uptime", "$SYS/broker/uptime"], no: ["#", "+/broker/#", "+/+/+", "$SYS/+", "$other/#"])
        check(
            try ACLPolicy(text: "user u\ntopic read #\ntopic read +/broker/#\n"), yes: ["#", "x"], no: ["$SYS/#", "$SYS/broker/+", "$SYS"])
        // A deny of # covers all but $-topics.
        check(try ACLPolicy(text: "user u\ntopic read $SYS/#\ntopic read a\ntopic deny #\n"), yes: ["$SYS/#"], no: ["#", "+"])
    }

    @Test("variables stand for the client's own, and a name that is no level for nothing")
    func variables() throws {
        let policy = try ACLPolicy(text: "everyone\nallow read in/%c/#\nallow read %u/%t\ndeny read in/%u/#\npattern read $x/%u\n")
        check(
            policy, yes: ["in/c/#", "in/+/x", "in/#", "#", "u/t", "+/t", "u/+", "$x/+", "$x/u"],
            no: ["in/d/#", "u/x", "v/+", "in/u/#", "$x/v", "x/t"], tenant: "t")
        check(policy, yes: ["#"], no: ["in/+/x", "in/u"], clientID: "u", tenant: "t")
        check(policy, yes: ["$x/+"], no: ["in/#", "u/+", "#"], clientID: "a/b")
        check(policy, yes: [], no: ["#", "in/#", "$x/#"], clientID: "c+")
        check(policy, yes: ["in/#"], no: ["$x/#"], username: nil)
    }

    @Test("groups and tenants count")
    func lists() throws {
        let policy = try ACLPolicy(
            text: "group g\nmember u\nallow read a/#\ntenant t\nallow read b/#\nuser u\ntopic read c/#\ntopic deny a/x\n")
        check(policy, yes: ["a/+"], no: ["b/+", "c/+"])
        check(policy, yes: ["a/+", "b/+", "c/+"], no: ["a/x"], tenant: "t")
        check(policy, yes: ["b/+"], no: ["a/+", "c/+"], username: nil, tenant: "t")
    }

    @Test("filters that meet more rules than a SUBSCRIBE may cost are granted unseen, exact ones never")
    func budget() throws {
        let rules = (0..<ACLPolicy.subscribeBudget).map { "topic write s\($0)/a\n" }.joined()
        let policy = try ACLPolicy(text: "user u\n" + rules)
        #expect(policy.could("u", "c", "+/+") && !policy.could("u", "c", "s1/+") && !policy.could("u", "c", "s1/a"))
        let principal = policy.principal(username: "u", clientID: "c")
        var budget = 10
        func granted(_ filter: String) -> QoS? {
            Array(filter.utf8).withUnsafeBytes { policy.maxReadQoS(principal, filter: $0, budget: &budget) }
        }
        #expect(granted("s1/+") == nil && (1..<10).contains(budget))
        #expect(granted("+/+") == .exactlyOnce && budget <= 0)
        #expect(granted("s1/+") == .exactlyOnce && granted("s1/a") == nil)
    }
}
