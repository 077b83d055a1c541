import MQTTModel
import Security

/// Random files, clients and topics out of few names, so that they meet often. The same seed gives the same.
struct ACLRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func one<T>(_ of: [T]) -> T { of[Int(next() % UInt64(of.count))] }
    mutating func chance(_ percent: UInt64) -> Bool { next() % 100 < percent }

    static let users = ["anna", "bob", "c d", "u+", "h#h", "", "x/y", "$SYS", "a"]
    static let clients = ["c1", "c2", "a", "anna", "b", "x/y", "c+", "#", "$SYS", ""]
    static let tenants = ["", "acme", "globex", "a"]
    static let levels = ["a", "b", "a", "b", "c1", "anna", "acme", "", "$SYS", "%c", "%u", "%t", "x%u", "c d"]

    mutating func client() -> ACLClient {
        ACLClient(username: chance(25) ? nil : one(Self.users), clientID: one(Self.clients), tenant: chance(50) ? "" : one(Self.tenants))
    }

    mutating func topic() -> String {
        let names = Self.levels + Self.users.filter { !$0.contains { "+#/".contains($0) } } + ["globex", "c2", "other"]
        let topic = (0..<(1 + Int(next() % 4))).map { _ in one(names) }.joined(separator: "/")
        return topic.isEmpty ? "a" : topic
    }

    /// A topic that one of the filters of a file may well match for this client.
    mutating func topic(near filters: [String], _ client: ACLClient) -> String {
        guard !filters.isEmpty, chance(70) else { return topic() }
        var levels = one(filters).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        for index in levels.indices {
            switch levels[index] {
            case "%c" where chance(70): levels[index] = client.clientID
            case "%u" where chance(70): levels[index] = client.username ?? ""
            case "%t" where chance(70): levels[index] = client.tenant
            case "+": levels[index] = one(Self.levels)
            case "#": levels[index] = topic()
            default: break
            }
        }
        let topic = levels.joined(separator: "/")
        // Names may hold what topics don't.
        return topic.isEmpty || topic.contains { $0 == "+" || $0 == "#" } ? self.topic() : topic
    }

    mutating func filter(blanks: Bool = true) -> String {
        var levels = (0..<(1 + Int(next() % 4))).map { _ in chance(20) ? "+" : one(Self.levels) }
        if !blanks { levels = levels.map { $0 == "c d" ? "cd" : $0 } }
        if chance(25) { levels[levels.count - 1] = "#" }
        let filter = levels.joined(separator: "/")
        return filter.isEmpty || filter.hasPrefix(" ") || filter.hasSuffix(" ") ? "a" : filter
    }

    private mutating func oldRule(_ word: String) -> String {
        let gap = String(repeating: " ", count: 1 + Int(next() % 2))
        if chance(15) { return "\(word)\(gap)\(filter(blanks: false))" }
        return "\(word)\(gap)\(one(["read", "write", "readwrite", "deny", "read"])) \(filter())"
    }

    private mutating func newRule() -> String {
        let isDeny = chance(35)
        var words = [isDeny ? "deny" : "allow", one(["read", "write", "readwrite"])]
        if !isDeny, chance(40) { words.append("max-qos=\(next() % 3)") }
        if !isDeny, chance(30) { words.append(one(["retain=no", "retain=yes"])) }
        return (words + [filter(blanks: false)]).joined(separator: " ")
    }

    /// - Parameter extended: Whether to use lines that Mosquitto refuses.
    mutating func file(extended: Bool) -> String {
        var lines: [String] = []
        var inTenant = false
        var inGroup = false
        for _ in 0..<Int(next() % (extended ? 60 : 30)) {
            switch next() % 20 {
            case 0, 1: (lines, inGroup) = (lines + ["user " + one(Self.users.filter { !$0.isEmpty })], false)
            case 3 where extended: (lines, inGroup) = (lines + ["group " + one(["ops", "all", "anna"])], true)
            case 4 where extended: (lines, inGroup) = (lines + [one(["everyone", "anonymous"])], false)
            case 5 where extended && lines.count > 8:
                (lines, inGroup, inTenant) = (lines + ["tenant " + one(["acme", "globex", "a"])], false, true)
            case 6...8 where inGroup: lines.append("member " + one(Self.users.filter { !$0.isEmpty }))
            case 9...10 where !inTenant: lines.append(oldRule("pattern"))
            case 11: lines.append(one(["", "# remark", "   "]))
            case 12...17 where extended: lines.append(newRule())
            default: lines.append(oldRule("topic"))
            }
        }
        return lines.joined(separator: "\n") + (chance(80) ? "\n" : "")
    }
}

extension ACLPolicy {
    /// A policy of a text, for tests.
    convenience init(text: String) throws(ACLFileError) { self.init(try ACLFile(Array(text.utf8), name: "acl")) }

    func decide(
        _ username: String?, _ clientID: String, _ access: ACLAccess, _ topic: String, tenant: String = "", qos: QoS = .atMostOnce,
        retain: Bool = false
    ) -> ACLDecision {
        let principal = principal(username: username, clientID: clientID, tenant: tenant)
        return Array(topic.utf8).withUnsafeBytes { check(principal, topic: $0, access: access, qos: qos, retain: retain) }
    }

    func allows(_ username: String?, _ clientID: String, _ access: ACLAccess, _ topic: String, tenant: String = "") -> Bool {
        decide(username, clientID, access, topic, tenant: tenant).isAllowed
    }

    /// The filters of all rules.
    var filters: [String] { file.rules.map { String(decoding: file.filter(of: $0), as: UTF8.self) } }

    func could(_ username: String?, _ clientID: String, _ filter: String, tenant: String = "") -> Bool {
        let principal = principal(username: username, clientID: clientID, tenant: tenant)
        return Array(filter.utf8).withUnsafeBytes { couldEverRead(principal, filter: $0) }
    }
}
