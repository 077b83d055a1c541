import Dispatch
import Synchronization
import Testing

@testable import Headwater

@Suite("Threads for handshakes")
struct HandshakeThreadsTests {
    /// Tells when nobody has it any more.
    private final class Ghost: Sendable {
        let gone: DispatchSemaphore
        init(_ gone: DispatchSemaphore) { self.gone = gone }
        deinit { gone.signal() }
    }

    private final class Log: Sendable {
        private let numbers = Mutex<[Int]>([])
        var all: [Int] { numbers.withLock { $0 } }
        func append(_ number: Int) { numbers.withLock { $0.append(number) } }
    }

    /// - Returns: Whether the semaphore was signalled within a minute.
    private func signalled(_ semaphore: DispatchSemaphore) async -> Bool {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: semaphore.wait(timeout: .now() + 60) == .success) }
        }
    }

    @Test("one thread runs what it is given in order")
    func order() async {
        let threads = HandshakeThreads(threads: 1)
        let (log, done) = (Log(), DispatchSemaphore(value: 0))
        for number in 0..<1_000 { threads.run { log.append(number) } }
        threads.run { done.signal() }
        #expect(await signalled(done))
        #expect(log.all == Array(0..<1_000))
    }

    @Test("several threads run at the same time")
    func together() async {
        let threads = HandshakeThreads(threads: 2)
        let (one, other, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        // Each waits for the other.
        threads.run {
            one.signal()
            other.wait()
            done.signal()
        }
        threads.run {
            other.signal()
            one.wait()
            done.signal()
        }
        #expect(await signalled(done))
        #expect(await signalled(done))
    }

    @Test("who gives more than fits does not wait; what does not fit is not run, and what comes later is")
    func full() async {
        let threads = HandshakeThreads(threads: 1)
        let (log, release, gone, done) = (Log(), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads.run { release.wait() }
        for number in 0..<20_000 { threads.run { log.append(number) } }
        threads.run { [ghost = Ghost(gone)] in withExtendedLifetime(ghost) { log.append(-1) } }
        #expect(gone.wait(timeout: .now()) == .success, "it is let go at once")
        release.signal()
        // Its turn comes when there is room again.
        while true {
            threads.run { done.signal() }
            if done.wait(timeout: .now() + 0.01) == .success { break }
        }
        #expect((8_000...8_200).contains(log.all.count), "\(log.all.count)")
        #expect(log.all == Array(0..<log.all.count))
    }

    @Test("the end does not wait for a step, and leaves none behind")
    func end() async {
        var threads: HandshakeThreads? = HandshakeThreads(threads: 1)
        let (log, begun, release, gone) = (Log(), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads?.run {
            begun.signal()
            release.wait()
        }
        #expect(await signalled(begun))
        threads?.run { [ghost = Ghost(gone)] in withExtendedLifetime(ghost) { log.append(0) } }
        threads = nil
        release.signal()
        #expect(await signalled(gone))
        #expect(log.all.isEmpty)
    }
}
