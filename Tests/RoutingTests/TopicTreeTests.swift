import MQTTModel
import Routing
import Testing

/// `TopicTree` one rule at a time; `TopicTreeRandomTests` has all of them at once.
struct TopicTreeTests {
    private func subscribers(_ tree: TopicTree, _ topic: String) -> [UInt32] {
        var result = MatchResult()
        topic.withBytes { tree.match($0, into: &result) }
        return result.matches.map(\.subscriber).sorted()
    }

    private func tree(_ filters: String...) -> TopicTree {
        var tree = TopicTree()
        for (index, filter) in filters.enumerated() {
            filter.withBytes { _ = tree.insert($0, subscriber: UInt32(index), options: SubscriptionOptions(qos: .atMostOnce)) }
        }
        return tree
    }

    @Test(
        "the examples of MQTT 5.0 section 4.7 hold",
        arguments: [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "sport/tennis", true),
            ("#", "/", true),
            ("sport/tennis/#", "sport/tennis", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+", "sport", true),
            ("+/tennis/#", "sport/tennis", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/broker", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/broker", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("/finance", "finance", false),
        ])
    func sectionFourSeven(filter: String, topic: String, matches: Bool) {
        #expect(subscribers(tree(filter), topic) == (matches ? [0] : []))
    }

    @Test("a $ below the first level is an ordinary character")
    func dollarBelowFirstLevel() {
        #expect(subscribers(tree("a/#", "a/+", "+/$b"), "a/$b") == [0, 1, 2])
    }

    @Test("subscribing again replaces the options and keeps the subscription")
    func subscribingAgain() {
        var tree = TopicTree()
        let first = "a/+".withBytes { tree.insert($0, subscriber: 4, options: SubscriptionOptions(qos: .atMostOnce, subscriptionID: 1)) }
        let replacement = SubscriptionOptions(qos: .exactlyOnce, noLocal: true, retainAsPublished: true, subscriptionID: 9)
        let second = "a/+".withBytes { tree.insert($0, subscriber: 4, options: replacement) }
        #expect(!first.existed)
        #expect(second.existed)
        #expect(second.subscription == first.subscription)
        #expect(tree.options(of: first.subscription) == replacement)
        #expect(tree.count == 1)
    }

    @Test("a subscription knows its filter and its subscriber", arguments: ["a", "/", "//a/", "+/+/#", "#", "$SYS/+", "é/ü"])
    func filterOfSubscription(filter: String) {
        var tree = tree("a/b/c", "+/b", "#")
        let subscription = filter.withBytes { tree.insert($0, subscriber: 77, options: SubscriptionOptions(qos: .atLeastOnce)) }
            .subscription
        #expect(tree.pattern(of: subscription) == filter)
        #expect(tree.subscriber(of: subscription) == 77)
        #expect(filter.withBytes { tree.find($0, subscriber: 77) } == subscription)
        #expect(filter.withBytes { tree.find($0, subscriber: 78) } == nil)
    }

    @Test("the generation changes with what a match could find, and with nothing else")
    func generation() {
        var tree = TopicTree()
        var last = tree.generation
        func changed() -> Bool {
            defer { last = tree.generation }
            return last != tree.generation
        }
        let options = SubscriptionOptions(qos: .atMostOnce)
        "a".withBytes { _ = tree.insert($0, subscriber: 1, options: options) }
        #expect(changed())
        "a".withBytes { _ = tree.insert($0, subscriber: 1, options: options) }
        #expect(!changed())
        "a".withBytes { _ = tree.insert($0, subscriber: 1, options: SubscriptionOptions(qos: .atLeastOnce)) }
        #expect(changed())
        #expect("b".withBytes { tree.remove($0, subscriber: 1) } == false)
        #expect("a".withBytes { tree.remove($0, subscriber: 2) } == false)
        #expect(!changed())
        #expect("a".withBytes { tree.remove($0, subscriber: 1) })
        #expect(changed())
    }

    @Test("ten thousand subscribers of one filter leave one by one, each alone")
    func manySubscribersLeave() {
        var tree = TopicTree()
        var random = SeededGenerator(seed: 3)
        let all = Array(UInt32(0)..<10_000)
        var subscriptions: [UInt32] = []
        for subscriber in all {
            let inserted = "a/+".withBytes { tree.insert($0, subscriber: subscriber, options: SubscriptionOptions(qos: .atMostOnce)) }
            subscriptions.append(inserted.subscription)
        }
        #expect(subscribers(tree, "a/b") == all)
        var remaining = Set(all)
        for (step, subscriber) in all.shuffled(using: &random).enumerated() {
            if step % 2 == 0 {
                tree.remove(subscription: subscriptions[Int(subscriber)])
            } else {
                #expect("a/+".withBytes { tree.remove($0, subscriber: subscriber) })
            }
            remaining.remove(subscriber)
            if step % 1000 == 0 { #expect(subscribers(tree, "a/b") == remaining.sorted()) }
        }
        #expect(tree.count == 0)
        #expect(tree.nodeCount == 1)
        #expect(subscribers(tree, "a/b") == [])
    }

    @Test("every combination of literal and + visits a node once at most")
    func combinationsOfWildcards() {
        var tree = TopicTree()
        for combination in 0..<1024 {
            let filter = (0..<10).map { combination >> $0 & 1 == 1 ? "+" : "a" }.joined(separator: "/")
            filter.withBytes {
                _ = tree.insert($0, subscriber: 0, options: SubscriptionOptions(qos: .atMostOnce, subscriptionID: UInt32(combination + 1)))
            }
        }
        var result = MatchResult()
        Array(repeating: "a", count: 10).joined(separator: "/").withBytes { tree.match($0, into: &result) }
        #expect(result.matches.count == 1)
        #expect(Set(result.identifiers(of: result.matches[0])) == Set(1...1024))
        #expect(result.visitedNodes <= tree.nodeCount)
    }

    @Test("a topic of 65,535 slashes costs no more steps than the tree is deep, and no stack")
    func slashes() {
        var tree = TopicTree()
        let slashes = String(repeating: "/", count: 65_535)
        for depth in 1...200 {
            let filter = Array(repeating: "+", count: depth).joined(separator: "/")
            filter.withBytes { _ = tree.insert($0, subscriber: UInt32(depth), options: SubscriptionOptions(qos: .atMostOnce)) }
            (filter + "/#").withBytes {
                _ = tree.insert($0, subscriber: UInt32(1000 + depth), options: SubscriptionOptions(qos: .atMostOnce))
            }
        }
        var result = MatchResult()
        slashes.withBytes { tree.match($0, into: &result) }
        #expect(result.matches.map(\.subscriber).sorted() == Array(1001...1200))
        #expect(result.visitedNodes <= 201)

        slashes.withBytes { _ = tree.insert($0, subscriber: 5, options: SubscriptionOptions(qos: .atMostOnce)) }
        slashes.withBytes { tree.match($0, into: &result) }
        #expect(result.matches.count == 201)
        #expect(slashes.withBytes { tree.remove($0, subscriber: 5) })
        #expect(tree.nodeCount == 401)
    }
}
