/// Moves one queue of the outbox into Kafka, each record once and in order, whatever fails and whenever.
///
/// A transaction holds records and the cursor behind the last of them; so the cursor that Kafka has committed tells
/// which entries are in the log, and no other memory is needed. The rules that follow from it:
/// - Entries leave the outbox only below a committed cursor.
/// - Once `commit` has been called, Kafka alone knows the outcome. Unless it says "done", it is asked again, and then a new
///   producer is made: its `initTransactions` finishes or aborts what was open, and only then the cursor is read.
/// - A record that Kafka refuses stands in nobody's way: its dead-letter record goes out in its place and in its
///   transaction, or it is kept locally while no transaction is open.
///
/// No thread, no clock, no logger: the driver calls `step`, does what the `ShipStep` says and waits. There is no linger:
/// what is there goes out, and while it does, the next transaction's entries gather.
struct ExactlyOnceShipper {
    /// The record for the dead-letter topic in place of a refused one; `nil`: the route has no such topic.
    typealias DeadLetterRecord = (OutboxEntry, FailedRecord) -> OutboxRecord?

    private let outbox: any ExactlyOnceOutbox
    private let limits: ShipLimits
    private let makeProducer: () throws(ProducerFault) -> any TransactionalProducer
    private let deadLetterRecord: DeadLetterRecord

    private var phase = Phase.closed
    private var marks: DeadLetterMarks
    private var backoff: Backoff
    private var fencedBackoff: Backoff
    /// When it was fenced last. Milliseconds.
    private var lastFenced: UInt64?
    /// Entries below it are in Kafka or in the dead letters. Known to be committed.
    private(set) var cursor: UInt64 = 0
    /// Entries below it have been removed.
    private var removed: UInt64 = 0
    /// Milliseconds; no attempt to remove before it.
    private var removeNotBefore: UInt64 = 0

    private enum Phase {
        /// No producer.
        case closed
        case initialising(any TransactionalProducer)
        case readingCursor(any TransactionalProducer)
        /// Between transactions.
        case ready(any TransactionalProducer)
        case flushing(any TransactionalProducer, Batch)
        case sendingCursor(any TransactionalProducer, Batch)
        case committing(any TransactionalProducer, Batch)
        case aborting(any TransactionalProducer, since: UInt64)
    }

    /// The entries of the open transaction.
    private struct Batch {
        var sequences: [UInt64] = []
        var deadLetters = 0
        /// Milliseconds; when its records had been produced.
        var since: UInt64
        var end: UInt64 { (sequences.last ?? 0) + 1 }
    }

    init(
        outbox: any ExactlyOnceOutbox, limits: ShipLimits = ShipLimits(),
        makeProducer: @escaping () throws(ProducerFault) -> any TransactionalProducer, deadLetterRecord: @escaping DeadLetterRecord
    ) {
        self.outbox = outbox
        self.limits = limits
        self.makeProducer = makeProducer
        self.deadLetterRecord = deadLetterRecord
        self.marks = DeadLetterMarks(strikesForUnknownFailure: limits.strikesForUnknownFailure)
        self.backoff = Backoff(shortest: limits.shortestDelay, longest: limits.longestDelay)
        self.fencedBackoff = Backoff(shortest: limits.shortestFencedDelay, longest: limits.longestFencedDelay)
    }

    /// Does the next thing; a few calls of the producer at most.
    /// - Parameter now: Milliseconds on a clock that never goes back.
    mutating func step(now: UInt64) -> ShipStep {
        switch phase {
        case .closed: open(now: now)
        case .initialising(let producer): initialise(producer, now: now)
        case .readingCursor(let producer): readCursor(producer, now: now)
        case .ready(let producer): tidy(now: now) ?? fill(producer, now: now)
        case .flushing(let producer, let batch): flush(producer, batch, now: now)
        case .sendingCursor(let producer, let batch): sendCursor(producer, batch, now: now)
        case .committing(let producer, let batch): commit(producer, batch, now: now)
        case .aborting(let producer, let since): abort(producer, since: since, now: now)
        }
    }

