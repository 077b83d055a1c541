import LMDB
import NIOCore
import PluginAPI
import Storage
import Synchronization

/// The broker's store as plugins see it.
///
/// Sendable: constants, and the store's own Sendable parts.
final class BrokerPluginStore: PluginStore {
    private let service: StoreService
    private let nodes: [LoopNode]

    init(_ service: StoreService, nodes: [LoopNode]) {
        self.service = service
        self.nodes = nodes
    }

    private var outbox: Outbox { service.store.outbox }

    var identity: String { outbox.identity }
    var durability: String { service.configuration.durability.rawValue }

    func queue(named name: String) -> any PluginAPI.OutboxQueue {
        let queue = outbox.queue(named: name) { operation in
            let batch = StoreBatch(number: 0)
            batch.append(operation)
            service.store.writer.submit(batch) { _ in }
        }
        return PluginQueue(queue, outbox: outbox)
    }

    var queues: [any PluginAPI.OutboxQueue] {
        outbox.queues.map { PluginQueue($0, outbox: outbox) }.sorted { $0.name < $1.name }
    }

    func value(_ key: String) throws(PluginStoreError) -> [UInt8]? {
        do throws(LMDBError) {
            return try outbox.value(key)
        } catch {
            throw PluginStoreError(error.description)
        }
    }

    func commit(_ changes: [StoreChange], completion: @escaping @Sendable () -> Void) {
        let batch = StoreBatch(number: 0)
        for change in changes { batch.append(change.operation) }
        service.store.writer.submit(batch) { _ in completion() }
    }

    func release(_ queue: any PluginAPI.OutboxQueue) {
        let number = queue.number
        for node in nodes { node.eventLoop.execute { node.bound.value?.releaseQueueWaiters(number) } }
    }
}

extension StoreChange {
    var operation: StoreOperation {
        switch self {
        case .append(let queue, let head, let value):
            .append(OutboxAppend(head: head, tail: [], value: value, deduplication: nil, ticket: nil), queue: queue, message: nil)
        case .removeEntries(let queue, let sequence): .removeEntries(queue: queue, upTo: sequence)
        case .removeEntry(let queue, let sequence): .removeEntry(queue: queue, sequence)
        case .forget(let source, let number): .forget(UInt16(truncatingIfNeeded: number), session: PublishOrigin.number(ofSource: source))
        case .set(let key, let value): .putValue(key, value)
        }
    }
}

/// A queue of the store as plugins see it.
private final class PluginQueue: PluginAPI.OutboxQueue {
    private let queue: Storage.OutboxQueue
    private let outbox: Outbox

    init(_ queue: Storage.OutboxQueue, outbox: Outbox) {
        self.queue = queue
        self.outbox = outbox
    }

    var name: String { queue.name }
    var number: UInt64 { queue.number }

    var figures: OutboxFigures {
        let figures = queue.figures
        return OutboxFigures(
            entries: figures.entries, bytes: figures.bytes, nextSequence: figures.nextSequence, duplicates: figures.duplicates)
    }

    func onAppend(_ wake: @escaping @Sendable () -> Void) { queue.onAppend(wake) }

    func read(
        from sequence: UInt64, maxEntries: Int, maxBytes: Int,
        _ body: (_ sequence: UInt64, _ head: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) throws(PluginStoreError) -> [UInt64] {
        do throws(LMDBError) {
            return try outbox.read(queue.number, from: sequence, maxEntries: maxEntries, maxBytes: maxBytes, body)
        } catch {
            throw PluginStoreError(error.description)
        }
    }
}
