import MQTTModel
import PluginAPI
import Synchronization

/// A route's dead letters that are kept in the store, for an operator to look through, send again or give up.
///
/// Sendable: every operation is a transaction of the store's; a letter that one of them is about is not another's meanwhile.
final class KeptDeadLetters: Sendable {
    struct Letter: Sendable {
        let sequence: UInt64
        let receivedUnixMilliseconds: Int64
        /// Without its value in a list.
        let record: OutboxRecord
        let valueBytes: Int

        func header(_ name: String) -> String? {
            record.headers.last { $0.name == name }.map { String(decoding: $0.value, as: UTF8.self) }
        }

        func deadLetterHeader(_ name: String) -> String? { header(DeadLetterRecord.prefix + name) }
    }

    /// Which letters are meant.
    enum Selection: Sendable, Equatable {
        case all
        case some([UInt64])
    }

    /// Why a letter stays where it is.
    struct Skipped: Sendable, Equatable {
        let sequence: UInt64
        let reason: String
    }

    struct Outcome: Sendable, Equatable {
        var done = 0
        /// Those that are named: `maxSkippedNamed` at most, of `skippedCount`.
        var skipped: [Skipped] = []
        var skippedCount = 0
        /// Why there may be more that were not even tried.
        var stopped: String?
    }

    private static let batchEntries = 200
    private static let batchBytes = 1 << 20
    /// Letters that an answer names; more are only counted.
    static let maxSkippedNamed = 1_000

    let outbox: OutboxRoute
    private let busy = Mutex<Set<UInt64>>([])
    private var queue: any OutboxQueue { outbox.deadLetters }

    init(_ outbox: OutboxRoute) { self.outbox = outbox }

    var count: Int { queue.figures.entries }

    // MARK: Looking

    /// Letters behind `sequence`, in order, without their values; fewer than `count` where they are large, none at the end.
    func letters(
        after sequence: UInt64?, count: Int
    ) throws(PluginStoreError) -> (letters: [Letter], damaged: [UInt64]) {
        try read(from: sequence.map { $0 == .max ? $0 : $0 + 1 } ?? 0, count: count, bytes: 4 << 20, withValues: false)
    }

    func letter(_ sequence: UInt64) throws(PluginStoreError) -> Letter? {
        try read(from: sequence, count: 1, bytes: .max, withValues: true).letters.first { $0.sequence == sequence }
    }

    private func read(
        from sequence: UInt64, count: Int, bytes: Int, withValues: Bool
    ) throws(PluginStoreError) -> (letters: [Letter], damaged: [UInt64]) {
        var letters: [Letter] = []
        var unreadable: [UInt64] = []
        let damaged = try queue.read(from: sequence, maxEntries: count, maxBytes: bytes) { number, head, value in
            guard let view = RecordFrameView(head) else { return unreadable.append(number) }
            let record = view.record(value: withValues ? value : UnsafeRawBufferPointer(start: nil, count: 0))
            letters.append(
                Letter(
                    sequence: number, receivedUnixMilliseconds: view.receivedUnixMilliseconds, record: record, valueBytes: value.count))
        }
        return (letters, (damaged + unreadable).sorted())
    }

    // MARK: Sending again, giving up

    /// Puts letters into the route's outbox as they were before they died, and takes them from here, in one transaction for each few of
    /// them. They count as received now: the route's `max_age` begins anew.
    ///
    /// - Parameter topic: Kafka topic in place of the original one; a letter that never had one needs it.
    func resend(_ selection: Selection, topic: String?) async throws(PluginStoreError) -> Outcome {
        try await forEachBatch(selection) { letters, outcome in
            var changes: [StoreChange] = []
            var bytes = 0
            for letter in letters {
                guard let target = topic ?? letter.deadLetterHeader("topic") else {
                    outcome.skip(letter.sequence, "it never had a Kafka topic; say which")
                    continue
                }
                guard self.outbox.configuration.allows(target) else {
                    outcome.skip(letter.sequence, "the route may not write to \(target)")
                    continue
                }
                let (append, charge) = self.append(letter, topic: target, keepsPartition: topic == nil)
                changes += [append, .removeEntry(queue: self.queue.number, letter.sequence)]
                bytes += charge
                outcome.done += 1
            }
            if !changes.isEmpty { self.outbox.balance.cameBack(entries: changes.count / 2, bytes: bytes) }
            return changes
        } stoppedBy: {
            self.outbox.balance.isBelow(1, of: self.outbox.configuration.delivery.outbox) ? nil : "the route's outbox is full"
        }
    }

