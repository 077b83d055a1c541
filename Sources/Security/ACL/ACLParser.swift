import Encodings
import MQTTModel

/// Reads the lines of an ACL file. What Mosquitto reads is in this file, what it would refuse in `ACLParser+Extensions`.
struct ACLParser {
    static let words: [StaticString] = [
        "topic", "pattern", "user", "allow", "deny", "everyone", "anonymous", "group", "member", "tenant",
    ]

    private(set) var rules: [ACLRule] = []
    private(set) var lists: [ACLList] = []
    var memberships: [ACLMembership] = []
    private(set) var notes: [ACLDiagnostic] = []
    var reasons: [Int: String] = [:]

    let bytes: [UInt8]
    private let name: String
    private var faults: [ACLDiagnostic] = []
    private var faultCount = 0
    private var lineNumber = 0
    private var listNumbers: [ACLList: Int] = [:]
    private var membershipsSeen: Set<ACLMembership> = []
    /// What the next `topic`, `allow` or `deny` belongs to: before any other section, clients without a username.
    private(set) var section = ACLList(.anonymous)
    private var sectionNumber: Int?
    /// The name of the last `tenant` line.
    var tenant: ExactText?

    init(_ bytes: [UInt8], name: String) {
        self.bytes = bytes
        self.name = name
    }

    var error: ACLFileError? {
        faultCount == 0 ? nil : ACLFileError(diagnostics: faults, omitted: faultCount - faults.count)
    }

    mutating func parse() {
        guard bytes.count <= ACLFile.maximumBytes else {
            return fault("has \(bytes.count) bytes, more than the \(ACLFile.maximumBytes) that an ACL file may have; split it by listener")
        }
        // A byte order mark says nothing in UTF-8; editors on Windows write one.
        var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while start < bytes.count {
            lineNumber += 1
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            read(start..<end)
            start = end + 1
        }
    }

    private mutating func read(_ range: Range<Int>) {
        if bytes[range].contains(0) {
            return fault("the line holds a NUL byte; save the file as plain UTF-8, not as UTF-16, and restore it if it is damaged")
        }
        var line = ACLLine(bytes, range)
        guard !line.isBlankOrComment, let word = line.word() else { return }
        if word.holds("topic") {
            rule(&line, variables: .none)
        } else if word.holds("pattern") {
            rule(&line, variables: .clientAndUser)
        } else if word.holds("user") {
            user(&line)
        } else if !readExtension(word, &line) {
            unknown(word)
        }
    }

    // MARK: - Mosquitto's lines

    private mutating func user(_ line: inout ACLLine) {
        guard let name = self.name(&line, of: "user", what: "username") else { return }
        open(ACLList(.user, name: name, tenant: tenant?.string))
    }

    /// `topic` and `pattern`: an access word and a filter, which may hold blanks, or one word, which is the filter.
    private mutating func rule(_ line: inout ACLLine, variables: ACLRule.Variables) {
        guard let first = line.word() else {
            return fault("the topic filter is missing; write topic [read|write|readwrite|deny] FILTER")
        }
        var (effect, reads, writes) = (ACLRule.Effect.allow, true, true)
        var filter = first
        if let rest = line.remainder() {
            switch true {
            case first.holds("read"): writes = false
            case first.holds("write"): reads = false
            case first.holds("readwrite"): break
            case first.holds("deny"): effect = .deny
            default:
                return fault(
                    "\(ShownText.quoted(first)) is no access; write read, write, readwrite or deny before a filter, "
                        + "also before one that holds blanks")
            }
            filter = rest
        } else if first.holds("read") || first.holds("write") || first.holds("readwrite") || first.holds("deny") {
            note("\(ShownText.quoted(first)) stands alone and so is the topic, for reading and writing")
        }
        if variables == .clientAndUser, tenant != nil {
            return fault("pattern lines are for everybody; move it above the first tenant line, or write allow or deny")
        }
        add(effect, filter, variables: variables, reads: reads, writes: writes, maxQoS: .exactlyOnce, mayRetain: true)
    }

    // MARK: - What all lines need

