import Dispatch
import Logging
import MQTTModel
import PluginAPI

/// Ships one queue of an exactly-once route: drives the `ExactlyOnceShipper`, and says what comes of it. Owned by its thread.
final class TransactionalShipping {
    private let outbox: OutboxRoute
    private let shard: OutboxShard
    private let queue: TransactionalQueue
    private let reporter: ShipReporter
    private let flushMilliseconds: UInt64
    private var shipper: ExactlyOnceShipper
    /// Rung when there is something new to ship.
    private let bell = DispatchSemaphore(value: 0)

    init(_ outbox: OutboxRoute, shard: OutboxShard, bootstrapServers: String, flushSeconds: Int, reporter: ShipReporter) {
        self.outbox = outbox
        self.shard = shard
        self.reporter = reporter
        flushMilliseconds = UInt64(max(flushSeconds, 0)) * 1000
        let queue = TransactionalQueue(outbox, shard: shard)
        self.queue = queue
        let name = outbox.transactionalID(of: shard)
        let identity = TransactionalIdentity(
            transactionalID: name, consumerGroup: name, cursorTopic: outbox.configuration.cursorTopic ?? outbox.configuration.topic.text)
        var limits = ShipLimits()
        limits.maxEntries = 10_000
        let cluster = outbox.cluster
        shipper = ExactlyOnceShipper(
            outbox: queue, limits: limits,
            makeProducer: { () throws(ProducerFault) in
                try TransactionalKafkaProducer(identity: identity, cluster: cluster, bootstrapServers: bootstrapServers) { event in
                    // Of a fatal error the producer's next call tells, too.
                    _ = reporter.received(event)
                }
            },
            deadLetterRecord: { entry, failed in
                // The original bytes, not what a schema has made of them.
                outbox.deadLetter(of: queue.original(entry.sequence)?.record ?? entry.record, reason: failed.failure.rawValue, text: failed.text)
            })
    }

    func run() {
        shard.wakes { [bell] in bell.signal() }
        var stopDeadline: UInt64?
        while true {
            let now = MessageClock.now.monotonicMilliseconds
            queue.shed()
            let step = shipper.step(now: now)
            let isIdle = take(step, now: now)
            outbox.releaseIfRoom()
            reporter.ticked(waiting: outbox.control.isPaused ? 0 : outbox.balance.outboxCount, now: now)
            if shard.isStopping {
                if stopDeadline == nil { stopDeadline = now + flushMilliseconds }
                // It is stored: where Kafka does not take it, there is nothing to wait for.
                if isIdle || now >= stopDeadline ?? 0 { break }
            }
            guard isIdle else { continue }
            if case .trouble(_, let retryAt) = step {
                _ = bell.wait(timeout: .now() + .milliseconds(Int(min(retryAt > now ? retryAt - now : 0, 200))))
            } else if shard.fallsAsleep(whenNothingFrom: queue.nextSequence) || outbox.control.isPaused {
                _ = bell.wait(timeout: .now() + .milliseconds(100))
                shard.wokeUp()
            }
        }
        shipper.stop()
        shard.ended()
    }

    /// - Returns: Whether there is something to wait for.
    private func take(_ step: ShipStep, now: UInt64) -> Bool {
        switch step {
        case .proceed: return false
        case .idle: return true
        case .shipped(_, let deadLetters):
            queue.shipped(below: shipper.cursor)
            reporter.acknowledged(now: now)
            if deadLetters > 0 { reporter.log(.warning, "\(deadLetters) records went to the dead letters") }
            return false
        case .refused(let failures):
            queue.refused(failures)
            for failure in failures { reporter.log(.warning, "Kafka refuses a record: \(failure.text)", reason: failure.failure.rawValue) }
            return false
        case .keptLocally(let failure):
            reporter.log(.warning, "record is kept among the local dead letters: \(failure.text)", reason: failure.failure.rawValue)
            return false
        case .trouble(let trouble, let retryAt):
            told(trouble)
            return retryAt > now
        }
    }

    private func told(_ trouble: ShipTrouble) {
        switch trouble {
        case .producer(.retriable(let text), let call):
            // Reading the cursor fails for long only where its topic is missing or forbidden: an operator has to do something.
            reporter.note("\(call.rawValue): \(text)")
            reporter.log(call == .committedCursor ? .warning : .debug, "Kafka, \(call.rawValue): \(text); tried again")
        case .producer(let fault, let call):
            outbox.balance.retried(1)
            reporter.log(.warning, "Kafka, \(call.rawValue): \(fault); the transaction is tried anew")
        case .fenced(let text, let call, let times):
            reporter.log(
                .error,
                "fenced at \(call.rawValue) (\(times) times): \(text). Another broker uses the transactional id "
                    + "\(outbox.transactionalID(of: shard)): give each its own store")
        case .outbox(let fault): reporter.log(.warning, "the outbox waits: \(fault)")
        }
    }
}
