import MQTTModel
import Security
import Testing

/// The compiled policy against a naive reading of the same file.
@Suite struct ACLModelTests {
    static let cases = 260

    /// What was asked and answered, so that a generator that only ever gives boring cases is noticed.
    private struct Tally {
        var asked = 0
        var allowed = 0
        var deniedByRule = 0
        var limited = 0
    }

    private func compare(seed: UInt64, extended: Bool, _ tally: inout Tally) {
        var random = ACLRandom(seed: seed)
        let text = random.file(extended: extended)
        let policy: ACLPolicy
        do { policy = try ACLPolicy(text: text) } catch {
            Issue.record("seed \(seed): a well-formed file is refused: \(error)\n\(text)")
            return
        }
        let naive = ACLNaive(text)
        let filters = policy.filters
        for _ in 0..<Self.cases {
            let client = random.client()
            let (topic, access) = (random.topic(near: filters, client), random.one(ACLAccess.allCases))
            let (qos, retain) = (random.one(QoS.allCases), random.chance(30))
            let expected = naive.decide(client, topic, access, qos: Int(qos.rawValue), retain: retain)
            let decision = policy.decide(client.username, client.clientID, access, topic, tenant: client.tenant, qos: qos, retain: retain)
            let got: ACLNaive.Answer
            switch decision {
            case .allow(let limit): got = .init(isAllowed: true, line: expected.line, maxQoS: Int(limit.rawValue))
            case .deny(let rule): got = .denied(rule.map { policy.file.rules[$0].line } ?? 0)
            }
            guard got == expected else {
                Issue.record(
                    "seed \(seed): \(client) \(access) \(topic) qos \(qos) retain \(retain): \(got), expected \(expected)\n\(text)")
                return
            }
            tally.asked += 1
            if got.isAllowed { tally.allowed += 1 } else if got.line > 0 { tally.deniedByRule += 1 }
            if got.isAllowed, got.maxQoS < 2 { tally.limited += 1 }
            // Explanations are slow, so not of each.
            guard tally.asked % 3 == 0 else { continue }
            let explanation = policy.explain(client, topic: topic, access: access, qos: qos, retain: retain)
            let deciding =
                explanation.lines.first { $0.part == .decides || $0.part == .limited }.map { policy.file.rules[$0.rule].line } ?? 0
            guard explanation.decision == decision, deciding == expected.line else {
                Issue.record("seed \(seed): \(client) \(access) \(topic): explained by line \(deciding), expected \(expected)\n\(text)")
                return
            }
        }
    }

    @Test("100,000 random questions to old files are answered as a naive reading answers them")
    func oldFiles() {
        var tally = Tally()
        for seed in UInt64(1)...400 { compare(seed: seed, extended: false, &tally) }
        #expect(tally.asked == 400 * Self.cases)
        #expect(tally.allowed > 8_000 && tally.deniedByRule > 5_000, "\(tally)")
    }

    @Test("100,000 random questions to files with extensions are answered as a naive reading answers them")
    func extendedFiles() {
        var tally = Tally()
        for seed in UInt64(10_001)...10_400 { compare(seed: seed, extended: true, &tally) }
        #expect(tally.asked == 400 * Self.cases)
        #expect(tally.allowed > 8_000 && tally.deniedByRule > 4_000 && tally.limited > 400, "\(tally)")
    }

    @Test("a subscription is refused only when no topic below its filter can be read, and without denies always then")
    func subscriptions() throws {
        let alphabet = ["a", "b", "c1", "c2", "anna", "bob", "acme", "", "$SYS", "x%u", "%c", "%u", "%t", "other"]
        var topics = alphabet.filter { !$0.isEmpty }
        var last = alphabet
        for _ in 0..<2 {
            last = last.flatMap { prefix in alphabet.map { prefix + "/" + $0 } }
            topics += last
        }
        var granted = 0
        var refused = 0
        var unwitnessed = 0
        for seed in UInt64(20_001)...20_120 {
            var random = ACLRandom(seed: seed)
            let text = random.file(extended: true).split(separator: "\n").filter { $0.filter { $0 == "/" }.count < 3 }.joined(
                separator: "\n")
            let policy = try ACLPolicy(text: text)
            for _ in 0..<4 {
                let client = random.client()
                let principal = policy.principal(client)
                let readable = topics.filter { topic in
                    Array(topic.utf8).withUnsafeBytes { policy.check(principal, topic: $0, access: .read).isAllowed }
                }
                for _ in 0..<6 {
                    let filter = random.filter()
                    guard filter.filter({ $0 == "/" }).count < 3, let parsed = try? TopicFilter(filter) else { continue }
                    let could = Array(filter.utf8).withUnsafeBytes { policy.couldEverRead(principal, filter: $0) }
                    let witness = readable.first { parsed.matches($0) }
                    if could { granted += 1 } else { refused += 1 }
                    if let witness, !could {
                        Issue.record("seed \(seed): \(client) \(filter) is refused, but \(witness) can be read\n\(text)")
                    }
                    if could, witness == nil {
                        unwitnessed += 1
                        // Several denies together, or values that the topics of this test don't hold.
                        let isPlain = !text.contains("deny") && ACLRandom.users.prefix(2).contains(client.username ?? "anna")
                        if isPlain, client.clientID.hasPrefix("c"), !text.contains("globex") {
                            Issue.record("seed \(seed): \(client) \(filter) is granted, but nothing can be read\n\(text)")
                        }
                    }
                }
            }
        }
        #expect(granted > 200 && refused > 200 && unwitnessed < granted / 5, "\(granted) \(refused) \(unwitnessed)")
    }
}
