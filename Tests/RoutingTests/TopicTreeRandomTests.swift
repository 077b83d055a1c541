import MQTTModel
import Routing
import Testing

/// `TopicTree` against `TopicFilter.matches`, the plain reading of the specification.
struct TopicTreeRandomTests {
    private struct Key: Hashable {
        let filter: Int
        let subscriber: UInt32
    }

    /// What a match says, in a form that does not depend on the order.
    private struct Delivery: Equatable {
        var qos: QoS
        var retainAsPublished: Bool
        var noLocalAll: Bool
        var noLocalSome: Bool
        var identifiers: [UInt32]

        /// Merges subscriptions that match; `nil` for none.
        init?(_ all: [SubscriptionOptions]) {
            guard let best = all.map(\.qos).max() else { return nil }
            qos = best
            retainAsPublished = all.contains(where: \.retainAsPublished)
            noLocalAll = all.allSatisfy(\.noLocal)
            noLocalSome = all.contains(where: \.noLocal) && !noLocalAll
            identifiers = all.map(\.subscriptionID).filter { $0 != 0 }.sorted()
        }

        init(_ match: Match, _ result: MatchResult) {
            qos = match.qos
            retainAsPublished = match.retainAsPublished
            noLocalAll = match.noLocalAll
            noLocalSome = match.noLocalSome
            identifiers = result.identifiers(of: match).sorted()
        }
    }

    @Test("25,000 topics find what the plain matcher finds, between insertions and removals", arguments: [UInt64(1), 2, 3, 4, 5])
    func againstPlainMatcher(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let filters = TopicSource.distinct(150, &random, TopicSource.filter)
        let topics = TopicSource.distinct(150, &random, TopicSource.topic)
        let parsed = try filters.map { try TopicFilter($0) }
        let matching = topics.map { topic in filters.indices.filter { parsed[$0].matches(topic) } }

        var tree = TopicTree()
        var expected: [Key: SubscriptionOptions] = [:]
        var numbers: [Key: UInt32] = [:]
        var result = MatchResult()
        var own = MatchResult()
        var delivered = 0
        for step in 0..<1000 {
            // The set grows, shrinks to nothing, and grows again.
            let shrinks = step % 500 > 350
            for _ in 0..<(shrinks ? 3 : 1) {
                let filter = Int.random(in: filters.indices, using: &random)
                if shrinks || Int.random(in: 0..<4, using: &random) == 0,
                    let key = expected.keys.min(by: { abs($0.filter - filter) < abs($1.filter - filter) })
                {
                    if Bool.random(using: &random) {
                        tree.remove(subscription: numbers[key]!)
                    } else {
                        #expect(filters[key.filter].withBytes { tree.remove($0, subscriber: key.subscriber) })
                    }
                    expected[key] = nil
                } else if !shrinks {
                    let key = Key(filter: filter, subscriber: UInt32.random(in: 0..<8, using: &random))
                    let options = SubscriptionOptions(
                        qos: QoS.allCases.randomElement(using: &random)!, noLocal: Bool.random(using: &random),
                        retainAsPublished: Bool.random(using: &random), subscriptionID: UInt32.random(in: 0..<4, using: &random))
                    let (number, existed) = filters[filter].withBytes { tree.insert($0, subscriber: key.subscriber, options: options) }
                    #expect(existed == (expected[key] != nil))
                    expected[key] = options
                    numbers[key] = number
                }
            }
            #expect(tree.count == expected.count)
            for _ in 0..<5 {
                let topic = Int.random(in: topics.indices, using: &random)
                topics[topic].withBytes { tree.match($0, into: &result) }
                #expect(Set(result.matches.map(\.subscriber)).count == result.matches.count)
                let found = Dictionary(uniqueKeysWithValues: result.matches.map { ($0.subscriber, Delivery($0, result)) })
                for subscriber in UInt32(0)..<8 {
                    let options = matching[topic].compactMap { expected[Key(filter: $0, subscriber: subscriber)] }
                    #expect(found[subscriber] == Delivery(options), "\(topics[topic]) for \(subscriber)")
                    let remaining = topics[topic].withBytes { tree.matchWithoutNoLocal($0, subscriber: subscriber, into: &own) }
                    #expect(remaining.map { Delivery($0, own) } == Delivery(options.filter { !$0.noLocal }))
                }
                #expect(found.keys.allSatisfy { $0 < 8 })
                delivered += found.count
            }
        }
        #expect(delivered > 1000)  // the topics do match something
        for key in expected.keys {
            #expect(filters[key.filter].withBytes { tree.remove($0, subscriber: key.subscriber) })
        }
        #expect(tree.count == 0)
        #expect(tree.nodeCount == 1)
    }
}
