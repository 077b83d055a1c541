import Encodings
import MQTTModel

extension ACLPolicy {
    /// An explanation in lines for a terminal: the decision, what decides, and every rule that matches.
    package func lines(_ explanation: ACLExplanation) -> [String] {
        var lines = [verdict(explanation)]
        for line in explanation.lines {
            let text = file.text(of: file.rules[line.rule])
            lines.append("  \(location(of: line.rule)): \(text)  [\(owner(line.list)); \(Self.text(line.part))]")
        }
        if explanation.lines.isEmpty { lines.append("  no rule for this client matches the topic") }
        return lines
    }

    private func verdict(_ explanation: ACLExplanation) -> String {
        switch explanation.decision {
        case .allow(let qos):
            let place = explanation.lines.first { $0.part == .decides }.map { " by \(location(of: $0.rule))" } ?? ""
            return "allow\(place)" + (qos == .exactlyOnce ? "" : ", at most QoS \(qos)")
        case .deny(let rule?):
            let reason = reason(of: rule).map { ": \($0)" } ?? ""
            return "deny by \(location(of: rule))\(file.rules[rule].effect == .allow ? ", whose limits the message exceeds" : "")\(reason)"
        case .deny(nil) where explanation.isDeniedForName:
            return "deny: username or client identifier holds + or #, and rules for everybody don't count for such a client"
        case .deny(nil):
            return "deny: no rule allows it"
        }
    }

    private func owner(_ list: ACLList) -> String {
        let tenant = list.tenant.map { " of tenant \(ShownText.plain($0.string.utf8))" } ?? ""
        switch list.section {
        case .anonymous: return "clients without a username\(tenant)"
        case .user: return "user \(ShownText.plain(list.name.string.utf8))\(tenant)"
        case .group: return "group \(ShownText.plain(list.name.string.utf8))\(tenant)"
        case .patterns, .everyone: return "everybody\(tenant)"
        }
    }

    private static func text(_ part: ACLExplanation.Part) -> String {
        switch part {
        case .decides: "decides"
        case .limited: "matches, but not within its limits"
        case .tooLate: "matches, but the decision is made"
        case .otherAccess: "matches, but is about the other access"
        case .wildcardInName: "matches, but does not count: + or # in a name"
        }
    }
}
