/// One queue (route, shard) of the durable outbox, as the shipper sees it. Used by one thread.
///
/// What exactly-once delivery rests on, besides Kafka's transactions:
/// - An entry is the consequence of one accepted PUBLISH: it is written in the same store transaction as the packet id.
/// - A sequence belongs to one message for ever. So `read` gives durable entries only: were one shipped and then lost by
///   a power cut, its sequence would go to another message, which the committed cursor would then pass over.
/// - Sequences are below 2^63, since Kafka keeps the cursor as an offset.
/// - At most one queue object of a (route, shard) is in use. Opening another makes this one throw `.superseded` from
///   `moveToDeadLetters` at least: a record kept locally by one and shipped by the other would be there twice.
protocol ExactlyOnceOutbox: AnyObject {
    /// Names the store that the sequences belong to: random, of at most 64 ASCII characters, and another one as soon as a
    /// store is made new or restored from a backup, since its sequences then mean other messages.
    var storeID: String { get }

    /// Durable entries with that sequence and above, in order, without those removed or moved away.
    /// - Parameter maxBytes: Sum of `OutboxEntry.bytes`; one entry is given even if it is larger alone.
    func read(from sequence: UInt64, maxEntries: Int, maxBytes: Int) throws(OutboxFault) -> [OutboxEntry]

    /// Deletes the entries below `sequence`, and gives no later message a sequence below it. May become durable later: what
    /// a crash brings back is recognised by the committed cursor and removed again.
    func remove(below sequence: UInt64) throws(OutboxFault)

    /// Takes one entry out of the queue and keeps it in the local dead letters, in one store transaction that is durable on
    /// return. An entry that is gone already is left alone.
    func moveToDeadLetters(_ sequence: UInt64, because failure: FailedRecord) throws(OutboxFault)
}

/// One record that waits in the outbox.
struct OutboxEntry: Equatable, Sendable {
    let sequence: UInt64
    let record: OutboxRecord
    /// Bytes of the entry in the outbox, about those of the record in Kafka.
    let bytes: Int
}

/// Why the outbox does not do what it is asked.
enum OutboxFault: Error, Equatable, Sendable {
    /// We or the machine: the store can't be read or written now. The text is the store's.
    case unavailable(String)
    /// Another queue object has taken over.
    case superseded
}
