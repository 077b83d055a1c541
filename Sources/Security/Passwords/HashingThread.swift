#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A thread that gives way: event loops come before password hashes when processors are short.
struct HashingThread {
    private static let niceness: Int32 = 5
    let body: @Sendable () -> Void

    private final class Start {
        let thread: HashingThread
        init(_ thread: HashingThread) { self.thread = thread }
    }

    /// Runs `body` on a new, detached thread.
    func start() {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(self))
        let result = pthread_create(
            &thread, nil,
            { argument in
                // The one use of the pointer that `start()` passes, which is never nil.
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                // On Linux niceness is a thread's own. Not being allowed to is no harm.
                _ = nice(HashingThread.niceness)
                start.thread.body()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "the system refuses a thread: error \(result)")
        pthread_detach(thread)
    }
}