    private func append(_ letter: Letter, topic: String, keepsPartition: Bool) -> (StoreChange, charge: Int) {
        let record = letter.record
        let head =
            RecordFrame.Head(
                topic: topic, partition: keepsPartition ? record.partition : nil, key: record.key,
                headers: record.headers.filter { !$0.name.hasPrefix(DeadLetterRecord.prefix) }
            ).encoded() + RecordFrame.tail(timestamp: record.timestamp, receivedUnixMilliseconds: MessageClock.now.unixMilliseconds)
        let shard = (record.key ?? Array((letter.header("mqtt.topic") ?? "").utf8)).withUnsafeBytes { outbox.shard(of: $0) }
        let charge = RecordPage.charge(head: head.count, value: record.value.count)
        return (.append(queue: shard.queue.number, head: head, value: record.value), charge)
    }

    /// Removes letters for good, also those that can't be read any more.
    func drop(_ selection: Selection) async throws(PluginStoreError) -> Outcome {
        try await forEachBatch(selection, takesDamaged: true) { letters, outcome in
            outcome.done += letters.count
            return letters.map { .removeEntry(queue: self.queue.number, $0.sequence) }
        }
    }

    /// Goes through what is selected and is there now, some at a time.
    private func forEachBatch(
        _ selection: Selection, takesDamaged: Bool = false, _ body: @Sendable ([Letter], inout Outcome) -> [StoreChange],
        stoppedBy: @Sendable () -> String? = { nil }
    ) async throws(PluginStoreError) -> Outcome {
        var outcome = Outcome()
        let end = queue.figures.nextSequence
        var wanted: [UInt64] = []
        if case .some(let sequences) = selection { wanted = Array(Set(sequences)).sorted() }
        var next: UInt64 = 0
        var position = 0
        while true {
            if Task.isCancelled { outcome.stopped = "interrupted" } else { outcome.stopped = stoppedBy() }
            if outcome.stopped != nil { return outcome }
            var page: (letters: [Letter], damaged: [UInt64])
            switch selection {
            case .all:
                guard next < end else { return outcome }
                page = try read(from: next, count: Self.batchEntries, bytes: Self.batchBytes, withValues: true)
                guard let last = max(page.letters.last?.sequence, page.damaged.last) else { return outcome }
                next = last + 1
            case .some:
                guard position < wanted.count else { return outcome }
                let sequence = wanted[position]
                position += 1
                page = try read(from: sequence, count: 1, bytes: .max, withValues: true)
                page.letters.removeAll { $0.sequence != sequence }
                page.damaged.removeAll { $0 != sequence }
                if page.letters.isEmpty, page.damaged.isEmpty { outcome.skip(sequence, "there is no such dead letter") }
            }
            await commit(page, below: end, takesDamaged, body, &outcome)
        }
    }

    private func commit(
        _ page: (letters: [Letter], damaged: [UInt64]), below end: UInt64, _ takesDamaged: Bool,
        _ body: @Sendable ([Letter], inout Outcome) -> [StoreChange], _ outcome: inout Outcome
    ) async {
        let letters = page.letters.filter { $0.sequence < end }
        let damaged = page.damaged.filter { $0 < end }
        let claimed = claim(letters.map(\.sequence) + (takesDamaged ? damaged : []))
        var changes = body(letters.filter { claimed.contains($0.sequence) }, &outcome)
        for sequence in damaged {
            if takesDamaged {
                changes.append(.removeEntry(queue: queue.number, sequence))
                outcome.done += 1
            } else {
                outcome.skip(sequence, "it is damaged; it can only be dropped")
            }
        }
        if !changes.isEmpty {
            let (store, changes) = (outbox.store, changes)
            await withCheckedContinuation { continuation in store.commit(changes) { continuation.resume() } }
        }
        busy.withLock { $0.subtract(claimed) }
    }

    /// Those that are there and nobody else is about to take.
    ///
    /// They were read before: one that another has taken since is not there any more, which only another look can tell.
    private func claim(_ sequences: [UInt64]) -> Set<UInt64> {
        let free = busy.withLock { busy in
            let free = sequences.filter { !busy.contains($0) }
            busy.formUnion(free)
            return free
        }
        var there: Set<UInt64> = []
        for sequence in free {
            let damaged = try? queue.read(from: sequence, maxEntries: 1, maxBytes: .max) { number, _, _ in there.insert(number) }
            there.formUnion(damaged ?? [])
        }
        there.formIntersection(free)
        let gone = free.filter { !there.contains($0) }
        busy.withLock { $0.subtract(gone) }
        return there
    }

    private func max(_ a: UInt64?, _ b: UInt64?) -> UInt64? {
        guard let a, let b else { return a ?? b }
        return Swift.max(a, b)
    }
}

extension KeptDeadLetters.Outcome {
    fileprivate mutating func skip(_ sequence: UInt64, _ reason: String) {
        skippedCount += 1
        if skippedCount <= KeptDeadLetters.maxSkippedNamed { skipped.append(.init(sequence: sequence, reason: reason)) }
    }
}