    /// Ends the producer, after one attempt to leave no transaction open: until Kafka times it out, `read_committed`
    /// consumers would wait behind it. Nothing is lost either way.
    mutating func stop() {
        switch phase {
        case .closed: break
        case .initialising(let producer), .readingCursor(let producer), .ready(let producer): producer.close()
        case .committing(let producer, _):
            try? producer.commit()
            producer.close()
        case .flushing(let producer, _), .sendingCursor(let producer, _), .aborting(let producer, _):
            try? producer.abort()
            producer.close()
        }
        phase = .closed
    }

    // MARK: - Opening

    private mutating func open(now: UInt64) -> ShipStep {
        do { phase = .initialising(try makeProducer()) } catch {
            return .trouble(.producer(error, during: .open), retryAt: backoff.failed(now: now))
        }
        return .proceed
    }

    private mutating func initialise(_ producer: any TransactionalProducer, now: UInt64) -> ShipStep {
        do { try producer.initTransactions() } catch { return again(after: error, during: .initTransactions, of: producer, now: now) }
        phase = .readingCursor(producer)
        return .proceed
    }

    private mutating func readCursor(_ producer: any TransactionalProducer, now: UInt64) -> ShipStep {
        let committed: Cursor?
        do { committed = try producer.committedCursor() } catch {
            return again(after: error, during: .committedCursor, of: producer, now: now)
        }
        // Of another store's sequences it says nothing.
        if let committed, committed.storeID == outbox.storeID { advance(to: committed.sequence) }
        phase = .ready(producer)
        return .proceed
    }

    // MARK: - Between transactions

    /// What has to be written to the outbox; `nil`: nothing that keeps from shipping. Here the cursor is Kafka's and no
    /// transaction is open, so a record that is still ahead of it is not in the log.
    private mutating func tidy(now: UInt64) -> ShipStep? {
        if let failed = marks.nextLocal {
            do { try outbox.moveToDeadLetters(failed.sequence, because: failed) } catch { return trouble(error, now: now) }
            marks.moved(failed.sequence)
            return .keptLocally(failed)
        }
        if removed < cursor, now >= removeNotBefore {
            do { try outbox.remove(below: cursor) } catch {
                // No reason to stand still: a full store empties itself no other way than by what is shipped.
                removeNotBefore = now + limits.longestDelay
                return .trouble(.outbox(error), retryAt: now)
            }
            removed = cursor
        }
        return nil
    }

    private mutating func fill(_ producer: any TransactionalProducer, now: UInt64) -> ShipStep {
        let maxEntries = min(limits.maxEntries, marks.isolation ?? .max)
        let entries: [OutboxEntry]
        do { entries = try outbox.read(from: cursor, maxEntries: maxEntries, maxBytes: limits.maxBytes) } catch {
            return trouble(error, now: now)
        }
        guard !entries.isEmpty else {
            producer.poll()
            return .idle
        }
        var records: [(sequence: UInt64, record: OutboxRecord)] = []
        records.reserveCapacity(entries.count)
        for entry in entries {
            guard case .deadLetterTopic(let failed) = marks[entry.sequence] else {
                records.append((entry.sequence, entry.record))
                continue
            }
            guard let record = deadLetterRecord(entry, failed) else {
                marks.hasNoDeadLetterRecord(failed)
                return .proceed
            }
            records.append((entry.sequence, record))
        }
        do { try producer.begin() } catch { return again(after: error, during: .begin, of: producer, now: now) }
        var batch = Batch(since: now)
        for (sequence, record) in records {
            do { try producer.produce(record, sequence: sequence) } catch {
                // No room: the rest goes with the next transaction.
                if case .retriable = error, !batch.sequences.isEmpty { break }
                return giveUp(producer, after: error, during: .produce, now: now)
            }
            batch.sequences.append(sequence)
        }
        batch.deadLetters = batch.sequences.count { if case .deadLetterTopic = marks[$0] { true } else { false } }
        phase = .flushing(producer, batch)
        return .proceed
    }

    // MARK: - In a transaction

