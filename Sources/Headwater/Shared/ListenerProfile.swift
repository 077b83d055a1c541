import Synchronization

/// A listener as its connections see it.
final class ListenerProfile: Sendable {
    let configuration: ListenerConfiguration
    /// Open now.
    let connections = Atomic<Int>(0)

    init(configuration: ListenerConfiguration) { self.configuration = configuration }
}
