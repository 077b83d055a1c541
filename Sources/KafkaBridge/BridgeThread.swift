import CRdKafka

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A thread of its own for a call that waits in C, where a task would block a thread of the shared pool.
struct BridgeThread {
    /// At most 15 bytes are shown by the system.
    let name: String
    let body: @Sendable () -> Void

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    /// Runs `body` on a new, detached thread.
    func start() {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name: String(name.prefix(15)), body: body))
        let result = pthread_create(
            &thread, nil,
            { argument in
                // The one use of the pointer that `start()` passes, which is never nil.
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                headwater_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "the system refuses a thread: error \(result)")
        pthread_detach(thread)
    }
}