    private mutating func flush(_ producer: any TransactionalProducer, _ batch: Batch, now: UInt64) -> ShipStep {
        let failures: [FailedRecord]
        do { failures = try producer.flush() } catch {
            // Records are still on their way; the call has waited for them, so there is no need to wait on.
            if case .retriable = error, now < batch.since + limits.patience {
                return .trouble(.producer(error, during: .flush), retryAt: now)
            }
            return giveUp(producer, after: error, during: .flush, now: now)
        }
        guard failures.isEmpty else {
            phase = .aborting(producer, since: now)
            let certain = marks.failed(failures, of: batch.sequences)
            if !certain.isEmpty { return .refused(certain) }
            // Alone and not understood: time may help. In company: fewer next time.
            guard batch.sequences.count == 1, let failure = failures.first else { return .proceed }
            return .trouble(.producer(.abortable(failure.text), during: .flush), retryAt: backoff.failed(now: now))
        }
        phase = .sendingCursor(producer, batch)
        return .proceed
    }

    private mutating func sendCursor(_ producer: any TransactionalProducer, _ batch: Batch, now: UInt64) -> ShipStep {
        do { try producer.send(Cursor(sequence: batch.end, storeID: outbox.storeID)) } catch {
            guard case .retriable = error, now < batch.since + limits.patience else {
                return giveUp(producer, after: error, during: .sendCursor, now: now)
            }
            return .trouble(.producer(error, during: .sendCursor), retryAt: backoff.failed(now: now))
        }
        phase = .committing(producer, batch)
        return .proceed
    }

    private mutating func commit(_ producer: any TransactionalProducer, _ batch: Batch, now: UInt64) -> ShipStep {
        do { try producer.commit() } catch {
            if case .retriable = error, now < batch.since + 2 * limits.patience {
                return .trouble(.producer(error, during: .commit), retryAt: backoff.failed(now: now))
            }
            // Abortable too: the request may have been sent and carried out before.
            return renew(producer, after: error, during: .commit, now: now)
        }
        advance(to: batch.end)
        backoff.succeeded()
        phase = .ready(producer)
        return .shipped(records: batch.sequences.count, deadLetters: batch.deadLetters)
    }

    private mutating func abort(_ producer: any TransactionalProducer, since: UInt64, now: UInt64) -> ShipStep {
        do { try producer.abort() } catch {
            guard case .retriable = error, now < since + limits.patience else {
                return renew(producer, after: error, during: .abort, now: now)
            }
            return .trouble(.producer(error, during: .abort), retryAt: backoff.failed(now: now))
        }
        phase = .ready(producer)
        return .proceed
    }

    // MARK: - What follows a fault

    /// For calls that change nothing in Kafka's log: again, or with a new producer.
    private mutating func again(
        after fault: ProducerFault, during call: ProducerCall, of producer: any TransactionalProducer, now: UInt64
    ) -> ShipStep {
        guard case .retriable = fault else { return renew(producer, after: fault, during: call, now: now) }
        return .trouble(.producer(fault, during: call), retryAt: backoff.failed(now: now))
    }

    /// Before `commit`: the transaction is aborted and tried anew.
    private mutating func giveUp(
        _ producer: any TransactionalProducer, after fault: ProducerFault, during call: ProducerCall, now: UInt64
    ) -> ShipStep {
        switch fault {
        case .fenced, .fatal: return renew(producer, after: fault, during: call, now: now)
        case .retriable, .abortable:
            phase = .aborting(producer, since: now)
            return .trouble(.producer(fault, during: call), retryAt: backoff.failed(now: now))
        }
    }

    /// Throws the producer away. The next one finishes or aborts what this one left.
    private mutating func renew(
        _ producer: any TransactionalProducer, after fault: ProducerFault, during call: ProducerCall, now: UInt64
    ) -> ShipStep {
        producer.close()
        phase = .closed
        guard case .fenced(let text) = fault else {
            return .trouble(.producer(fault, during: call), retryAt: backoff.failed(now: now))
        }
        if let last = lastFenced, now > last + 2 * limits.longestFencedDelay { fencedBackoff.succeeded() }
        lastFenced = now
        let retryAt = fencedBackoff.failed(now: now)
        return .trouble(.fenced(text, during: call, times: fencedBackoff.failures), retryAt: retryAt)
    }

    private mutating func trouble(_ fault: OutboxFault, now: UInt64) -> ShipStep {
        .trouble(.outbox(fault), retryAt: backoff.failed(now: now))
    }

    /// Never back: what one has seen committed stays so, even if somebody deletes the group's offset in Kafka.
    private mutating func advance(to sequence: UInt64) {
        guard sequence > cursor else { return }
        cursor = sequence
        marks.passed(cursor)
    }
}
