import Testing

@testable import Security

@Suite struct LoginGuardTests {
    let address = LoginAddress(peer: "192.0.2.1:50000")
    let other = LoginAddress(peer: "192.0.2.2:50000")
    let alice = Array("alice".utf8)

    /// A try that fails, or what stood in its way.
    @discardableResult
    static func fail(_ guardian: LoginGuard, _ address: LoginAddress, _ user: [UInt8], _ now: Int64) -> LoginPermission {
        let permission = guardian.mayTry(address: address, listener: "l", user: user, now: now)
        if permission == .yes { guardian.failed(address: address, listener: "l", user: user, now: now) }
        return permission
    }

    @Test("each failure of one user from one address makes the next wait longer, up to a limit")
    func backOff() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 1_000, maxWaitMilliseconds: 1_000))
        var now: Int64 = 0
        var waits: [Int64] = []
        for _ in 0..<7 {
            var waited: Int64 = 0
            if case .wait(let milliseconds) = Self.fail(guardian, address, alice, now) {
                #expect(Self.fail(guardian, address, alice, now + milliseconds - 1) == .wait(milliseconds: 1))
                waited = milliseconds
                now += milliseconds
                #expect(Self.fail(guardian, address, alice, now) == .yes)
            }
            waits.append(waited)
        }
        #expect(waits == [0, 0, 0, 250, 500, 1_000, 1_000])
    }

    @Test("a wait for one user is none for another, from the same address or for the same user from another")
    func pairs() {
        let guardian = LoginGuard()
        for _ in 0..<3 { Self.fail(guardian, address, alice, 0) }
        #expect(guardian.mayTry(address: address, listener: "l", user: alice, now: 0) == .wait(milliseconds: 250))
        #expect(guardian.mayTry(address: address, listener: "l", user: Array("bob".utf8), now: 0) == .yes)
        #expect(guardian.mayTry(address: address, listener: "m", user: alice, now: 0) == .yes)
        #expect(guardian.mayTry(address: other, listener: "l", user: alice, now: 0) == .yes)
    }

    @Test("an address that goes on is banned, whatever users it tries, and each ban is twice as long")
    func bans() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 10, banSeconds: 60, maxBanSeconds: 200))
        var now: Int64 = 0
        var lengths: [Int64] = []
        for round in 0..<4 {
            for attempt in 0..<10 {
                #expect(Self.fail(guardian, address, Array("user \(round) \(attempt)".utf8), now) == .yes)
            }
            guard case .banned(let until) = guardian.mayTry(address: address, listener: "l", user: [], now: now) else {
                Issue.record("not banned")
                return
            }
            lengths.append(until - now)
            #expect(guardian.mayTry(address: address, listener: "l", user: [], now: until - 1) == .banned(untilMilliseconds: until))
            #expect(guardian.mayTry(address: other, listener: "l", user: [], now: now) == .yes)
            now = until
        }
        #expect(lengths == [60_000, 120_000, 200_000, 200_000])
        #expect(guardian.figures.bans == 4)
        // A day without a ban, and the next is a first one again.
        now += 400_000
        for attempt in 0..<10 { Self.fail(guardian, address, Array("late \(attempt)".utf8), now) }
        #expect(guardian.bans(now: now).map(\.untilMilliseconds) == [now + 60_000])
    }

    @Test("the failure that leads to a ban says so, once")
    func banIsTold() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 2, banSeconds: 5))
        #expect(guardian.failed(address: address, listener: "l", user: [1], now: 0) == nil)
        #expect(guardian.failed(address: address, listener: "l", user: [2], now: 1) == 5_001)
        #expect(guardian.failed(address: address, listener: "l", user: [3], now: 2) == nil)
    }

    @Test("failures are forgotten with time")
    func fading() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 10, windowSeconds: 100))
        // One in eleven seconds is forgotten faster than it comes.
        for attempt in 0..<100 { #expect(Self.fail(guardian, address, [UInt8(attempt)], Int64(attempt) * 11_000) == .yes) }
        #expect(guardian.figures.bans == 0)
        // One in five is not.
        for attempt in 0..<25 { Self.fail(guardian, other, [UInt8(attempt)], Int64(attempt) * 5_000) }
        #expect(guardian.figures.bans == 1)
    }

    @Test("nobody can lock a user out for another address")
    func noLockout() {
        let guardian = LoginGuard()
        // A thousand addresses guess, all the time.
        for number in 0..<1_000 {
            let stranger = LoginAddress(bytes: [10, 0, UInt8(number >> 8), UInt8(number & 0xFF)])
            for _ in 0..<3 { Self.fail(guardian, stranger, alice, 1_000) }
        }
        // The user comes from an address of her own: a short wait, then the door is open, and stays open.
        #expect(guardian.mayTry(address: address, listener: "l", user: alice, now: 1_000) == .wait(milliseconds: 2_000))
        for number in 0..<100 { Self.fail(guardian, LoginAddress(bytes: [10, 1, 0, UInt8(number)]), alice, 2_000) }
        #expect(guardian.mayTry(address: address, listener: "l", user: alice, now: 3_000) == .yes)
        guardian.succeeded(address: address, listener: "l", user: alice, now: 3_000)
        #expect(guardian.mayTry(address: address, listener: "l", user: alice, now: 3_001) == .yes)
    }

    @Test("a success clears the user and not the address")
    func success() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 5))
        // An own account between guesses doesn't help a guesser.
        for attempt in 0..<5 {
            #expect(Self.fail(guardian, address, [UInt8(attempt)], 0) == .yes)
            if attempt < 4 {
                #expect(guardian.mayTry(address: address, listener: "l", user: alice, now: 0) == .yes)
                guardian.succeeded(address: address, listener: "l", user: alice, now: 0)
            }
        }
        #expect(guardian.figures.bans == 1)
        let second = LoginGuard()
        for _ in 0..<3 { Self.fail(second, other, alice, 0) }
        second.succeeded(address: other, listener: "l", user: alice, now: 0)
        #expect(second.mayTry(address: other, listener: "l", user: alice, now: 0) == .yes)
    }

    @Test("tries at once count before the first has failed")
    func atOnce() {
        let guardian = LoginGuard(LoginLimits(maxPending: 8))
        let granted = (0..<1_000).filter { guardian.mayTry(address: address, listener: "l", user: [UInt8($0 & 0xFF)], now: 0) == .yes }
        #expect(granted.count == 8)
        guardian.abandoned(address: address, now: 0)
        #expect(guardian.mayTry(address: address, listener: "l", user: [1], now: 0) == .yes)
        #expect(guardian.mayTry(address: address, listener: "l", user: [1], now: 0) != .yes)
        // Answers that never come don't shut the address out.
        #expect(guardian.mayTry(address: address, listener: "l", user: [1], now: 60_001) == .yes)
        // Of one user that has failed, one try at a time.
        for _ in 0..<3 { Self.fail(guardian, other, alice, 0) }
        #expect(guardian.mayTry(address: other, listener: "l", user: alice, now: 250) == .yes)
        #expect(guardian.mayTry(address: other, listener: "l", user: alice, now: 250) != .yes)
    }

    @Test("memory is bounded, and those that nothing is held against take none")
    func memory() {
        let guardian = LoginGuard(LoginLimits(maxEntries: 1_000))
        for number in 0..<20_000 {
            let stranger = LoginAddress(bytes: [UInt8(number >> 16), 1, UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)])
            Self.fail(guardian, stranger, Array("user \(number)".utf8), Int64(number))
        }
        #expect(guardian.figures.entries == 3_000 && guardian.figures.evicted == 57_000)
        let quiet = LoginGuard(LoginLimits(maxEntries: 1_000))
        for number in 0..<5_000 {
            let client = LoginAddress(bytes: [10, 0, UInt8(number >> 8), UInt8(number & 0xFF)])
            #expect(quiet.mayTry(address: client, listener: "l", user: alice, now: 0) == .yes)
            quiet.succeeded(address: client, listener: "l", user: alice, now: 0)
        }
        #expect(quiet.figures.entries == 0)
    }

    @Test("a Unix socket is never banned, and its users still wait")
    func unixSocket() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 2))
        let local = LoginAddress(peer: "unix")
        for attempt in 0..<100 { #expect(Self.fail(guardian, local, [UInt8(attempt)], 0) == .yes) }
        for _ in 0..<3 { Self.fail(guardian, local, alice, 0) }
        #expect(guardian.mayTry(address: local, listener: "l", user: alice, now: 0) == .wait(milliseconds: 250))
        #expect(guardian.figures.bans == 0)
    }

    @Test("a pardon ends a ban")
    func pardon() {
        let guardian = LoginGuard(LoginLimits(attemptsBeforeBan: 1))
        Self.fail(guardian, address, [1], 0)
        #expect(guardian.bans(now: 0).map(\.address) == [address])
        guardian.pardon(address)
        #expect(guardian.mayTry(address: address, listener: "l", user: [2], now: 0) == .yes)
    }

    @Test("IPv6 counts by /64, mapped IPv4 as IPv4, and ports and zones don't count")
    func addresses() {
        func of(_ text: String) -> LoginAddress { LoginAddress(peer: text) }
        #expect(of("[2001:db8:1:2::1]:1883") == of("[2001:db8:1:2:ffff::9]:1884"))
        #expect(of("[2001:db8:1:2::1]:1883") != of("[2001:db8:1:3::1]:1883"))
        #expect(of("[::ffff:192.0.2.1]:1") == of("192.0.2.1:2") && of("192.0.2.1") == of("192.0.2.1:2"))
        #expect(of("192.0.2.1:1") != of("192.0.2.2:1") && of("[::1]:1") != of("0.0.0.1:1"))
        #expect(of("fe80::1%eth0") == of("[fe80::1%eth1]:5"))
        #expect(of("[2001:db8:1:2::1]:1883").description == "2001:db8:1:2::/64" && of("192.0.2.1:2").description == "192.0.2.1")
        for text in ["unix", "", "[", "[]:1", "host:1", "1.2.3:4", "[::1"] { #expect(of(text).isLocal, "\(text)") }
        #expect(LoginAddress(bytes: [1, 2, 3]).isLocal)
    }

    @Test("the table forgets what was touched longest ago, as a naive one does")
    func recency() {
        var random = SystemRandomNumberGenerator()
        var table = RecencyTable<Int, Int>(capacity: 8)
        var naive: [(key: Int, value: Int)] = []
        for step in 0..<20_000 {
            let key = Int.random(in: 0..<16, using: &random)
            if Int.random(in: 0..<4, using: &random) == 0 {
                table.remove(key)
                naive.removeAll { $0.key == key }
            } else {
                table.set(step, for: key)
                naive.removeAll { $0.key == key }
                if naive.count == 8 { naive.removeFirst() }
                naive.append((key, step))
            }
            var seen: [[Int]] = []
            table.forEach { seen.append([$0, $1]) }
            #expect(seen == naive.map { [$0.key, $0.value] } && table.count == naive.count)
        }
    }
}
