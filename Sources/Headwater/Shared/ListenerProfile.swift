import Synchronization

/// A listener as its connections see it.
final class ListenerProfile: Sendable {
    /// Place among the listeners of the configuration, and of each loop's `security`.
    let index: Int
    let configuration: ListenerConfiguration
    /// Open now.
    let connections = Atomic<Int>(0)

    init(index: Int, configuration: ListenerConfiguration) {
        self.index = index
        self.configuration = configuration
    }
}
