import DequeModule
import MQTTSession

/// The part of a session that the store has, as its loop knows it.
///
/// Live, the session's messages are in memory and in the store. Spooling, the newer ones are in the store alone: the client is
/// away, or slower than its messages come. They are read back in pages (BrokerLoop+Spool).
final class StoredPart {
    let number: UInt64
    /// The place that the next message gets.
    @exclusivity(unchecked) var nextSequence: UInt64 = 1
    /// Highest place that may have been sent on an earlier connection.
    @exclusivity(unchecked) var repeatedSequence: UInt64 = 0
    /// Highest place that was sent.
    @exclusivity(unchecked) var sentSequence: UInt64 = 0
    /// Batch of the last message, and the one that must be stored before the queue may be read: what it removes would be read
    /// again.
    @exclusivity(unchecked) var lastBatch: UInt64 = 0
    @exclusivity(unchecked) var readableAfter: UInt64 = 0

    @exclusivity(unchecked) var isSpooling = false
    /// Messages that are in the store alone, and what the queue charges for them.
    @exclusivity(unchecked) var spooledCount = 0
    @exclusivity(unchecked) var spooledBytes = 0
    /// Everything up to this place has been read.
    @exclusivity(unchecked) var readSequence: UInt64 = 0
    /// Messages that have gone to another session, which removes them here when it has stored them: until then they are in the
    /// store, but not this session's any more.
    @exclusivity(unchecked) var movedAway: Set<UInt64> = []
    /// A page has been asked for and has not come.
    @exclusivity(unchecked) var isReading = false
    /// Tells pages that were asked for before the client left.
    @exclusivity(unchecked) var readNumber: UInt64 = 0
    @exclusivity(unchecked) var tail: Tail?

    /// The newest messages, kept in memory beside the store while the last pages are read, so that reading can catch up with
    /// writing.
    struct Tail {
        let firstSequence: UInt64
        /// What lies before the tail can be read when this batch is stored.
        let readableAfter: UInt64
        var deliveries = Deque<Delivery>()
        var bytes = 0
    }

    /// The batch with which the session came into the store.
    let firstBatch: UInt64

    init(number: UInt64, firstBatch: UInt64) {
        self.number = number
        self.firstBatch = firstBatch
    }

    var lastSequence: UInt64 { nextSequence - 1 }
}
