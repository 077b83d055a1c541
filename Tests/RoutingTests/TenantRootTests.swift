import MQTTModel
import Routing
import Testing

/// Several roots in one tree against a plain model of each: what lies beneath one is nothing to the others.
struct TenantRootTests {
    @Test("topics find the subscribers of their own root and no others, between insertions and removals", arguments: [UInt64(1), 2, 3])
    func subscriptions(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let filters = TopicSource.distinct(80, &random, TopicSource.filter)
        let topics = TopicSource.distinct(80, &random, TopicSource.topic)
        let parsed = try filters.map { try TopicFilter($0) }
        var tree = TopicTree()
        let roots = [TopicTree.firstRoot] + (0..<3).map { _ in tree.makeRoot() }
        #expect(Set(roots).count == 4)
        /// Subscribers by filter, for each root. The same slots are used beneath all roots.
        var models = [[Int: Set<UInt32>]](repeating: [:], count: 4)
        var result = MatchResult()
        var own = MatchResult()
        var found = 0
        for step in 0..<3_000 {
            let place = Int.random(in: 0..<4, using: &random)
            let filter = Int.random(in: filters.indices, using: &random)
            let slot = UInt32.random(in: 0..<6, using: &random)
            if step % 1_000 < 600 {
                let inserted = filters[filter].withBytes {
                    tree.insert($0, root: roots[place], subscriber: slot, options: SubscriptionOptions(qos: .atLeastOnce))
                }
                #expect(inserted.existed == !models[place][filter, default: []].insert(slot).inserted)
                #expect(tree.pattern(of: inserted.subscription) == filters[filter])
            } else {
                let removed = filters[filter].withBytes { tree.remove($0, root: roots[place], subscriber: slot) }
                #expect(removed == (models[place][filter]?.remove(slot) != nil))
            }
            let topic = topics.randomElement(using: &random)!
            for (root, model) in zip(roots, models) {
                let expected = model.filter { parsed[$0.key].matches(topic) }.reduce(into: Set<UInt32>()) { $0.formUnion($1.value) }
                topic.withBytes { tree.match($0, root: root, into: &result) }
                #expect(Set(result.matches.map(\.subscriber)) == expected)
                let one = topic.withBytes { tree.matchWithoutNoLocal($0, root: root, subscriber: slot, into: &own) }
                #expect((one != nil) == expected.contains(slot))
                let known = filters[filter].withBytes { tree.find($0, root: root, subscriber: slot) }
                #expect((known != nil) == (model[filter]?.contains(slot) ?? false))
                found += expected.count
            }
        }
        #expect(found > 1_000)
        for (root, model) in zip(roots, models) {
            for (filter, slots) in model {
                for slot in slots { #expect(filters[filter].withBytes { tree.remove($0, root: root, subscriber: slot) }) }
            }
        }
        #expect(tree.count == 0)
        #expect(tree.nodeCount == 4, "the roots stay")
    }

    @Test("walk and scan find the topics of their own root and no others, between sets and removals", arguments: [UInt64(1), 2, 3])
    func retained(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let filters = TopicSource.distinct(80, &random, TopicSource.filter)
        let topics = TopicSource.distinct(80, &random, TopicSource.topic)
        let parsed = try filters.map { try TopicFilter($0) }
        var tree = RetainedTree<String>()
        let roots = [RetainedTree<String>.firstRoot] + (0..<3).map { _ in tree.makeRoot() }
        /// The value says whose it is.
        var models = [[String: String]](repeating: [:], count: 4)
        for step in 0..<3_000 {
            let place = Int.random(in: 0..<4, using: &random)
            let topic = topics.randomElement(using: &random)!
            if step % 1_000 < 600 {
                let value = "\(place) \(step)"
                #expect(topic.withBytes { tree.set($0, root: roots[place], value) } == models[place].updateValue(value, forKey: topic))
            } else {
                #expect(topic.withBytes { tree.remove($0, root: roots[place]) } == models[place].removeValue(forKey: topic))
            }
            let filter = Int.random(in: filters.indices, using: &random)
            for (root, model) in zip(roots, models) {
                #expect(topic.withBytes { tree.get($0, root: root) } == model[topic])
                let expected = model.filter { parsed[filter].matches($0.key) }.values.sorted()
                var walked: [String] = []
                #expect(filters[filter].withBytes { tree.collect($0, root: root, limit: 1_000, into: &walked) })
                #expect(walked.sorted() == expected, "\(filters[filter])")
                var scanned: [String] = []
                var cursor: Int? = 0
                while let from = cursor {
                    cursor = filters[filter].withBytes { tree.scan($0, root: root, from: from, examine: 17, into: &scanned) }
                }
                #expect(scanned.sorted() == expected, "\(filters[filter])")
            }
        }
        var all: [String] = []
        #expect(tree.scanAll(from: 0, examine: 1_000, into: &all) == nil)
        #expect(all.sorted() == models.flatMap(\.values).sorted(), "topics that begin with $ included")
        for (root, model) in zip(roots, models) {
            for topic in model.keys { #expect(topic.withBytes { tree.remove($0, root: root) } != nil) }
        }
        #expect(tree.count == 0)
        #expect(tree.nodeCount == 4, "the roots stay")
    }

    @Test("a cached route is its tenant's alone, whatever tenants and topics share the cache")
    func routes() {
        var random = SeededGenerator(seed: 4)
        var cache = RouteCache<String>(maximumLines: 512, empty: "")
        let topics = TopicSource.distinct(40, &random, TopicSource.topic)
        let tenants: [UInt32] = [0, 1, 2, 3, 255, 256, 65_536, .max - 1, .max]
        var hits = 0
        for step in 0..<20_000 {
            let topic = topics.randomElement(using: &random)!
            let tenant = tenants.randomElement(using: &random)!
            let generation = UInt64(1 + step / 5_000)
            if let entry = topic.withBytes({ cache.lookup($0, tenant: tenant, generation: generation) }) {
                #expect(cache[entry] == "\(tenant) \(topic) \(generation)")
                hits += 1
            } else {
                let entry = topic.withBytes { cache.insert($0, tenant: tenant, generation: generation) }
                cache[entry] = "\(tenant) \(topic) \(generation)"
            }
        }
        #expect(hits > 10_000)
    }

    @Test("a route is good until something changes beneath its own root, and no longer")
    func renewal() {
        var random = SeededGenerator(seed: 6)
        var tree = TopicTree()
        var cache = RouteCache<[UInt32]>(maximumLines: 256, empty: [])
        var result = MatchResult()
        let topics = TopicSource.distinct(12, &random, TopicSource.topic)
        let filters = topics + TopicSource.distinct(12, &random, TopicSource.filter)
        let roots = [TopicTree.firstRoot] + (0..<3).map { _ in tree.makeRoot() }
        var renewed = 0
        for _ in 0..<20_000 {
            let place = Int.random(in: 0..<4, using: &random)
            // The first tenant changes all the time, the others seldom.
            if place == 0 || Int.random(in: 0..<20, using: &random) == 0 {
                filters.randomElement(using: &random)!.withBytes { bytes in
                    if Bool.random(using: &random) {
                        let slot = UInt32.random(in: 0..<4, using: &random)
                        tree.insert(bytes, root: roots[place], subscriber: slot, options: SubscriptionOptions(qos: .atMostOnce))
                    } else {
                        for slot in UInt32(0)..<4 { tree.remove(bytes, root: roots[place], subscriber: slot) }
                    }
                }
            }
            let tenant = UInt32.random(in: 0..<4, using: &random)
            let topic = topics.randomElement(using: &random)!
            topic.withBytes { bytes in
                tree.match(bytes, root: roots[Int(tenant)], into: &result)
                let expected = result.matches.map(\.subscriber).sorted()
                var entry = cache.lookup(bytes, tenant: tenant, generation: tree.generation)
                if entry == nil {
                    let lastChange = tree.lastChange(beneath: roots[Int(tenant)])
                    entry = cache.renew(bytes, tenant: tenant, since: lastChange, generation: tree.generation)
                    if entry != nil { renewed += 1 }
                }
                if let entry {
                    #expect(cache[entry] == expected)
                } else {
                    let made = cache.insert(bytes, tenant: tenant, generation: tree.generation)
                    cache[made] = expected
                }
            }
        }
        #expect(renewed > 2_000)
    }

    @Test("a root that loses its last topic level is still a root")
    func emptyRoots() {
        var tree = TopicTree()
        let root = tree.makeRoot()
        for filter in ["#", "+", "a", "/", "$x/+"] {
            filter.withBytes { bytes in
                tree.insert(bytes, root: root, subscriber: 1, options: SubscriptionOptions(qos: .atMostOnce))
                let removed = tree.remove(bytes, root: root, subscriber: 1)
                #expect(removed)
            }
        }
        #expect(tree.nodeCount == 2)
        let other = tree.makeRoot()
        #expect(other != root && other != TopicTree.firstRoot, "what is freed never was the root")
    }

    @Test("what is made of matches is void beneath all roots when the caller says so")
    func forgotten() {
        var tree = TopicTree()
        let root = tree.makeRoot()
        let before = tree.generation
        tree.forgetMatches()
        #expect(tree.generation > before)
        #expect(tree.lastChange(beneath: root) == tree.generation)
        #expect(tree.lastChange(beneath: TopicTree.firstRoot) == tree.generation)
    }
}
