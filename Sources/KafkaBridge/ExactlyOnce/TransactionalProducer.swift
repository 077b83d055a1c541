/// A Kafka producer with a `transactional.id`, and the place in Kafka where it keeps its cursor. Used by one thread.
///
/// Every call returns within a bounded time (about half a second, `initTransactions` and `committedCursor` a few
/// seconds), so that the thread can be stopped; what is not finished by then is a `.retriable` fault, and the same call
/// goes on with it.
protocol TransactionalProducer: AnyObject {
    /// Fences every older producer of the same `transactional.id`; its open transaction is aborted, one that it was
    /// committing is finished before this returns.
    func initTransactions() throws(ProducerFault)
    /// The cursor of the last committed transaction; `nil`: none has been committed. Only after `initTransactions`, or else an
    /// older producer may still move it.
    func committedCursor() throws(ProducerFault) -> Cursor?
    func begin() throws(ProducerFault)
    /// Adds a record to the transaction. `.retriable`: not taken, there is no room for more before a `flush`.
    func produce(_ record: OutboxRecord, sequence: UInt64) throws(ProducerFault)
    /// Waits for the answers to all records of the transaction. After failed records it can only be aborted.
    func flush() throws(ProducerFault) -> [FailedRecord]
    /// Makes the cursor a part of the transaction.
    func send(_ cursor: Cursor) throws(ProducerFault)
    /// After any fault but `.retriable` the outcome is unknown; a new producer's `initTransactions` settles it.
    func commit() throws(ProducerFault)
    func abort() throws(ProducerFault)
    /// Takes what the client has to tell, so that nothing piles up while there is nothing to ship.
    func poll()
    /// Ends the producer without finishing anything. The last call.
    func close()
}

/// How far a queue is in Kafka: every entry with a smaller sequence is in the log or in the dead letters.
struct Cursor: Equatable, Sendable {
    /// The last shipped sequence + 1.
    var sequence: UInt64
    /// `ExactlyOnceOutbox.storeID` of the queue that it counts.
    var storeID: String
}

/// Why a call of a transactional producer failed. The texts are for the log and hold no secrets.
enum ProducerFault: Error, Equatable, Sendable {
    /// For now: the same call may be made again.
    case retriable(String)
    /// The transaction can't be committed any more; after an abort the next one may.
    case abortable(String)
    /// A newer producer with the same `transactional.id` has begun.
    case fenced(String)
    /// This producer is of no more use; a new one may be.
    case fatal(String)
}

/// A call of a transactional producer, to say in a log what failed.
enum ProducerCall: String, Equatable, Sendable {
    case open, initTransactions, committedCursor, begin, produce, flush, sendCursor, commit, abort
}

/// A record that Kafka has refused.
struct FailedRecord: Equatable, Sendable {
    let sequence: UInt64
    let failure: RecordFailure
    /// Whether the answer was given to all records of a batch, any of which may be to blame.
    var blamesBatch = false
    /// librdkafka's or the broker's text.
    let text: String
}
