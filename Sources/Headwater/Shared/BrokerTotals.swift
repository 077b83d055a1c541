import Synchronization

/// Sums over all loops that a limit is checked against.
final class BrokerTotals: Sendable {
    /// Network connections at once.
    let maxConnections: Int
    let retainedMessages = Atomic<Int>(0)
    let retainedBytes = Atomic<Int>(0)
    private let connections = Atomic<Int>(0)
    /// Connections that came when there was no room.
    let turnedAway = Atomic<Int>(0)

    init(maxConnections: Int) { self.maxConnections = maxConnections }

    /// Room for one more connection on this listener? Checked before anything is made for it.
    func admitConnection(to listener: ListenerProfile) -> Bool {
        let count = connections.add(1, ordering: .relaxed).newValue
        let own = listener.connections.add(1, ordering: .relaxed).newValue
        if count <= maxConnections, own <= listener.configuration.maxConnections ?? .max { return true }
        turnedAway.add(1, ordering: .relaxed)
        releaseConnection(of: listener)
        return false
    }

    /// A connection was admitted on another loop; the channel that it had there gives its place back.
    func movedConnection(of listener: ListenerProfile) {
        connections.add(1, ordering: .relaxed)
        listener.connections.add(1, ordering: .relaxed)
    }

    func releaseConnection(of listener: ListenerProfile) {
        connections.subtract(1, ordering: .relaxed)
        listener.connections.subtract(1, ordering: .relaxed)
    }
}
