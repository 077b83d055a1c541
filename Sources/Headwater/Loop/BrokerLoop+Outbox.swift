import MQTTModel
import PluginAPI
import Storage

/// What plugins store with a message: entries of their queues, in the open batch, so that one transaction has them and the session
/// state that they came with.
extension BrokerLoop {
    /// Puts the entries that plugins have made for `message` into the open batch.
    ///
    /// - Parameter relay: Which queues have the message from before a crash.
    /// - Returns: Whether a queue has the message, now or before.
    @discardableResult
    func storeEntries(of message: @autoclosure () -> Message, except relay: Relay?) -> Bool {
        guard !publishOutbox.entries.isEmpty else { return false }
        defer { publishOutbox.removeAll() }
        guard let ledger else { return false }
        let message = message()
        for entry in publishOutbox.entries {
            if relay?.queues.contains(entry.queue) == true {
                entry.owner?.entryNotStored(bytes: entry.ownerBytes, tenant: message.publisher?.tenant ?? "")
                continue
            }
            let deduplication = entry.deduplication.map {
                OutboxAppend.Deduplication(key: $0.key, untilUnixMilliseconds: clock.unixMilliseconds + $0.milliseconds)
            }
            let append = OutboxAppend(
                head: entry.head, tail: entry.tail, value: entry.value, deduplication: deduplication,
                ticket: entry.ticket.map { StoreTicket(ticket: $0) })
            ledger.append(.append(append, queue: entry.queue, message: entry.value == nil ? message : nil))
        }
        return true
    }

    /// Stops a publisher for the queues that have no room for more.
    func slowForQueues(_ connection: ConnectionHandler) {
        for queue in publishOutbox.slowing {
            if queueWaiters[queue, default: []].insert(connection.reference).inserted { connection.pause() }
        }
    }

    /// A queue has room again.
    func releaseQueueWaiters(_ queue: UInt64) {
        guard let waiters = queueWaiters.removeValue(forKey: queue) else { return }
        beginWork()
        for reference in waiters { connections[reference]?.unpause() }
    }
}

/// The store's ticket for a plugin's.
private final class StoreTicket: OutboxTicket {
    private let ticket: any OutboxEntryTicket

    init(ticket: any OutboxEntryTicket) { self.ticket = ticket }

    func stored(sequence: UInt64?) { ticket.stored(sequence: sequence) }
}
