import MQTTModel

/// A file of what an ACL file is expected to say, one line for each case, so that rules can be changed without fear:
///
///     allow|deny USER|- CLIENT read|write|subscribe [tenant=NAME] [qos=N] [retain=yes] TOPIC
///
/// `-` is no username. A user or client with blanks, or named `-`, stands in double quotes. The topic is the rest of the line.
/// `subscribe` asks whether a topic filter could ever have a message.
package struct ACLExpectations: Sendable {
    package enum Question: Sendable, Equatable {
        case topic(ACLAccess)
        case subscribe
    }

    package struct Case: Sendable {
        package let line: Int
        package let isAllowed: Bool
        package let client: ACLClient
        package let question: Question
        package let qos: QoS
        package let retain: Bool
        package let topic: String
    }

    package let name: String
    package let cases: [Case]

    /// - Throws: Everything that is wrong with the file.
    package init(_ bytes: [UInt8], name: String) throws(ACLFileError) {
        self.name = name
        var cases: [Case] = []
        var faults: [ACLDiagnostic] = []
        for (number, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            do throws(LineFault) {
                if let new = try Self.parse(ACLLine(bytes, line.indices), number + 1) { cases.append(new) }
            } catch {
                faults.append(ACLDiagnostic(file: name, line: number + 1, message: error.message))
            }
        }
        guard faults.isEmpty else {
            let shown = Array(faults.prefix(ACLFileError.shownFaults))
            throw ACLFileError(diagnostics: shown, omitted: faults.count - shown.count)
        }
        self.cases = cases
    }

    private struct LineFault: Error { let message: String }

    private static func parse(_ line: ACLLine, _ number: Int) throws(LineFault) -> Case? {
        var line = line
        guard !line.isBlankOrComment, let verdict = line.word() else { return nil }
        guard verdict.holds("allow") || verdict.holds("deny") else {
            throw LineFault(
                message: "\(ShownText.quoted(verdict)) is neither allow nor deny; write allow|deny USER|- CLIENT read|write TOPIC")
        }
        let username = try name(&line, "username", mayBeAbsent: true)
        guard let clientID = try name(&line, "client identifier", mayBeAbsent: false) else { return nil }
        let question: Question
        switch line.word() {
        case let word? where word.holds("read"): question = .topic(.read)
        case let word? where word.holds("write"): question = .topic(.write)
        case let word? where word.holds("subscribe"): question = .subscribe
        default: throw LineFault(message: "the access is missing; write read, write or subscribe after the client identifier")
        }
        var (tenant, qos, retain) = ("", QoS.atMostOnce, false)
        while true {
            var ahead = line
            guard let word = ahead.word() else { break }
            if word.starts(with: "tenant=".utf8) {
                tenant = String(decoding: word.dropFirst(7), as: UTF8.self)
            } else if word.starts(with: "qos=".utf8) {
                guard let digit = word.last, word.count == 5, let value = QoS(rawValue: digit &- UInt8(ascii: "0")) else {
                    throw LineFault(message: "\(ShownText.quoted(word)) is no QoS; write qos=0, qos=1 or qos=2")
                }
                qos = value
            } else if word.holds("retain=yes") {
                retain = true
            } else {
                break
            }
            line = ahead
        }
        guard let rest = line.remainder() else { throw LineFault(message: "the topic is missing; write it at the end of the line") }
        let topic = String(decoding: rest, as: UTF8.self)
        let fault = rest.withUnsafeBytes { question == .subscribe ? TopicFilter.check($0) : TopicName.check($0) }
        if let fault { throw LineFault(message: "the topic \(ShownText.quoted(rest)) \(fault)") }
        return Case(
            line: number, isAllowed: verdict.holds("allow"), client: ACLClient(username: username, clientID: clientID, tenant: tenant),
            question: question, qos: qos, retain: retain, topic: topic)
    }

    private static func name(_ line: inout ACLLine, _ what: String, mayBeAbsent: Bool) throws(LineFault) -> String? {
        if let quoted = line.quotedText(skipping: 0) { return String(decoding: quoted, as: UTF8.self) }
        guard let word = line.word() else { throw LineFault(message: "the \(what) is missing") }
        if word.first == UInt8(ascii: "\"") { throw LineFault(message: "the \(what) has no closing quote; write \"NAME\" and a blank") }
        return mayBeAbsent && word.holds("-") ? nil : String(decoding: word, as: UTF8.self)
    }
}

extension ACLPolicy {
    /// - Returns: What is wrong, in lines for a terminal, the deciding rule included; `nil` when the policy says what is expected.
    package func disappointment(_ expected: ACLExpectations.Case, in expectations: ACLExpectations) -> [String]? {
        let place = "\(expectations.name):\(expected.line)"
        let wanted = expected.isAllowed ? "allow" : "deny"
        switch expected.question {
        case .subscribe:
            let could = Array(expected.topic.utf8).withUnsafeBytes { couldEverRead(principal(expected.client), filter: $0) }
            guard could != expected.isAllowed else { return nil }
            let got = could ? "allow" : "deny"
            return ["\(place): expected \(wanted), got \(got) for a subscription to \(ShownText.quoted(expected.topic.utf8))"]
        case .topic(let access):
            let explanation = explain(expected.client, topic: expected.topic, access: access, qos: expected.qos, retain: expected.retain)
            guard explanation.decision.isAllowed != expected.isAllowed else { return nil }
            let lines = self.lines(explanation)
            return ["\(place): expected \(wanted), got \(lines[0])"] + lines.dropFirst()
        }
    }
}
