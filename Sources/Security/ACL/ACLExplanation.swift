import Encodings
import MQTTModel

/// Why a policy decides as it does: for `headwater acl explain`, tests and whoever looks for a lost message.
package struct ACLExplanation: Sendable {
    /// What a rule whose filter matches had to say.
    package enum Part: Sendable, Equatable {
        case decides
        /// It allows, with a QoS or retain limit that this message exceeds.
        case limited
        /// A deny, or an allow that stands before it, has decided already.
        case tooLate
        /// It is about the other access.
        case otherAccess
        /// Username or client identifier holds `+` or `#`, and general rules don't count for such a client.
        case wildcardInName
    }

    package struct Line: Sendable {
        /// Number of the rule, as in `ACLDecision.deny`.
        package let rule: Int
        package let list: ACLList
        package let part: Part
    }

    package let decision: ACLDecision
    /// The rules whose filter matches, in the order in which Mosquitto would test them: of the own rules denies, the last of the
    /// file first, then allows; then the same of the general rules.
    package let lines: [Line]
    /// Whether general rules exist and were not looked at because of a wildcard in a name.
    package let isDeniedForName: Bool
}

extension ACLPolicy {
    /// Goes through the rules one by one, as the file's author would: slow, and of one mind with `check`.
    package func explain(
        _ client: ACLClient, topic: String, access: ACLAccess, qos: QoS = .atMostOnce, retain: Bool = false
    ) -> ACLExplanation {
        let bytes = Array(topic.utf8)
        let decision = bytes.withUnsafeBytes { check(principal(client), topic: $0, access: access, qos: qos, retain: retain) }
        let holdsWildcard = [client.clientID, client.username ?? ""].contains { $0.utf8.contains { $0 == 0x2B || $0 == 0x23 } }
        var lines: [ACLExplanation.Line] = []
        var isDecided = false
        for isGeneral in [false, true] {
            let rules = file.rules.indices.filter { number in
                let list = file.lists[file.rules[number].list]
                return list.isGeneral == isGeneral && concerns(list, client) && matches(file.rules[number], client, bytes)
            }
            let denies = rules.filter { file.rules[$0].effect == .deny }
            let allows = rules.filter { file.rules[$0].effect == .allow }
            let isBarred = isGeneral && holdsWildcard
            var part = isBarred ? ACLExplanation.Part.wildcardInName : .decides
            if isDecided { part = .tooLate }
            // Of the allows that decide together, the first whose limits this message keeps is named.
            let within = allows.first { file.rules[$0].concerns(access) && isWithinLimits(file.rules[$0], access, qos, retain) }
            for number in denies.reversed() + allows {
                let rule = file.rules[number]
                var own = rule.concerns(access) ? part : .otherAccess
                if own == .decides {
                    isDecided = true
                    if rule.effect == .deny || number == within {
                        part = .tooLate
                    } else {
                        own = .limited
                    }
                }
                lines.append(ACLExplanation.Line(rule: number, list: file.lists[rule.list], part: own))
            }
        }
        let hasGeneral = file.rules.contains { file.lists[$0.list].isGeneral && concerns(file.lists[$0.list], client) }
        return ACLExplanation(decision: decision, lines: lines, isDeniedForName: !isDecided && holdsWildcard && hasGeneral)
    }

    private func isWithinLimits(_ rule: ACLRule, _ access: ACLAccess, _ qos: QoS, _ retain: Bool) -> Bool {
        (access == .read || qos <= rule.maxQoS) && (!retain || rule.mayRetain)
    }

    private func concerns(_ list: ACLList, _ client: ACLClient) -> Bool {
        if let tenant = list.tenant, tenant != ExactText(client.tenant) { return false }
        switch list.section {
        case .anonymous: return client.username == nil
        case .user: return client.username.map { ExactText($0) == list.name } ?? false
        case .patterns, .everyone: return true
        case .group:
            guard let username = client.username.map({ ExactText($0) }) else { return false }
            return file.memberships.contains { file.lists[$0.group] == list && $0.username == username }
        }
    }

    private func matches(_ rule: ACLRule, _ client: ACLClient, _ topic: [UInt8]) -> Bool {
        if rule.needsUsername, client.username == nil { return false }
        let filter = file.filter(of: rule)
        if topic.first == UInt8(ascii: "$"), filter.first != UInt8(ascii: "$") { return false }
        let levels = topic.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let filters = filter.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, part) in filters.enumerated() {
            if part.holds("#") { return true }
            guard index < levels.count else { return false }
            if part.holds("+") { continue }
            switch ACLFilter.variable(part, rule.variables) {
            case nil: guard part == levels[index] else { return false }
            case .clientID: guard isLevel(client.clientID, levels[index]) else { return false }
            case .username: guard isLevel(client.username ?? "", levels[index]) else { return false }
            case .tenant: guard isLevel(client.tenant, levels[index]) else { return false }
            }
        }
        return filters.count == levels.count
    }

    /// An empty value is no level's.
    private func isLevel(_ value: String, _ level: ArraySlice<UInt8>) -> Bool { !value.isEmpty && value.utf8.elementsEqual(level) }
}
