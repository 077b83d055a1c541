import Routing
import Testing

struct RouteCacheTests {
    @Test("a topic is found in its generation and in no other")
    func generations() {
        var cache = RouteCache<String>(empty: "")
        #expect("a/b".withBytes { cache.lookup($0, generation: 1) } == nil)
        let entry = "a/b".withBytes { cache.insert($0, generation: 1) }
        cache[entry] = "found"
        #expect("a/b".withBytes { cache.lookup($0, generation: 1) } == entry)
        #expect("a/b".withBytes { cache.lookup($0, generation: 2) } == nil)
        #expect("a/c".withBytes { cache.lookup($0, generation: 1) } == nil)
        #expect("a/".withBytes { cache.lookup($0, generation: 1) } == nil)
        #expect(cache[entry] == "found")
        // The line of an outdated topic is used again for the same topic.
        #expect("a/b".withBytes { cache.insert($0, generation: 2) } == entry)
        #expect("a/b".withBytes { cache.lookup($0, generation: 1) } == nil)
        #expect("a/b".withBytes { cache.lookup($0, generation: 2) } == entry)
    }

    @Test("topics of every length up to 512 bytes are cached, also when they differ in one byte only")
    func lengths() {
        var cache = RouteCache<Int>(empty: 0)
        for length in 1...512 {
            let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: length)
            let entry = bytes.withUnsafeBytes { cache.insert($0, generation: 5) }
            #expect(entry != 0)
            #expect(bytes.withUnsafeBytes { cache.lookup($0, generation: 5) } == entry)
            for place in [0, length / 2, length - 1] {
                var other = bytes
                other[place] = UInt8(ascii: "y")
                #expect(other.withUnsafeBytes { cache.lookup($0, generation: 5) } == nil)
            }
        }
    }

    @Test("a topic of 513 bytes gets the scratch entry and is never found")
    func longTopics() {
        var cache = RouteCache<Int>(empty: 0)
        let long = String(repeating: "x", count: 513)
        #expect(long.withBytes { cache.insert($0, generation: 1) } == 0)
        #expect(long.withBytes { cache.lookup($0, generation: 1) } == nil)
        #expect("a".withBytes { cache.insert($0, generation: 1) } != 0)
        #expect(long.withBytes { cache.lookup($0, generation: 1) } == nil)
        cache.withEntry(at: 0) { $0 = 4 }
        #expect(cache[0] == 4)
    }

    @Test("under ten times more topics than lines, every hit is right and lines stay bounded")
    func pressure() {
        var cache = RouteCache<String>(maximumLines: 512, empty: "")
        var random = SeededGenerator(seed: 11)
        let topics = (0..<5000).map { "site/\($0 % 7)/device/\($0)" + String(repeating: "x", count: $0 % 90) }
        var hits = 0
        for _ in 0..<40_000 {
            // Every second message is for one of 100 busy topics.
            let topic = topics[Int.random(in: 0..<(Bool.random(using: &random) ? 100 : topics.count), using: &random)]
            if let entry = topic.withBytes({ cache.lookup($0, generation: 3) }) {
                #expect(cache[entry] == topic)
                hits += 1
            } else {
                let entry = topic.withBytes { cache.insert($0, generation: 3) }
                #expect(entry >= 1 && entry <= 512)
                cache[entry] = topic
            }
        }
        #expect(hits > 10_000)
    }

    @Test("fewer topics than a quarter of the lines are nearly all found")
    func capacity() {
        var cache = RouteCache<Int>(maximumLines: 4096, empty: 0)
        let topics = (0..<1000).map { "device/\($0)/state" }
        var misses = 0
        for round in 0..<10 {
            for (number, topic) in topics.enumerated() {
                if let entry = topic.withBytes({ cache.lookup($0, generation: 9) }) {
                    #expect(cache[entry] == number)
                } else {
                    let entry = topic.withBytes { cache.insert($0, generation: 9) }
                    cache[entry] = number
                    if round == 9 { misses += 1 }
                }
            }
        }
        #expect(misses < 200)
    }

    @Test("an entry keeps its memory for its next topic")
    func entryMemory() {
        var cache = RouteCache<[Int]>(empty: [])
        let entry = "a".withBytes { cache.insert($0, generation: 1) }
        cache[entry].append(contentsOf: 0..<100)
        cache[entry].removeAll(keepingCapacity: true)
        let again = "a".withBytes { cache.insert($0, generation: 2) }
        #expect(again == entry)
        #expect(cache[again].capacity >= 100)
    }
}
