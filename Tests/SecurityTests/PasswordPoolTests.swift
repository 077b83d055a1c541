import Foundation
import Synchronization
import Testing

@testable import Security

@Suite struct PasswordPoolTests {
    static let hash = PasswordHash.unmatchable(.sha512)

    /// A hash function that waits until it is let go, and counts.
    final class Gate: Sendable {
        let calls = Atomic(0)
        private let semaphore = DispatchSemaphore(value: 0)
        func verify(_ password: [UInt8]) -> PasswordVerdict {
            calls.add(1, ordering: .relaxed)
            semaphore.wait()
            return password == [1] ? .right : password == [2] ? .unable : .wrong
        }
        func open(_ count: Int) { for _ in 0..<count { semaphore.signal() } }
    }

    @Test("right, wrong, and no memory")
    func answers() async throws {
        let pool = HashingPool(threads: 2)
        let table = try PasswordFileTests.table("alice:\(PasswordHashTests.foreign[3])")
        #expect(await pool.verify(Array("alice".utf8), password: Array("geheim".utf8), in: table) == .right)
        #expect(await pool.verify(Array("alice".utf8), password: Array("falsch".utf8), in: table) == .wrong)
        #expect(await pool.verify(Array("nobody".utf8), password: Array("geheim".utf8), in: table) == .wrong)
        let starved = HashingPool(threads: 1) { _, _ in .unable }
        #expect(await starved.verify([], against: Self.hash) == .overloaded)
        #expect(starved.figures.unable == 1 && pool.figures.right == 1 && pool.figures.wrong == 2)
    }

    @Test("a known and an unknown user cost one hash of the same cost each")
    func hashCalls() async throws {
        let costs = Mutex<[PasswordCost]>([])
        let pool = HashingPool(threads: 1) { hash, _ in
            costs.withLock { $0.append(hash.cost) }
            return .wrong
        }
        let table = try PasswordFileTests.table("alice:\(PasswordHashTests.foreign[3])\nbob:\(PasswordHashTests.foreign[3])")
        for user in ["alice", "nobody", "", "alice\0"] { _ = await pool.verify(Array(user.utf8), password: [1], in: table) }
        let seen = costs.withLock { $0 }
        #expect(seen.count == 4 && Set(seen).count == 1)
    }

    @Test("so many work, so many wait, and the next is refused at once")
    func bounds() async {
        let gate = Gate()
        let pool = HashingPool(threads: 2, maxWaiting: 3) { gate.verify($1) }
        let answers = Mutex<[HashingPool.Answer]>([])
        for _ in 0..<2 { pool.verify([1], against: Self.hash) { answer in answers.withLock { $0.append(answer) } } }
        await Until.holds { pool.figures.running == 2 }
        for _ in 0..<3 { pool.verify([1], against: Self.hash) { answer in answers.withLock { $0.append(answer) } } }
        #expect(pool.figures.waiting == 3 && gate.calls.load(ordering: .relaxed) == 2)
        #expect(await pool.verify([1], against: Self.hash) == .overloaded)
        #expect(answers.withLock { $0.isEmpty } && pool.figures.refused == 1)
        gate.open(5)
        await Until.holds { answers.withLock { $0.count } == 5 }
        #expect(answers.withLock { $0 } == Array(repeating: .right, count: 5))
        #expect(gate.calls.load(ordering: .relaxed) == 5)
    }

    @Test("a login that has waited too long is refused without work")
    func late() async {
        let gate = Gate()
        let pool = HashingPool(threads: 1, maxWait: .zero) { gate.verify($1) }
        #expect(await pool.verify([1], against: Self.hash) == .overloaded)
        #expect(gate.calls.load(ordering: .relaxed) == 0 && pool.figures.late == 1)
    }

    @Test("logins are worked off in the order in which they came")
    func order() async {
        let gate = Gate()
        let pool = HashingPool(threads: 1) { gate.verify($1) }
        let order = Mutex<[Int]>([])
        for number in 0..<50 { pool.verify([3], against: Self.hash) { _ in order.withLock { $0.append(number) } } }
        gate.open(50)
        await Until.holds { order.withLock { $0.count } == 50 }
        #expect(order.withLock { $0 } == Array(0..<50))
    }

    @Test("a pool that stops answers everybody")
    func stop() async {
        let gate = Gate()
        let pool = HashingPool(threads: 1) { gate.verify($1) }
        let answers = Mutex<[HashingPool.Answer]>([])
        for _ in 0..<10 { pool.verify([1], against: Self.hash) { answer in answers.withLock { $0.append(answer) } } }
        await Until.holds { pool.figures.running == 1 }
        pool.stop()
        #expect(answers.withLock { $0 } == Array(repeating: .overloaded, count: 9))
        gate.open(1)
        await Until.holds { answers.withLock { $0.count } == 10 }
        #expect(answers.withLock { $0.last } == .right)
        #expect(await pool.verify([1], against: Self.hash) == .overloaded)
    }

    @Test("logins from many tasks at once are each answered once")
    func many() async {
        let pool = HashingPool(threads: 4, maxWaiting: 10_000)
        let hash = PasswordHash.make(.sha512, password: [7])!
        let right = await withTaskGroup(of: HashingPool.Answer.self) { group in
            for number in 0..<2_000 { group.addTask { await pool.verify([number % 2 == 0 ? 7 : 8], against: hash) } }
            return await group.reduce(0) { $0 + ($1 == .right ? 1 : 0) }
        }
        #expect(right == 1_000 && pool.figures.right == 1_000 && pool.figures.wrong == 1_000)
    }
}

/// A bounded wait for something that another thread does.
enum Until {
    static func holds(_ what: @Sendable () -> Bool, _ location: SourceLocation = #_sourceLocation) async {
        for _ in 0..<2_000 {
            if what() { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("did not come true within 10 s", sourceLocation: location)
    }
}
