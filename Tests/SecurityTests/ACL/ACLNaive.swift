import MQTTModel
import Security

/// The semantics of docs/acl.md read line by line: strings, lists and loops, nothing shared with the library. Reads well-formed
/// lines only.
struct ACLNaive {
    struct Rule {
        var line: Int
        var isDeny: Bool
        var reads: Bool
        var writes: Bool
        var maxQoS = 2
        var mayRetain = true
        var filter: [String]
        var isPattern = false
        var variables: [String]
    }
    /// What `deny` and `allow` come out as: the deciding line, 0 for none, and the highest QoS.
    struct Answer: Equatable {
        var isAllowed: Bool
        var line: Int
        var maxQoS: Int
        static func denied(_ line: Int) -> Answer { Answer(isAllowed: false, line: line, maxQoS: 0) }
    }

    private var anonymous: [String: [Rule]] = [:]
    private var users: [String: [Rule]] = [:]
    private var groups: [String: [Rule]] = [:]
    private var members: [String: Set<String>] = [:]
    private var everyone: [String: [Rule]] = [:]

    init(_ text: String) {
        var tenant = "*"
        var section = "anonymous"
        var name = ""
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            var words = raw.split(separator: " ").map(String.init)
            guard !words.isEmpty, !raw.hasPrefix("#") else { continue }
            let key = "\(tenant)|\(name)"
            switch words.removeFirst() {
            case "user": (section, name) = ("user", words.joined(separator: " "))
            case "group": (section, name) = ("group", words.joined(separator: " "))
            case "member": members[key, default: []].insert(words.joined(separator: " "))
            case "everyone": (section, name) = ("everyone", "")
            case "anonymous": (section, name) = ("anonymous", "")
            case "tenant": (tenant, section, name) = (words.joined(separator: " "), "everyone", "")
            case "pattern":
                var rule = Self.old(words, index + 1, ["%c", "%u"])
                rule.isPattern = true
                everyone["*|", default: []].append(rule)
            case "topic": add(Self.old(words, index + 1, []), section, key)
            case let word: add(Self.new(word == "deny", words, index + 1), section, key)
            }
        }
    }

    private mutating func add(_ rule: Rule, _ section: String, _ key: String) {
        switch section {
        case "user": users[key, default: []].append(rule)
        case "group": groups[key, default: []].append(rule)
        case "everyone": everyone[key, default: []].append(rule)
        default: anonymous[key, default: []].append(rule)
        }
    }

    private static func levels(_ filter: String) -> [String] {
        filter.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    private static func old(_ words: [String], _ line: Int, _ variables: [String]) -> Rule {
        let access = words.count > 1 ? words[0] : "readwrite"
        return Rule(
            line: line, isDeny: access == "deny", reads: access != "write", writes: access != "read",
            filter: levels(words.dropFirst(words.count > 1 ? 1 : 0).joined(separator: " ")), variables: variables)
    }

    private static func new(_ isDeny: Bool, _ words: [String], _ line: Int) -> Rule {
        var rule = Rule(
            line: line, isDeny: isDeny, reads: words[0] != "write", writes: words[0] != "read", filter: levels(words.last!),
            variables: ["%c", "%u", "%t"])
        for option in words.dropFirst().dropLast() {
            if option.hasPrefix("max-qos=") { rule.maxQoS = Int(option.suffix(1))! }
            if option == "retain=no" { rule.mayRetain = false }
        }
        return rule
    }

    // MARK: - Deciding

    func decide(_ client: ACLClient, _ topic: String, _ access: ACLAccess, qos: Int, retain: Bool) -> Answer {
        let scopes = client.tenant.isEmpty ? ["*"] : ["*", client.tenant]
        var own: [Rule] = []
        for scope in scopes {
            if let username = client.username {
                own += users["\(scope)|\(username)"] ?? []
                for (key, names) in members where key.hasPrefix("\(scope)|") && names.contains(username) { own += groups[key] ?? [] }
            } else {
                own += anonymous["\(scope)|"] ?? []
            }
        }
        if let answer = Self.look(own, client, topic, access, qos, retain) { return answer }
        let general = scopes.flatMap { everyone["\($0)|"] ?? [] }
        if !general.isEmpty, (client.clientID + (client.username ?? "")).contains(where: { $0 == "+" || $0 == "#" }) { return .denied(0) }
        return Self.look(general, client, topic, access, qos, retain) ?? .denied(0)
    }

    private static func look(
        _ rules: [Rule], _ client: ACLClient, _ topic: String, _ access: ACLAccess, _ qos: Int, _ retain: Bool
    ) -> Answer? {
        var ordered: [Rule] = []
        for rule in rules.sorted(by: { $0.line < $1.line }) {
            if rule.isDeny { ordered.insert(rule, at: 0) } else { ordered.append(rule) }
        }
        var first: Int?
        var limit = -1
        for rule in ordered where (access == .read ? rule.reads : rule.writes) && matches(rule, client, topic) {
            if rule.isDeny { return .denied(rule.line) }
            first = first ?? rule.line
            if rule.mayRetain || !retain { limit = max(limit, rule.maxQoS) }
        }
        guard let first else { return nil }
        return limit >= (access == .read ? 0 : qos) ? Answer(isAllowed: true, line: first, maxQoS: limit) : .denied(first)
    }

    private static func matches(_ rule: Rule, _ client: ACLClient, _ topic: String) -> Bool {
        if rule.isPattern, client.username == nil, rule.filter.contains(where: { $0.contains("%u") }) { return false }
        if topic.hasPrefix("$"), !rule.filter[0].hasPrefix("$") { return false }
        var filter: [String] = []
        for level in rule.filter {
            guard rule.variables.contains(level) else {
                filter.append(level)
                continue
            }
            let value = level == "%c" ? client.clientID : level == "%u" ? client.username ?? "" : client.tenant
            // Not a level that a topic could have; a + or # in a name is no wildcard.
            if value.isEmpty || value.contains(where: { $0 == "/" || $0 == "+" || $0 == "#" }) { return false }
            filter.append(value)
        }
        return matches(filter[...], levels(topic)[...])
    }

    private static func matches(_ filter: ArraySlice<String>, _ topic: ArraySlice<String>) -> Bool {
        if filter.first == "#" { return true }
        if filter.isEmpty || topic.isEmpty { return filter.isEmpty && topic.isEmpty }
        return (filter.first == "+" || filter.first == topic.first) && matches(filter.dropFirst(), topic.dropFirst())
    }
}
