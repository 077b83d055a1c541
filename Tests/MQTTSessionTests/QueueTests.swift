import MQTTModel
import MQTTSession
import Testing

@Suite("The queue of a session")
struct PendingQueueTests {
    @Test("first in, first out, and the bytes return to 0")
    func order() throws {
        var queue = PendingQueue()
        for number in 1...10 { queue.append(try delivery(number)) }
        #expect(queue.count == 10)
        #expect(queue.bytes > 0)
        #expect((1...10).allSatisfy { queue.popFirst()?.number == $0 })
        #expect(queue.popFirst() == nil)
        #expect(queue.isEmpty && queue.bytes == 0)
    }

    @Test("count and bytes are both bounds")
    func bounds() throws {
        var queue = PendingQueue()
        queue.append(try delivery(1))
        let size = queue.bytes
        #expect(queue.hasRoom(for: size, maxCount: 2, maxBytes: 2 * size))
        #expect(!queue.hasRoom(for: size + 1, maxCount: 2, maxBytes: 2 * size))
        #expect(!queue.hasRoom(for: 1, maxCount: 1, maxBytes: .max))
    }

    @Test("taking out by choice keeps the order and the bytes of the others")
    func extract() throws {
        var queue = PendingQueue()
        for number in 1...9 { queue.append(try delivery(number)) }
        #expect(queue.extract { ($0.number ?? 0) % 2 == 0 }.map(\.number) == [2, 4, 6, 8])
        #expect(queue.extract { _ in false }.isEmpty)
        #expect(queue.count == 5)
        var rest: [Int?] = []
        while let next = queue.popFirst() { rest.append(next.number) }
        #expect(rest == [1, 3, 5, 7, 9])
        #expect(queue.bytes == 0)
    }

    @Test("emptying says how many there were")
    func removeAll() throws {
        var queue = PendingQueue()
        for number in 1...4 { queue.append(try delivery(number)) }
        #expect(queue.removeAll() == 4)
        #expect(queue.isEmpty && queue.bytes == 0)
    }
}

@Suite("A set of packet identifiers")
struct PacketIDSetTests {
    @Test("random insertions and removals agree with a Set", arguments: 1...10)
    func random(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var set = PacketIDSet()
        var model: Set<UInt16> = []
        let highest = UInt16.random(in: 1...65_535, using: &generator)
        for _ in 0..<5_000 {
            let id = UInt16.random(in: 1...highest, using: &generator)
            if Bool.random(using: &generator) {
                #expect(set.insert(id) == model.insert(id).inserted)
            } else {
                #expect(set.remove(id) == (model.remove(id) != nil))
            }
            #expect(set.contains(id) == model.contains(id))
            #expect(set.count == model.count)
        }
    }

    @Test("the ends of the range are members like any other")
    func ends() {
        var set = PacketIDSet()
        #expect(!set.contains(65_535))
        #expect(set.insert(65_535) && set.insert(1) && !set.insert(65_535))
        #expect(set.contains(1) && set.contains(65_535) && !set.contains(65_534))
        #expect(set.remove(65_535) && !set.remove(65_535))
    }
}
