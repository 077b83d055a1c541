import Synchronization

/// An engine on its way from one event loop to another.
// @unchecked: holds the only reference to the engine, and gives it out once.
package final class DetachedTLSEngine: @unchecked Sendable {
    private let engine: Mutex<UnsafeEngine>

    private struct UnsafeEngine: @unchecked Sendable {
        var engine: TLSEngine?
    }

    /// `engine`: the caller uses it no more.
    package init(_ engine: sending TLSEngine) {
        self.engine = Mutex(UnsafeEngine(engine: engine))
    }

    /// For the handler that was the engine's only user.
    init(owned engine: TLSEngine) {
        self.engine = Mutex(UnsafeEngine(engine: engine))
    }

    /// `nil` the second time.
    package func take() -> TLSEngine? {
        engine.withLock { holder in
            let taken = UnsafeEngine(engine: holder.engine)
            holder.engine = nil
            return taken
        }.engine
    }
}
