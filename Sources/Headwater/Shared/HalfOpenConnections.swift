import Synchronization
import Transport

/// Connections that have no CONNACK yet, by address, and TLS handshakes under way: what a stranger can make many of.
///
/// Sendable: counts behind a lock that is taken twice for each connection, and an atomic.
final class HalfOpenConnections: Sendable {
    private let counts = Mutex<[IPAddress: Int]>([:])
    private let handshakes = Atomic<Int>(0)
    /// Of these, those whose first bytes have come and wait for a processor.
    private let waitingHandshakes = Atomic<Int>(0)
    private let maxPerAddress: Int
    private let maxHandshakes: Int

    init(maxPerAddress: Int, maxHandshakes: Int) {
        self.maxPerAddress = maxPerAddress
        self.maxHandshakes = maxHandshakes
    }

    /// A place for one more connection of this address, `nil` if it has as many as it may. Unix sockets have no address and no
    /// limit.
    func enter(_ host: IPAddress?) -> HalfOpenPlace? {
        guard let key = host?.customer else { return HalfOpenPlace(key: nil, home: self) }
        let isAdmitted = counts.withLock { counts in
            let count = counts[key, default: 0]
            guard count < maxPerAddress else { return false }
            counts[key] = count + 1
            return true
        }
        return isAdmitted ? HalfOpenPlace(key: key, home: self) : nil
    }

    fileprivate func leave(_ key: IPAddress) {
        counts.withLock { counts in
            let left = counts[key, default: 1] - 1
            counts[key] = left > 0 ? left : nil
        }
    }

    /// Whether there is work enough already. Peers that are silent in the middle of their handshake are no work, or whoever opens
    /// connections and says nothing would shut the door for everybody.
    var isFull: Bool { waitingHandshakes.load(ordering: .relaxed) >= maxHandshakes }
    var handshakesUnderWay: Int { handshakes.load(ordering: .relaxed) }

    func handshakeBegan() { handshakes.add(1, ordering: .relaxed) }
    func handshakeEnded() { handshakes.subtract(1, ordering: .relaxed) }
    func handshakeWaits() { waitingHandshakes.add(1, ordering: .relaxed) }
    func handshakeWaitsNoMore() { waitingHandshakes.subtract(1, ordering: .relaxed) }
}

/// One connection's place among those without CONNACK. Given back with its last reference: when the client is in, or the connection gone.
final class HalfOpenPlace: Sendable {
    private let key: IPAddress?
    private let home: HalfOpenConnections

    fileprivate init(key: IPAddress?, home: HalfOpenConnections) {
        self.key = key
        self.home = home
    }

    deinit { if let key { home.leave(key) } }
}
