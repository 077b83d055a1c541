import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Threads that run steps of TLS handshakes in the time that nobody else wants.
///
/// With the policy SCHED_IDLE (sched(7)) the system takes their processor away as soon as an event loop wakes, in the middle of a
/// signature if need be; an event loop itself could not be interrupted. When there is no such time, loops help themselves
/// (`HandshakeTurnstile`).
final class HandshakeThreads: Sendable {
    /// SCHED_IDLE of <sched.h>.
    private static let idlePolicy: Int32 = 5

    private let pool: NIOThreadPool
    /// When a loop last had messages, on the monotonic clock. Nanoseconds.
    private let lastMessage = Atomic<UInt64>(0)

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Threads end when what they are at is done. Steps that wait for one are not run.
    deinit { pool.shutdownGracefully { _ in } }

    func run(_ step: @escaping @Sendable () -> Void) {
        pool.submit { state in
            guard state == .active else { return }
            Self.giveWay()
            step()
        }
    }

    /// With every step: on Linux it is a thread's own, costs less than a microsecond, and not being allowed to is no harm.
    private static func giveWay() {
        var parameters = sched_param()
        _ = sched_setscheduler(0, idlePolicy, &parameters)
    }

    // MARK: Whether somebody waits

    func messagesSeen(nowNanoseconds: UInt64) { lastMessage.store(nowNanoseconds, ordering: .relaxed) }
    var lastMessageNanoseconds: UInt64 { lastMessage.load(ordering: .relaxed) }
}
