/// The retained message of each topic (MQTT 5.0 section 3.3.1.3), and those that a new subscription is to receive.
///
/// Owned by one loop. Built for a million topics: see `RetainedIndex` for what one costs. Memory grows to the highest
/// number of topics and is used again, not given back.
@usableFromInline
package struct RetainedTree<Value> {
    @usableFromInline var index = RetainedIndex()
    /// The value of each slot; `nil` in a free one.
    @usableFromInline var values: [Value?] = []
    /// Slots found by the running `collect` or `scan`.
    @usableFromInline var found: [UInt32] = []

    /// The root that every tree has.
    package static var firstRoot: UInt32 { RetainedIndex.firstRoot }

    @inlinable
    package init() {}

    /// Number of topics.
    @inlinable package var count: Int { index.count }
    /// Number of nodes, roots included.
    @inlinable package var nodeCount: Int { index.nodeCount }

    /// One more tree in the same tables, for good: topics beneath one root are not there for another.
    package mutating func makeRoot() -> UInt32 { index.makeRoot() }

    @inlinable
    package func get(_ topic: UnsafeRawBufferPointer, root: UInt32) -> Value? {
        guard let slot = index.slot(of: topic, root: root) else { return nil }
        return values[slot]
    }

    /// Sets the value of a checked topic name.
    ///
    /// - Returns: The value that it replaces.
    @inlinable
    @discardableResult
    package mutating func set(_ topic: UnsafeRawBufferPointer, root: UInt32, _ value: Value) -> Value? {
        let slot = index.insert(topic, root: root).slot
        if slot == values.count {
            values.append(value)
            return nil
        }
        let old = values[slot]
        values[slot] = value
        return old
    }

    /// Removes a topic.
    ///
    /// - Returns: The value that it had.
    @inlinable
    @discardableResult
    package mutating func remove(_ topic: UnsafeRawBufferPointer, root: UInt32) -> Value? {
        guard let slot = index.remove(topic, root: root) else { return nil }
        let old = values[slot]
        values[slot] = nil
        return old
    }

    /// Appends the values whose topics match a checked filter (without `$share/NAME/`), in no particular order.
    ///
    /// - Returns: `false` if more than `limit` match, or if finding them takes more than `8 * limit + 1000` steps;
    ///   then nothing has been appended, and `scan` is the way.
    @inlinable
    package mutating func collect(
        _ pattern: UnsafeRawBufferPointer, root: UInt32, limit: Int, into result: inout [Value]
    ) -> Bool {
        found.removeAll(keepingCapacity: true)
        let isComplete = index.collect(pattern, root: root, limit: limit, into: &found)
        appendFound(to: &result)
        return isComplete
    }

    /// Appends the values whose topics match a checked filter among the next `maximum` slots: one page of a replay that
    /// may go on for minutes, in constant memory, while topics are set and removed.
    ///
    /// A topic that is there during the whole scan is found exactly once, with the value that it has then. One that
    /// comes, or goes and comes again, in the meantime may be found or not, and twice if both of its slots are.
    ///
    /// - Parameter cursor: 0 to begin with, then what the last call returned.
    /// - Returns: The next cursor, `nil` at the end.
    @inlinable
    package mutating func scan(
        _ pattern: UnsafeRawBufferPointer, root: UInt32, from cursor: Int, examine maximum: Int, into result: inout [Value]
    ) -> Int? {
        found.removeAll(keepingCapacity: true)
        let next = index.scan(pattern, root: root, from: cursor, examine: maximum, into: &found)
        appendFound(to: &result)
        return next
    }

    /// Appends the values of all topics, beneath every root, among the next `maximum` slots.
    ///
    /// - Returns: As `scan`.
    @inlinable
    package mutating func scanAll(from cursor: Int, examine maximum: Int, into result: inout [Value]) -> Int? {
        found.removeAll(keepingCapacity: true)
        let next = index.scanAll(from: cursor, examine: maximum, into: &found)
        appendFound(to: &result)
        return next
    }

    @inlinable
    mutating func appendFound(to result: inout [Value]) {
        for slot in found {
            if let value = values[Int(slot)] { result.append(value) }
        }
    }
}
