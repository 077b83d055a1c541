/// What one step of the `ExactlyOnceShipper` came to: what its driver counts, logs and does next.
enum ShipStep: Equatable, Sendable {
    /// Take the next step at once.
    case proceed
    /// A transaction is committed. `deadLetters` of its `records` went to the dead-letter topic. Take the next step at once.
    case shipped(records: Int, deadLetters: Int)
    /// Kafka has refused these records for good: they are dead letters from now on. Take the next step at once.
    case refused([FailedRecord])
    /// The record is in the local dead letters. Take the next step at once.
    case keptLocally(FailedRecord)
    /// The outbox has nothing to ship: wait for an entry, though not longer than some seconds, since the client may have
    /// something to tell.
    case idle
    /// Take the next step at `retryAt` (milliseconds of the clock that `step` is given).
    case trouble(ShipTrouble, retryAt: UInt64)
}

/// What keeps a queue from being shipped for a while.
enum ShipTrouble: Equatable, Sendable {
    case producer(ProducerFault, during: ProducerCall)
    /// Another instance has taken the `transactional.id`, or the broker has ended a transaction that outlived
    /// `transaction.timeout.ms`: brokers give the same answer. `times` since it last was quiet for a while.
    case fenced(String, during: ProducerCall, times: Int)
    case outbox(OutboxFault)
}
