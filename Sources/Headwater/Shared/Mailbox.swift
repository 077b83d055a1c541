import Synchronization

/// Letters for one event loop. A sender posts a whole tick's batch under one lock, and wakes the receiver only if it
/// was empty.
final class Mailbox: Sendable {
    private let letters = Mutex<[Letter]>([])
    private let hasLetters = Atomic<Bool>(false)
    private let backlogLetters = Atomic<Int>(0)
    private let backlogBytes = Atomic<Int>(0)

    /// Letters not yet read, and their bytes.
    var backlog: (letters: Int, bytes: Int) {
        (backlogLetters.load(ordering: .relaxed), backlogBytes.load(ordering: .relaxed))
    }

    /// Read before each packet, so that a letter written before its cause reached the peer is read before the effect
    /// comes back: a SUBACK sent by one loop is known to every loop that hears of it from the client.
    var isEmpty: Bool { !hasLetters.load(ordering: .acquiring) }

    /// - Returns: Whether the receiver must be woken.
    func post(_ batch: [Letter], bytes: Int) -> Bool {
        backlogLetters.add(batch.count, ordering: .relaxed)
        backlogBytes.add(bytes, ordering: .relaxed)
        return letters.withLock { letters in
            let wasEmpty = letters.isEmpty
            if wasEmpty { letters = batch } else { letters.append(contentsOf: batch) }
            hasLetters.store(true, ordering: .releasing)
            return wasEmpty
        }
    }

    /// Takes everything out.
    func take() -> [Letter] {
        letters.withLock { letters in
            hasLetters.store(false, ordering: .relaxed)
            let taken = letters
            letters = []
            return taken
        }
    }

    /// The receiver has read this many letters.
    func read(letters: Int, bytes: Int) {
        backlogLetters.subtract(letters, ordering: .relaxed)
        backlogBytes.subtract(bytes, ordering: .relaxed)
    }
}
