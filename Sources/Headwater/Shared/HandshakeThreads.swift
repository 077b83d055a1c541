import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Threads that run steps of TLS handshakes in time that the loops don't want.
///
/// Their nice value is ten above the process's: an event loop that wakes takes their processor away, in the middle of a signature if
/// need be; an event loop itself could not be interrupted. When there is no such time, loops help themselves
/// (`HandshakeTurnstile`). They start with the first step: a broker without TLS, or without a storm, has none.
///
/// A thread that is interrupted while it has a lock keeps a loop waiting that wants it, be it asleep or, in glibc's
/// `pthread_rwlock_wrlock`, spinning. So they have a tenth of a processor even beside a loop that spins, and not SCHED_IDLE, which
/// gave them a thousandth; and steps come to them through a pipe, whose lock is the kernel's, where nobody is interrupted.
///
/// After each step they yield. The kernel (EEVDF, Linux 6.6) lets a loop that has only just had its share wait, in spite of its weight,
/// and then looks again at the next tick, 1 to 10 ms later: a thread that goes from step to step would keep it waiting until then.
final class HandshakeThreads: Sendable {
    /// Above the process's nice value: a ninth of the weight of an event loop (sched(7)).
    private static let niceIncrement: Int32 = 10

    private let count: Int
    private let queue = Mutex<Queue?>(nil)
    /// When a loop last had messages, on the monotonic clock. Nanoseconds.
    private let lastMessage = Atomic<UInt64>(0)

    init(threads: Int) { count = threads }

    /// Threads end when what they are at is done. Steps that wait for one are not run.
    deinit { queue.withLock { $0?.end() } }

    /// A step that can't be taken over is not run: the pipe is full (8,192 steps), or there is no descriptor for one. It is one that
    /// has waited for too long then, and the loop takes it back.
    func run(_ step: @escaping @Sendable () -> Void) {
        // Loops have this lock, never the threads.
        let queue = queue.withLock { queue in
            if queue == nil { queue = Queue(threads: count) }
            return queue
        }
        queue?.append(step)
    }

    // MARK: Whether somebody waits

    func messagesSeen(nowNanoseconds: UInt64) { lastMessage.store(nowNanoseconds, ordering: .relaxed) }
    var lastMessageNanoseconds: UInt64 { lastMessage.load(ordering: .relaxed) }
}

extension HandshakeThreads {
    private final class Step: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Addresses of steps in a pipe, and the threads that read it.
    private final class Queue: Sendable {
        private let (reading, writing): (Int32, Int32)
        private let pool: NIOThreadPool
        private let isOver = Atomic(false)

        init?(threads: Int) {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return nil }
            (reading, writing) = (ends[0], ends[1])
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            // Only this end: a loop doesn't wait, and threads have nothing else to do.
            _ = fcntl(writing, F_SETFL, O_NONBLOCK)
            pool = NIOThreadPool(numberOfThreads: threads)
            pool.start()
            for _ in 0..<threads {
                pool.submit { [self] state in
                    if state == .active { serve() }
                }
            }
        }

        func append(_ run: @escaping @Sendable () -> Void) {
            let step = Unmanaged.passRetained(Step(run))
            var address = UInt(bitPattern: step.toOpaque())
            while write(writing, &address, MemoryLayout<UInt>.size) < 0 {
                guard errno == EINTR else { return step.release() }
            }
        }

        /// Reads of a pipe are as whole as its writes when all have the same length, a power of two.
        private func serve() {
            // On Linux this is the thread's alone.
            _ = nice(niceIncrement)
            var address: UInt = 0
            while true {
                let count = read(reading, &address, MemoryLayout<UInt>.size)
                if count < 0, errno == EINTR { continue }
                guard count == MemoryLayout<UInt>.size, let step = UnsafeRawPointer(bitPattern: address) else { return }
                let taken = Unmanaged<Step>.fromOpaque(step).takeRetainedValue()
                if !isOver.load(ordering: .relaxed) { taken.run() }
                _ = sched_yield()
            }
        }

        /// Threads see the pipe's end after what is in it.
        func end() {
            isOver.store(true, ordering: .relaxed)
            close(writing)
            pool.shutdownGracefully { [reading] _ in close(reading) }
        }
    }
}
