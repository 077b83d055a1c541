import MQTTModel
import Synchronization

/// Which event loop a session lives on. Asked at CONNECT and told when a session ends, never on the way of a message.
final class SessionDirectory: Sendable {
    private struct Stripe: ~Copyable, Sendable {
        let homes = Mutex<[SessionKey: UInt16]>([:])
    }
    private final class StripeBox: Sendable {
        let stripe = Stripe()
    }
    private let stripes: [StripeBox]

    init(stripes count: Int = 64) { stripes = (0..<count).map { _ in StripeBox() } }

    private func stripe(of key: SessionKey) -> StripeBox {
        stripes[Int(UInt(bitPattern: key.hashValue) % UInt(stripes.count))]
    }

    /// The loop where the session of `key` lives; if there is none, it lives on `loop` from now on.
    func home(of key: SessionKey, orClaimFor loop: Int) -> Int {
        stripe(of: key).stripe.homes.withLock { homes in
            if let home = homes[key] { return Int(home) }
            homes[key] = UInt16(loop)
            return loop
        }
    }

    /// The session has ended on `loop`.
    func release(_ key: SessionKey, by loop: Int) {
        stripe(of: key).stripe.homes.withLock { homes in
            if homes[key] == UInt16(loop) { homes[key] = nil }
        }
    }
}
