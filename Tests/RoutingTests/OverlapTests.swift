import MQTTModel
import Routing
import Testing

/// A subscriber whose subscriptions overlap gets one message, not several.
struct OverlapTests {
    private func tree(_ subscriptions: [(filter: String, subscriber: UInt32, options: SubscriptionOptions)]) -> TopicTree {
        var tree = TopicTree()
        for entry in subscriptions {
            entry.filter.withBytes { _ = tree.insert($0, subscriber: entry.subscriber, options: entry.options) }
        }
        return tree
    }

    @Test("overlapping subscriptions give one match with the highest QoS, any Retain As Published and all identifiers")
    func merged() throws {
        let tree = tree([
            ("a/b", 3, SubscriptionOptions(qos: .atMostOnce, subscriptionID: 7)),
            ("a/+", 3, SubscriptionOptions(qos: .exactlyOnce)),
            ("a/#", 3, SubscriptionOptions(qos: .atLeastOnce, retainAsPublished: true, subscriptionID: 7)),
            ("#", 3, SubscriptionOptions(qos: .atMostOnce, subscriptionID: 268_435_455)),
            ("b", 3, SubscriptionOptions(qos: .atMostOnce, subscriptionID: 1)),
            ("#", 4, SubscriptionOptions(qos: .atMostOnce)),
        ])
        var result = MatchResult()
        "a/b".withBytes { tree.match($0, into: &result) }
        #expect(result.matches.count == 2)
        let match = try #require(result.matches.first { $0.subscriber == 3 })
        #expect(match.qos == .exactlyOnce)
        #expect(match.retainAsPublished)
        // [MQTT-3.3.4-4] all identifiers, also equal ones
        #expect(result.identifiers(of: match).sorted() == [7, 7, 268_435_455])
        let other = try #require(result.matches.first { $0.subscriber == 4 })
        #expect(other.qos == .atMostOnce)
        #expect(!other.retainAsPublished)
        #expect(result.identifiers(of: other).isEmpty)
    }

    @Test("No Local of all, of some and of no subscription is told apart")
    func noLocal() throws {
        let tree = tree([
            ("a", 0, SubscriptionOptions(qos: .atLeastOnce, noLocal: true)),
            ("#", 0, SubscriptionOptions(qos: .atLeastOnce, noLocal: true)),
            ("a", 1, SubscriptionOptions(qos: .exactlyOnce, noLocal: true, subscriptionID: 5)),
            ("#", 1, SubscriptionOptions(qos: .atMostOnce, subscriptionID: 6)),
            ("+", 1, SubscriptionOptions(qos: .atLeastOnce, subscriptionID: 8)),
            ("a", 2, SubscriptionOptions(qos: .atLeastOnce)),
        ])
        var result = MatchResult()
        "a".withBytes { tree.match($0, into: &result) }
        let matches = result.matches.sorted { $0.subscriber < $1.subscriber }
        #expect(matches.map(\.noLocalAll) == [true, false, false])
        #expect(matches.map(\.noLocalSome) == [false, true, false])
        #expect(matches.map(\.qos) == [.atLeastOnce, .exactlyOnce, .atLeastOnce])

        var own = MatchResult()
        #expect("a".withBytes { tree.matchWithoutNoLocal($0, subscriber: 0, into: &own) } == nil)
        let remaining = try #require("a".withBytes { tree.matchWithoutNoLocal($0, subscriber: 1, into: &own) })
        #expect(remaining.subscriber == 1)
        #expect(remaining.qos == .atLeastOnce)
        #expect(own.identifiers(of: remaining).sorted() == [6, 8])
        #expect("a".withBytes { tree.matchWithoutNoLocal($0, subscriber: 900, into: &own) } == nil)
    }

    @Test("identifiers of many interleaved subscribers stay apart")
    func interleavedIdentifiers() {
        var subscriptions: [(String, UInt32, SubscriptionOptions)] = []
        for combination in UInt32(0)..<64 {
            let filter = (0..<6).map { combination >> $0 & 1 == 1 ? "+" : "a" }.joined(separator: "/")
            for subscriber in UInt32(0)..<20 where combination % (subscriber + 1) == 0 {
                subscriptions.append(
                    (filter, subscriber, SubscriptionOptions(qos: .atMostOnce, subscriptionID: subscriber * 1000 + combination + 1)))
            }
        }
        let tree = tree(subscriptions)
        var result = MatchResult()
        for _ in 0..<2 {  // the second time in used memory
            "a/a/a/a/a/a".withBytes { tree.match($0, into: &result) }
            #expect(result.matches.count == 20)
            for match in result.matches {
                let expected = subscriptions.filter { $0.1 == match.subscriber }.map(\.2.subscriptionID)
                #expect(result.identifiers(of: match).sorted() == expected.sorted())
            }
            #expect(result.identifiers.count <= 4 * subscriptions.count)
        }
    }

    @Test("a match is 16 bytes and options are 8")
    func sizes() {
        #expect(MemoryLayout<Match>.stride == 16)
        #expect(MemoryLayout<SubscriptionOptions>.stride == 8)
    }
}
