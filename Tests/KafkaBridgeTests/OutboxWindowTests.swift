import Testing

@testable import KafkaBridge

/// Which entries are where, and how far they may be removed.
@Suite struct OutboxWindowTests {
    private func filled(_ sequences: [UInt64]) -> OutboxWindow {
        var window = OutboxWindow(from: 0)
        for sequence in sequences {
            let isNew = window.read(sequence, bytes: 10, receivedUnixMilliseconds: 0, tenant: "")
            #expect(isNew)
            window.sent(sequence)
        }
        return window
    }

    @Test("the cursor stays below the oldest entry that is not handled, over gaps in the numbers")
    func cursor() {
        var window = filled([5, 6, 7, 100, 101])
        #expect(window.nextSequence == 102 && window.sentCount == 5 && window.bytes == 50)
        let six = window.handled(6)
        #expect(six?.sequence == 6)
        _ = window.handled(100)
        #expect(window.cursor == 0)
        let again = window.handled(6)
        #expect(again == nil, "handled once")
        _ = window.handled(5)
        #expect(window.cursor == 6)
        _ = window.handled(7)
        #expect(window.cursor == 100)
        _ = window.handled(101)
        #expect(window.cursor == 101 && window.isEmpty && window.bytes == 0 && window.sentCount == 0)
        let isRead = window.read(7, bytes: 1, receivedUnixMilliseconds: 0, tenant: "")
        #expect(!isRead, "what is gone is not read again")
    }

    @Test("what comes back is sent before anything new, and what is on its way is not sent twice")
    func returned() {
        var window = filled([1, 2, 3, 4])
        window.returned(2)
        #expect(window.firstToSend == 2)
        let two = window.read(2, bytes: 10, receivedUnixMilliseconds: 0, tenant: "")
        let three = window.read(3, bytes: 10, receivedUnixMilliseconds: 0, tenant: "")
        #expect(two && !three)
        window.sent(2)
        #expect(window.firstToSend == nil)
        window.takeBackAll()
        #expect(window.toSendCount == 4 && window.firstToSend == 1 && window.sentCount == 0)
        _ = window.handled(1)
        #expect(window.firstToSend == 2)
    }

    @Test("suspects go alone: in groups of 64 first, then one by one, while nothing else is on its way")
    func suspects() {
        var window = filled(Array(1...200))
        for sequence in UInt64(1)...100 { window.suspected(sequence) }
        #expect(!window.maySend(1), "others are on their way")
        for sequence in UInt64(101)...200 { _ = window.handled(sequence) }
        for sequence in UInt64(1)...64 {
            #expect(window.maySend(sequence))
            window.sent(sequence)
        }
        #expect(!window.maySend(65), "the group is full")
        for sequence in UInt64(1)...64 { window.suspected(sequence) }
        #expect(window.maySend(1))
        window.sent(1)
        #expect(!window.maySend(2), "alone after the second refusal")
        _ = window.handled(1)
        #expect(window.maySend(2))
        _ = window.read(201, bytes: 1, receivedUnixMilliseconds: 0, tenant: "")
        #expect(window.maySend(201))
        window.sent(2)
        #expect(!window.maySend(201), "nothing new beside a suspect")
    }

    @Test("what is handled behind an entry that is not can be taken away, and nothing of it is read or sent again")
    func ahead() {
        var window = filled([1, 2, 3, 4, 5])
        for sequence: UInt64 in [2, 3, 5] { _ = window.handled(sequence) }
        let taken = window.takeHandledAhead(limit: 2)
        #expect(taken == [2, 3] && window.count == 3 && window.cursor == 0)
        let isRead = window.read(2, bytes: 10, receivedUnixMilliseconds: 0, tenant: "")
        #expect(!isRead)
        let (four, one) = (window.handled(4), window.handled(1))
        #expect(four != nil && one != nil && window.cursor == 5 && window.isEmpty)
    }

    @Test("a long window agrees with a plain model under random events")
    func model() {
        var random = SystemRandomNumberGenerator()
        var window = OutboxWindow(from: 0)
        var open: [UInt64] = []
        var next: UInt64 = 1
        for _ in 0..<200_000 {
            if open.count < 2_000, Bool.random(using: &random) {
                _ = window.read(next, bytes: 1, receivedUnixMilliseconds: 0, tenant: "")
                window.sent(next)
                open.append(next)
                next += Int.random(in: 0..<100, using: &random) == 0 ? 1 << 31 : 1
            } else if !open.isEmpty {
                let index = Int.random(in: 0..<min(open.count, 50), using: &random)
                let handled = window.handled(open.remove(at: index))
                if handled == nil { return #expect(Bool(false), "an open entry was handled before") }
            }
            if let first = open.first, window.cursor >= first { return #expect(Bool(false), "the cursor passed \(first)") }
        }
        #expect(window.sentCount == open.count && window.bytes == open.count)
        for sequence in open { _ = window.handled(sequence) }
        #expect(window.isEmpty)
    }
}
