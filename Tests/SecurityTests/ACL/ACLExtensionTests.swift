import MQTTModel
import Security
import Testing

/// Groups, everyone, tenants, limits and reasons.
@Suite struct ACLExtensionTests {
    @Test("members have their groups' rules beside their own, and denies of all of them come first")
    func groups() throws {
        let policy = try ACLPolicy(
            text: """
                group ops
                member anna
                member c d
                allow readwrite plant/#
                deny read plant/secret
                user anna
                topic read plant/secret
                topic read own
                group audit
                topic read audit/#
                member anna

                """)
        #expect(
            policy.allows("anna", "c", .write, "plant/x") && policy.allows("anna", "c", .read, "own")
                && policy.allows("anna", "c", .read, "audit/1"))
        #expect(policy.decide("anna", "c", .read, "plant/secret") == .deny(rule: 1) && policy.allows("anna", "c", .write, "plant/secret"))
        #expect(
            policy.allows("c d", "c", .read, "plant/x") && !policy.allows("c d", "c", .read, "audit/1")
                && !policy.allows("bob", "c", .read, "plant/x"))
    }

    @Test("everyone is for clients with and without a username, beside the patterns")
    func everyone() throws {
        let policy = try ACLPolicy(
            text: "everyone\nallow read news/#\ndeny readwrite news/old\npattern read news/old\nuser bob\ntopic read news/old\n")
        #expect(policy.allows(nil, "c", .read, "news/a") && policy.allows("eve", "c", .read, "news/a"))
        #expect(!policy.allows("eve", "c", .read, "news/old") && policy.allows("bob", "c", .read, "news/old"))
        #expect(policy.decide("a+", "c", .read, "news/a") == .deny(rule: nil))
    }

    @Test("anonymous goes back to clients without a username")
    func anonymous() throws {
        let policy = try ACLPolicy(text: "user bob\ntopic read a\nanonymous\nallow read b\ntopic read c\n")
        #expect(policy.allows(nil, "c", .read, "b") && policy.allows(nil, "c", .read, "c") && !policy.allows("bob", "c", .read, "b"))
    }

    @Test("a tenant's sections are for its clients alone, and its users are its own")
    func tenants() throws {
        let policy = try ACLPolicy(
            text: """
                user bob
                topic read shared
                tenant acme
                allow read %t/%u/%c/#
                user bob
                topic read secret
                anonymous
                allow read guest
                group ops
                member bob
                topic write ops
                tenant globex
                allow read globex

                """)
        #expect(policy.allows("bob", "c", .read, "shared") && policy.allows("bob", "c", .read, "shared", tenant: "acme"))
        #expect(policy.allows("bob", "c", .read, "secret", tenant: "acme") && policy.allows("bob", "c", .write, "ops", tenant: "acme"))
        #expect(
            !policy.allows("bob", "c", .read, "secret", tenant: "globex") && !policy.allows("bob", "c", .write, "ops", tenant: "globex"))
        #expect(!policy.allows("bob", "c", .read, "secret") && !policy.allows("bob", "c", .write, "ops"))
        #expect(policy.allows(nil, "c", .read, "guest", tenant: "acme") && !policy.allows(nil, "c", .read, "guest"))
        #expect(
            policy.allows("eve", "c1", .read, "acme/eve/c1/x", tenant: "acme")
                && !policy.allows("eve", "c1", .read, "acme/eve/c1/x", tenant: "globex"))
        #expect(policy.allows(nil, "c", .read, "globex", tenant: "globex") && !policy.allows(nil, "c", .read, "globex", tenant: "acme"))
    }

    @Test("%t is the tenant in allow and deny lines, and nothing for a client without one")
    func tenantVariable() throws {
        let policy = try ACLPolicy(text: "everyone\nallow readwrite t/%t/#\npattern read p/%t\n")
        #expect(
            policy.allows("u", "c", .write, "t/acme/x", tenant: "acme") && !policy.allows("u", "c", .write, "t/acme/x", tenant: "other"))
        #expect(!policy.allows("u", "c", .write, "t//x") && !policy.allows("u", "c", .write, "t/%t/x"))
        #expect(policy.allows("u", "c", .read, "p/%t", tenant: "acme") && !policy.allows("u", "c", .read, "p/acme", tenant: "acme"))
    }

    @Test("a publish above the QoS that rules give is denied, and names the rule")
    func publishQoS() throws {
        let policy = try ACLPolicy(
            text: "user u\nallow write max-qos=1 reason=\"use QoS 1\" a/#\nallow write max-qos=0 b\npattern write b\n")
        #expect(policy.decide("u", "c", .write, "a/x", qos: .atLeastOnce) == .allow(maxQoS: .atLeastOnce))
        #expect(policy.decide("u", "c", .write, "a/x", qos: .exactlyOnce) == .deny(rule: 0))
        #expect(policy.reason(of: 0) == "use QoS 1" && policy.reason(of: 1) == nil && policy.location(of: 1) == "acl:3")
        // The own rule decides, though the pattern would give more.
        #expect(
            policy.decide("u", "c", .write, "b", qos: .atLeastOnce) == .deny(rule: 1)
                && policy.decide("eve", "c", .write, "b", qos: .exactlyOnce).isAllowed)
    }

    @Test("for reading the QoS is a limit, the highest of the rules that decide together")
    func readQoS() throws {
        let policy = try ACLPolicy(text: "user u\nallow read max-qos=0 a/#\nallow read max-qos=1 a/b\npattern read a/#\npattern read p\n")
        #expect(policy.decide("u", "c", .read, "a/c", qos: .exactlyOnce) == .allow(maxQoS: .atMostOnce))
        #expect(
            policy.decide("u", "c", .read, "a/b") == .allow(maxQoS: .atLeastOnce)
                && policy.decide("u", "c", .read, "p") == .allow(maxQoS: .exactlyOnce))
        let principal = policy.principal(username: "u", clientID: "c")
        func granted(_ filter: String) -> QoS? { Array(filter.utf8).withUnsafeBytes { policy.maxReadQoS(principal, filter: $0) } }
        #expect(granted("a/c") == .atMostOnce && granted("a/b") == .atLeastOnce && granted("p") == .exactlyOnce && granted("q") == nil)
        #expect(granted("a/+") == .exactlyOnce)  // by the pattern: more than is sent, never less
    }

    @Test("retain=no stops retained publishes and the sending of retained messages, and no single rule is stretched")
    func retain() throws {
        let policy = try ACLPolicy(
            text: "user u\nallow readwrite retain=no a\nallow write max-qos=0 b\nallow write max-qos=2 retain=no b\n")
        #expect(policy.decide("u", "c", .write, "a").isAllowed && policy.decide("u", "c", .write, "a", retain: true) == .deny(rule: 0))
        #expect(policy.decide("u", "c", .read, "a").isAllowed && policy.decide("u", "c", .read, "a", retain: true) == .deny(rule: 0))
        #expect(
            policy.decide("u", "c", .write, "b", qos: .exactlyOnce).isAllowed
                && policy.decide("u", "c", .write, "b", retain: true).isAllowed)
        #expect(policy.decide("u", "c", .write, "b", qos: .exactlyOnce, retain: true) == .deny(rule: 1))
    }

    @Test("a deny may be for one access, and its reason is told")
    func denyAccess() throws {
        let policy = try ACLPolicy(text: "everyone\nallow readwrite a/#\ndeny write reason=\"the \\\"plant\\\" is\\\\read only\" a/b c\n")
        #expect(policy.allows(nil, "c", .read, "a/b c") && policy.decide(nil, "c", .write, "a/b c") == .deny(rule: 1))
        #expect(policy.reason(of: 1) == "the \"plant\" is\\read only")
    }

    @Test("filter= takes what looks like an option")
    func filterOption() throws {
        let policy = try ACLPolicy(text: "everyone\nallow read max-qos=1 filter=retain=no/x y\nallow read 1=2\n")
        #expect(policy.decide(nil, "c", .read, "retain=no/x y") == .allow(maxQoS: .atLeastOnce) && policy.allows(nil, "c", .read, "1=2"))
    }

    @Test("explanations name every line that matches, in the order of evaluation")
    func explanation() throws {
        let policy = try ACLPolicy(
            text: "pattern read a/#\nuser u\ntopic write a/b\ntopic deny a/+\ntopic deny a/b\nallow read max-qos=0 a/b\n")
        let explanation = policy.explain(ACLClient(username: "u", clientID: "c"), topic: "a/b", access: .read)
        #expect(explanation.lines.map { policy.file.rules[$0.rule].line } == [5, 4, 3, 6, 1])
        #expect(explanation.lines.map(\.part) == [.decides, .tooLate, .otherAccess, .tooLate, .tooLate])
        #expect(policy.lines(explanation).first == "deny by acl:5" && policy.lines(explanation).count == 6)
        let other = policy.explain(ACLClient(username: "x", clientID: "c"), topic: "a/b", access: .write)
        #expect(policy.lines(other).first == "deny: no rule allows it" && other.lines.map(\.part) == [.otherAccess])
    }
}
