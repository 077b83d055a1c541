import MQTTModel

/// The changes of one loop that become durable together: part of one transaction.
///
/// Owned by the loop that fills it until it is submitted, by the writer from then on until it has reported; that is why it
/// may be Sendable without a lock.
package final class StoreBatch: @unchecked Sendable {
    package let number: UInt64
    package private(set) var operations: ContiguousArray<StoreOperation> = []
    /// Operations that are not cancelled.
    package private(set) var liveCount = 0
    /// Bytes of the messages that it keeps in memory.
    package private(set) var bytes = 0

    package init(number: UInt64) { self.number = number }

    /// - Returns: Its place, for `cancel`.
    @discardableResult
    package func append(_ operation: StoreOperation) -> Int {
        operations.append(operation)
        liveCount += 1
        bytes += operation.memoryBytes
        return operations.count - 1
    }

    /// The operation at `place` is not needed any more.
    package func cancel(_ place: Int) {
        guard operations[place].kind != .cancelled else { return }
        bytes -= operations[place].memoryBytes
        operations[place].kind = .cancelled
        operations[place].message = nil
        liveCount -= 1
    }
}

/// What the writer says of a batch that is as durable as it will be.
package struct StoreReport: Sendable {
    package let batch: UInt64
    /// What `trim` operations took away.
    package let trims: [Trim]

    package struct Trim: Sendable {
        package let session: UInt64
        package let asked: Int
        package let messages: Int
        package let bytes: Int
        /// As the operation said.
        package let estimate: Int
    }
}
