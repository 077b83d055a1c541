import MQTTModel

/// An entry for a queue of the outbox, on its way into a transaction.
package final class OutboxAppend: Sendable {
    /// The entry is `head`, `tail` and the value, one behind the other; two parts, so that many entries can share the first.
    let head: [UInt8]
    let tail: [UInt8]
    /// In place of the message's payload.
    let value: [UInt8]?
    let deduplication: Deduplication?
    /// Told its sequence number when it is stored.
    let ticket: (any OutboxTicket)?

    package struct Deduplication: Sendable {
        let key: [UInt8]
        let untilUnixMilliseconds: Int64

        /// - Parameter key: At most `maxKeyBytes`.
        package init(key: [UInt8], untilUnixMilliseconds: Int64) {
            self.key = key
            self.untilUnixMilliseconds = untilUnixMilliseconds
        }

        /// LMDB's keys have 511 bytes.
        package static let maxKeyBytes = 480
    }

    package init(head: [UInt8], tail: [UInt8], value: [UInt8]?, deduplication: Deduplication?, ticket: (any OutboxTicket)?) {
        self.head = head
        self.tail = tail
        self.value = value
        self.deduplication = deduplication
        self.ticket = ticket
    }

    /// Bytes of the entry without its seal.
    func entryBytes(payload: Int) -> Int { 4 + head.count + tail.count + (value?.count ?? payload) }
}

/// Waits for its entry to be stored. Called on the writer's thread.
package protocol OutboxTicket: AnyObject, Sendable {
    /// - Parameter sequence: `nil`: the queue has had an entry with this deduplication key.
    func stored(sequence: UInt64?)
}
