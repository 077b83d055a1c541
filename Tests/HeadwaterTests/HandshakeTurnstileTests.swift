import Dispatch
import NIOCore
import NIOPosix
import Synchronization
import TLS
import Testing

@testable import Headwater

/// Where the steps of handshakes are run. The broker's own loop takes them back (`StormTests`); here threads do nothing.
@Suite("Turns of handshakes")
struct HandshakeTurnstileTests {
    /// Counts what it is told.
    private final class Taker: HandshakeTurnTaker {
        let counts: Counts
        let engine: TLSEngine

        init(_ counts: Counts, _ engine: TLSEngine) {
            self.counts = counts
            self.engine = engine
        }

        func continueHandshake() -> Bool {
            counts.continued.add(1, ordering: .relaxed)
            return true
        }

        func beginStep() -> HandshakeStep? {
            counts.begun.add(1, ordering: .relaxed)
            return HandshakeStep(engine, ciphertext: [])
        }

        func endStep(_ step: HandshakeStep) { counts.ended.add(1, ordering: .relaxed) }
    }

    private final class Counts: Sendable {
        let continued = Atomic(0)
        let begun = Atomic(0)
        let ended = Atomic(0)
    }

    /// A turnstile whose threads are at something else for as long as `body` runs.
    private func with(messages: @escaping @Sendable () -> Int, _ body: (LoopNode, Counts, @escaping @Sendable () -> Bool) async throws -> Void) async throws {
        let counts = Counts()
        let threads = HandshakeThreads(threads: 1)
        let release = DispatchSemaphore(value: 0)
        threads.run { release.wait() }
        let node = LoopNode(index: 0, eventLoop: MultiThreadedEventLoopGroup.singleton.next())
        // Never used: a step has nothing to do here.
        let context = try TLSClientContext(TLSClientConfiguration())
        let made: NIOLoopBoundBox<HandshakeTurnstile?> = NIOLoopBoundBox.makeEmptyBox(eventLoop: node.eventLoop)
        try await node.eventLoop.submit {
            let turnstile = HandshakeTurnstile(node: node, threads: threads)
            turnstile.messages = messages
            made.value = turnstile
        }.get()
        try await body(node, counts) {
            // Called on the loop.
            context.makeEngine(host: "localhost").map { made.value?.enter(Taker(counts, $0)) ?? true } ?? true
        }
        release.signal()
        try await node.eventLoop.submit { made.value = nil }.get()
    }

    private func soon(_ condition: () -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition() {
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    @Test("without messages the first goes at once, and the others in the loop's next turns")
    func quiet() async throws {
        try await with(messages: { 0 }) { node, counts, enter in
            let mayGo = try await node.eventLoop.submit { (0..<4).map { _ in enter() } }.get()
            #expect(mayGo == [true, false, false, false])
            #expect(try await soon { counts.continued.load(ordering: .relaxed) == 3 })
            #expect(counts.begun.load(ordering: .relaxed) == 0)
        }
    }

    @Test("while messages flow none is run on the loop, unless the threads have no time for it")
    func starved() async throws {
        let messages = Atomic(0)
        try await with(messages: { messages.add(1, ordering: .relaxed).newValue }) { node, counts, enter in
            let began = ContinuousClock.now
            let mayGo = try await node.eventLoop.submit { (0..<3).map { _ in enter() } }.get()
            #expect(mayGo == [false, false, false])
            #expect(try await soon { counts.begun.load(ordering: .relaxed) == 3 })
            #expect(try await soon { counts.ended.load(ordering: .relaxed) == 3 })
            #expect(ContinuousClock.now - began >= .milliseconds(250), "the threads are given a while")
            #expect(counts.continued.load(ordering: .relaxed) == 0)
        }
    }
}
