import Testing

@testable import Headwater

/// Where a tenant's name stands in a text that names a client.
@Suite("Tenant patterns")
struct TenantPatternTests {
    @Test("the name is what stands at %t", arguments: [
        ("%t", "acme", "acme", nil), ("%u@%t", "pump7@acme", "acme", "pump7"), ("%t/%u", "acme/a/b", "acme", "a/b"),
        ("%t.mqtt.example.com", "acme.mqtt.example.com", "acme", nil), ("fleet-%t", "fleet-9", "9", nil),
        ("%u@%t", "a@b@c", "b@c", "a"), ("%t-%u-x", "a-b-c-x", "a", "b-c"), ("CN=%t CA,O=X", "CN=acme CA,O=X", "acme", nil),
    ] as [(String, String, String, String?)])
    func matches(pattern: String, text: String, tenant: String, user: String?) throws {
        let match = try TenantPattern(pattern, allowsUser: true).match(text)
        #expect(match?.tenant == tenant)
        #expect(match?.user == user)
    }

    @Test("a text that does not fit names nobody", arguments: [
        ("%u@%t", "acme"), ("%u@%t", "@acme"), ("%u@%t", "user@"), ("%t.example.com", ".example.com"), ("%t.example.com", "a.example.org"),
        ("%t.example.com", "a.example.com.evil"), ("x-%t", "acme"), ("%t", ""),
    ])
    func mismatches(pattern: String, text: String) throws {
        #expect(try TenantPattern(pattern, allowsUser: true).match(text) == nil)
    }

    @Test("a pattern that can't say one name is refused", arguments: ["", "acme", "%u", "%t%t", "%t/%t", "%t%u", "%u%t", "%u/%u/%t"])
    func faults(pattern: String) {
        #expect(throws: TenantPattern.Fault.self) { try TenantPattern(pattern, allowsUser: true) }
    }

    @Test("%u is for patterns of user names alone")
    func user() {
        #expect(throws: TenantPattern.Fault.self) { try TenantPattern("%u@%t", allowsUser: false) }
    }

    @Test("names are short and plain, as they go into rules, metrics and Kafka topics", arguments: [
        ("acme", true), ("A-1_b.c", true), ("", false), ("a/b", false), ("a b", false), ("ä", false), ("+", false), ("#", false), ("a\"", false),
        (String(repeating: "a", count: 64), true), (String(repeating: "a", count: 65), false),
    ])
    func names(name: String, isName: Bool) {
        #expect(TenantPattern.isName(name) == isName)
    }
}
