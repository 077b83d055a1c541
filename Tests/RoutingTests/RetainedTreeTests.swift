import MQTTModel
import Routing
import Testing

struct RetainedTreeTests {
    private func collect(_ tree: inout RetainedTree<String>, _ filter: String, limit: Int = 100_000) -> [String]? {
        var found: [String] = []
        return filter.withBytes { tree.collect($0, limit: limit, into: &found) } ? found.sorted() : nil
    }

    private func scan(_ tree: inout RetainedTree<String>, _ filter: String, page: Int) -> [String] {
        var found: [String] = []
        var cursor: Int? = 0
        while let from = cursor { cursor = filter.withBytes { tree.scan($0, from: from, examine: page, into: &found) } }
        return found.sorted()
    }

    @Test("set, replace, get and remove give the value that was there")
    func values() {
        var tree = RetainedTree<Int>()
        #expect("a/b".withBytes { tree.get($0) } == nil)
        #expect("a/b".withBytes { tree.set($0, 1) } == nil)
        #expect("a/b".withBytes { tree.set($0, 2) } == 1)
        #expect("a/b".withBytes { tree.get($0) } == 2)
        #expect("a".withBytes { tree.get($0) } == nil)
        #expect("a/b/".withBytes { tree.get($0) } == nil)
        #expect("a".withBytes { tree.remove($0) } == nil)
        #expect(tree.count == 1)
        #expect("a/b".withBytes { tree.remove($0) } == 2)
        #expect("a/b".withBytes { tree.remove($0) } == nil)
        #expect(tree.count == 0)
        #expect(tree.nodeCount == 1)
    }

    @Test("walk and scan find what the plain matcher finds, between sets and removals", arguments: [UInt64(1), 2, 3])
    func againstPlainMatcher(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let filters = TopicSource.distinct(150, &random, TopicSource.filter)
        let topics = TopicSource.distinct(200, &random, TopicSource.topic)
        let parsed = try filters.map { try TopicFilter($0) }
        let matching = parsed.map { filter in topics.filter { filter.matches($0) } }

        var tree = RetainedTree<String>()
        var present = Set<String>()
        for step in 0..<1500 {
            let topic = topics.randomElement(using: &random)!
            if Int.random(in: 0..<10, using: &random) < (step % 500 < 300 ? 7 : 2) {
                #expect(topic.withBytes { tree.set($0, topic) } == (present.insert(topic).inserted ? nil : topic))
            } else {
                #expect(topic.withBytes { tree.remove($0) } == present.remove(topic))
            }
            #expect(tree.count == present.count)
            let filter = Int.random(in: filters.indices, using: &random)
            let expected = matching[filter].filter(present.contains).sorted()
            #expect(collect(&tree, filters[filter]) == expected, "\(filters[filter])")
            #expect(scan(&tree, filters[filter], page: Int.random(in: 1...60, using: &random)) == expected, "\(filters[filter])")
        }
        for topic in present { #expect(topic.withBytes { tree.remove($0) } == topic) }
        #expect(tree.nodeCount == 1)
        #expect(collect(&tree, "#") == [])
    }

    @Test("collecting more than the limit gives nothing and says so")
    func limit() {
        var tree = RetainedTree<String>()
        for number in 0..<100 { "a/\(number)".withBytes { _ = tree.set($0, "a/\(number)") } }
        #expect(collect(&tree, "a/+", limit: 100)?.count == 100)
        var found = ["before"]
        #expect("a/+".withBytes { tree.collect($0, limit: 99, into: &found) } == false)
        #expect(found == ["before"])
    }

    @Test("a filter that selects little but searches much is given up after a bounded number of steps")
    func boundedWalk() {
        var tree = RetainedTree<String>()
        for number in 0..<3000 { "a/\(number)/x".withBytes { _ = tree.set($0, "x") } }
        "a/0/y".withBytes { _ = tree.set($0, "y") }
        #expect(collect(&tree, "a/+/y", limit: 10) == nil)
        #expect(collect(&tree, "a/+/y", limit: 1000) == ["y"])
        #expect(scan(&tree, "a/+/y", page: 500) == ["y"])
        #expect(collect(&tree, "a/+/z", limit: 0) == [])  // no topic has a level z: nothing to search
    }

    @Test("a topic that stays during a scan is found exactly once, whatever comes and goes")
    func stableScan() {
        var random = SeededGenerator(seed: 8)
        var tree = RetainedTree<String>()
        let staying = Set((0..<500).map { "keep/\($0)" })
        var guests: [String] = []
        for topic in staying.shuffled(using: &random) {
            topic.withBytes { _ = tree.set($0, topic) }
            let guest = "guest/\(guests.count)"
            guests.append(guest)
            guest.withBytes { _ = tree.set($0, guest) }
        }
        var found: [String] = []
        var pages = 0
        var cursor: Int? = 0
        while let from = cursor {
            cursor = "+/#".withBytes { tree.scan($0, from: from, examine: 20, into: &found) }
            pages += 1
            for _ in 0..<10 {
                guests.swapAt(Int.random(in: guests.indices, using: &random), guests.count - 1)
                guests.removeLast().withBytes { _ = tree.remove($0) }
                let guest = "guest/\(pages)/\(guests.count)"
                guests.append(guest)
                guest.withBytes { _ = tree.set($0, guest) }
            }
            let kept = staying.randomElement(using: &random)!
            kept.withBytes { _ = tree.set($0, kept) }  // a new message for the same topic is no move
        }
        let kept = found.filter(staying.contains)
        #expect(kept.count == staying.count)
        #expect(Set(kept) == staying)
        #expect(pages >= 50)
    }

    @Test("freed slots are used again")
    func slotReuse() {
        var tree = RetainedTree<String>()
        for number in 0..<5000 {
            "t/\(number)".withBytes { _ = tree.set($0, "") }
            "t/\(number)".withBytes { _ = tree.remove($0) }
        }
        "t".withBytes { _ = tree.set($0, "t") }
        var found: [String] = []
        #expect("#".withBytes { tree.scan($0, from: 0, examine: 1, into: &found) } == nil)
        #expect(found == ["t"])
    }

    @Test("a topic of 65,535 slashes needs no deep stack")
    func slashes() {
        var tree = RetainedTree<String>()
        let topic = String(repeating: "/", count: 65_535)
        topic.withBytes { _ = tree.set($0, "deep") }
        #expect(collect(&tree, "#") == ["deep"])
        #expect(collect(&tree, "+/+/#") == ["deep"])
        #expect(scan(&tree, "/#", page: 10) == ["deep"])
        #expect(scan(&tree, topic, page: 10) == ["deep"])
        #expect(topic.withBytes { tree.remove($0) } == "deep")
        #expect(tree.nodeCount == 1)
    }
}