    /// Adds a rule to the section, or to everybody's patterns.
    mutating func add(
        _ effect: ACLRule.Effect, _ filter: ArraySlice<UInt8>, variables: ACLRule.Variables, reads: Bool, writes: Bool, maxQoS: QoS,
        mayRetain: Bool
    ) {
        if let fault = ACLFilter.fault(in: filter) { return self.fault(fault) }
        let isPattern = variables == .clientAndUser
        noteOddities(filter, variables)
        let list = isPattern ? number(of: ACLList(.patterns)) : sectionNumber ?? number(of: section)
        if !isPattern { sectionNumber = list }
        rules.append(
            ACLRule(
                lineNumber: UInt32(lineNumber), listNumber: UInt32(list), filterStart: UInt32(filter.startIndex),
                filterCount: UInt32(filter.count), effect: effect, variables: variables, reads: reads, writes: writes, maxQoS: maxQoS,
                mayRetain: mayRetain, needsUsername: isPattern && Self.mentions("u", filter)))
    }

    /// Begins a section.
    mutating func open(_ list: ACLList) {
        section = list
        sectionNumber = nil
    }

    /// The number of a list, which a rule or a member makes.
    mutating func number(of list: ACLList) -> Int {
        if let known = listNumbers[list] { return known }
        lists.append(list)
        listNumbers[list] = lists.count - 1
        return lists.count - 1
    }

    /// The name that is the rest of a line.
    mutating func name(_ line: inout ACLLine, of word: String, what: String) -> String? {
        guard let rest = line.remainder() else {
            fault("the \(what) is missing; write \(word) NAME")
            return nil
        }
        guard rest.withUnsafeBytes({ MQTTString.isValid($0) }) else {
            fault("the \(what) \(ShownText.quoted(rest)) is not valid UTF-8, so that no client could have it; save the file as UTF-8")
            return nil
        }
        return String(decoding: rest, as: UTF8.self)
    }

    mutating func add(_ membership: ACLMembership) {
        if membershipsSeen.insert(membership).inserted { memberships.append(membership) }
    }

    mutating func fault(_ message: String) {
        faultCount += 1
        if faults.count < ACLFileError.shownFaults { faults.append(ACLDiagnostic(file: name, line: lineNumber, message: message)) }
    }

    mutating func note(_ message: String) {
        if notes.count < ACLFileError.shownFaults { notes.append(ACLDiagnostic(file: name, line: lineNumber, message: message)) }
    }

    var ruleCount: Int { rules.count }

    private mutating func unknown(_ word: ArraySlice<UInt8>) {
        let shown = ShownText.quoted(word)
        if word.first == UInt8(ascii: "\t") || word.contains(0x09) {
            return fault("\(shown) holds a tab; begin lines without white space and separate words by blanks")
        }
        if word.first == UInt8(ascii: "#") { return fault("a comment begins in the first column; remove the blanks before the #") }
        let lower = word.map { (65...90).contains($0) ? $0 + 32 : $0 }
        if let meant = Self.words.first(where: { word in lower[...].holds(word) }) {
            return fault("\(shown) begins no line; words are written small: \(meant)")
        }
        fault("\(shown) begins no line; \(Self.words.map(\.description).joined(separator: ", ")) do, and # in the first column a comment")
    }

    // MARK: - Notes

    private mutating func noteOddities(_ filter: ArraySlice<UInt8>, _ variables: ACLRule.Variables) {
        let shown = ShownText.quoted(filter)
        if filter.contains(where: { $0 < 0x20 || $0 == 0x7F }) { note("the filter \(shown) holds control characters") }
        guard filter.contains(UInt8(ascii: "%")) || variables == .clientAndUser else { return }
        var (filling, partial) = (false, false)
        for level in filter.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if ACLFilter.variable(level, .all) != nil {
                let counts = ACLFilter.variable(level, variables) != nil
                filling = filling || counts
                if !counts {
                    note("in \(shown), \(String(decoding: level, as: UTF8.self)) is literal; only \(Self.homes(of: level)) lines know it")
                }
            } else if Self.mentions("c", level) || Self.mentions("u", level) || (variables == .all && Self.mentions("t", level)) {
                partial = true
            }
        }
        if partial, variables != .none { note("in \(shown) a variable that does not fill its level is literal") }
        if variables == .clientAndUser, !filling {
            note("the pattern \(shown) has no %c or %u for a level, so that it is for everybody alike")
        }
    }

    private static func homes(of level: ArraySlice<UInt8>) -> String { level.holds("%t") ? "allow and deny" : "pattern, allow and deny" }

    /// Whether `%` and the letter stand one after the other, anywhere.
    private static func mentions(_ letter: Unicode.Scalar, _ text: ArraySlice<UInt8>) -> Bool {
        zip(text, text.dropFirst()).contains { $0 == UInt8(ascii: "%") && $1 == UInt8(ascii: letter) }
    }
}
