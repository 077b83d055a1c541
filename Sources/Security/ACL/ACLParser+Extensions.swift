import Encodings
import MQTTModel

/// Lines that Mosquitto refuses a file for: sections for groups, everybody and tenants, and rules with limits and reasons.
extension ACLParser {
    /// - Returns: `false` when the word begins no such line.
    mutating func readExtension(_ word: ArraySlice<UInt8>, _ line: inout ACLLine) -> Bool {
        switch true {
        case word.holds("allow"): limitedRule(.allow, &line)
        case word.holds("deny"): limitedRule(.deny, &line)
        case word.holds("everyone"): plainSection(.everyone, "everyone", &line)
        case word.holds("anonymous"): plainSection(.anonymous, "anonymous", &line)
        case word.holds("group"):
            if let name = name(&line, of: "group", what: "name of the group") { open(ACLList(.group, name: name, tenant: tenant?.string)) }
        case word.holds("member"): member(&line)
        case word.holds("tenant"):
            guard let name = name(&line, of: "tenant", what: "name of the tenant") else { break }
            tenant = ExactText(name)
            open(ACLList(.everyone, tenant: name))
        default: return false
        }
        return true
    }

    private mutating func plainSection(_ section: ACLList.Section, _ word: String, _ line: inout ACLLine) {
        if let rest = line.remainder() {
            return fault("\(ShownText.quoted(rest)) after \(word) has no meaning; write \(word) alone and rules in the lines below it")
        }
        open(ACLList(section, tenant: tenant?.string))
    }

    private mutating func member(_ line: inout ACLLine) {
        guard section.section == .group else { return fault("member stands outside of a group; write group NAME above it") }
        guard let name = name(&line, of: "member", what: "username") else { return }
        add(ACLMembership(group: number(of: section), username: ExactText(name)))
    }

    // MARK: - allow and deny

    private struct Limits {
        var maxQoS: QoS?
        var mayRetain = true
        var reason: String?
    }

    /// `allow|deny read|write|readwrite [OPTION=VALUE]… FILTER`
    private mutating func limitedRule(_ effect: ACLRule.Effect, _ line: inout ACLLine) {
        let word = effect == .allow ? "allow" : "deny"
        let access = line.word()
        let reads = access.map { $0.holds("read") || $0.holds("readwrite") } ?? false
        let writes = access.map { $0.holds("write") || $0.holds("readwrite") } ?? false
        guard reads || writes else {
            let what = access.map { "\(ShownText.quoted($0)) is no access" } ?? "access and topic filter are missing"
            return fault("\(what); write \(word) read, write or readwrite, then the filter")
        }
        guard let (limits, filter) = options(&line, effect) else { return }
        guard let filter else { return fault("the topic filter is missing; write it at the end of the line") }
        let number = ruleCount
        add(
            effect, filter, variables: .all, reads: reads, writes: writes, maxQoS: limits.maxQoS ?? .exactlyOnce,
            mayRetain: limits.mayRetain)
        if ruleCount > number { reasons[number] = limits.reason }
    }

    /// Options up to the filter. A word that looks like an option and is none is a fault, and no filter: a mistyped option
    /// would otherwise make a deny that denies nothing.
    private mutating func options(_ line: inout ACLLine, _ effect: ACLRule.Effect) -> (Limits, ArraySlice<UInt8>?)? {
        var limits = Limits()
        while true {
            var ahead = line
            guard let word = ahead.word(), let equals = Self.optionEnd(word) else { return (limits, line.remainder()) }
            let value = word[(equals + 1)...]
            switch true {
            case word.starts(with: "filter=".utf8):
                // The rest of the line, whatever it looks like.
                return (limits, line.remainder().map { $0.dropFirst(7) })
            case word.starts(with: "max-qos=".utf8):
                guard effect == .allow else { return refuse("a deny has no max-qos; write an allow with max-qos for what is allowed") }
                guard value.count == 1, let digit = value.first, let qos = QoS(rawValue: digit &- UInt8(ascii: "0")) else {
                    return refuse("\(ShownText.quoted(word)) is no QoS; write max-qos=0, max-qos=1 or max-qos=2")
                }
                guard limits.maxQoS == nil else { return refuse("max-qos stands twice; remove one") }
                limits.maxQoS = qos
                line = ahead
            case word.starts(with: "retain=".utf8):
                guard effect == .allow else { return refuse("a deny has no retain; write an allow with retain=no for what is allowed") }
                guard value.holds("no") || value.holds("yes") else {
                    return refuse("\(ShownText.quoted(word)) says neither yes nor no; write retain=no or retain=yes")
                }
                limits.mayRetain = value.holds("yes")
                line = ahead
            case word.starts(with: "reason=".utf8):
                guard let text = line.quotedText(skipping: 7) else {
                    return refuse("the reason is not in quotes; write reason=\"TEXT\" and a blank, \\\" for a quote within the text")
                }
                guard text.withUnsafeBytes({ MQTTString.isValid($0) }) else {
                    return refuse("the reason is not valid UTF-8; save the file as UTF-8")
                }
                guard limits.reason == nil else { return refuse("reason stands twice; remove one") }
                limits.reason = ShownText.plain(text)
            default:
                return refuse(
                    "\(ShownText.quoted(word)) is no option; there are max-qos=, retain= and reason=; "
                        + "a filter that begins like that is written filter=FILTER")
            }
        }
    }

    private mutating func refuse(_ message: String) -> (Limits, ArraySlice<UInt8>?)? {
        fault(message)
        return nil
    }

    /// Where the = of `name=` is, the name being small letters and hyphens.
    private static func optionEnd(_ word: ArraySlice<UInt8>) -> Int? {
        guard let equals = word.firstIndex(of: UInt8(ascii: "=")), equals > word.startIndex else { return nil }
        let isName = word[..<equals].allSatisfy {
            (97...122).contains($0) || (65...90).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
        return isName ? equals : nil
    }
}
