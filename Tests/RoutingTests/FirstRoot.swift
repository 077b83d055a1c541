import Routing

/// The questions of tests that are about one tree: beneath the first root, of the default tenant.
extension TopicTree {
    @discardableResult
    mutating func insert(
        _ pattern: UnsafeRawBufferPointer, subscriber: UInt32, options: SubscriptionOptions
    ) -> (subscription: UInt32, existed: Bool) {
        insert(pattern, root: Self.firstRoot, subscriber: subscriber, options: options)
    }

    @discardableResult
    mutating func remove(_ pattern: UnsafeRawBufferPointer, subscriber: UInt32) -> Bool {
        remove(pattern, root: Self.firstRoot, subscriber: subscriber)
    }

    func find(_ pattern: UnsafeRawBufferPointer, subscriber: UInt32) -> UInt32? {
        find(pattern, root: Self.firstRoot, subscriber: subscriber)
    }

    func match(_ topic: UnsafeRawBufferPointer, into result: inout MatchResult) { match(topic, root: Self.firstRoot, into: &result) }

    func matchWithoutNoLocal(_ topic: UnsafeRawBufferPointer, subscriber: UInt32, into result: inout MatchResult) -> Match? {
        matchWithoutNoLocal(topic, root: Self.firstRoot, subscriber: subscriber, into: &result)
    }
}

extension RetainedTree {
    func get(_ topic: UnsafeRawBufferPointer) -> Value? { get(topic, root: Self.firstRoot) }

    @discardableResult
    mutating func set(_ topic: UnsafeRawBufferPointer, _ value: Value) -> Value? { set(topic, root: Self.firstRoot, value) }

    @discardableResult
    mutating func remove(_ topic: UnsafeRawBufferPointer) -> Value? { remove(topic, root: Self.firstRoot) }

    mutating func collect(_ pattern: UnsafeRawBufferPointer, limit: Int, into result: inout [Value]) -> Bool {
        collect(pattern, root: Self.firstRoot, limit: limit, into: &result)
    }

    mutating func scan(
        _ pattern: UnsafeRawBufferPointer, from cursor: Int, examine maximum: Int, into result: inout [Value]
    ) -> Int? {
        scan(pattern, root: Self.firstRoot, from: cursor, examine: maximum, into: &result)
    }
}

extension RouteCache {
    func lookup(_ topic: UnsafeRawBufferPointer, generation: UInt64) -> Int? { lookup(topic, tenant: 0, generation: generation) }

    mutating func insert(_ topic: UnsafeRawBufferPointer, generation: UInt64) -> Int {
        insert(topic, tenant: 0, generation: generation)
    }
}
