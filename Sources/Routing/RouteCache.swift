/// What a loop worked out for a topic, kept until the answer could change: most messages repeat a topic, and a walk of
/// the tree, the access rules and the interest map for each would find the same again.
///
/// Owned by one loop. The caller's generation number covers everything that the entries depend on; another number is
/// a miss. Entries stay in place and are overwritten, so that arrays inside them keep their memory.
@usableFromInline
package struct RouteCache<Entry> {
    @usableFromInline var index: RouteIndex
    /// Entry 0 is for topics that are too long to be cached; entry n + 1 belongs to line n.
    @usableFromInline var entries: [Entry]
    @usableFromInline let empty: Entry

    /// - Parameters:
    ///   - maximumLines: Upper bound of topics, rounded up to a power of two. The cache starts with at most 256 and
    ///     doubles while it has to overwrite valid ones.
    ///   - empty: What an entry holds that nobody has written yet.
    @inlinable
    package init(maximumLines: Int = 4096, empty: Entry) {
        index = RouteIndex(maximumLines: maximumLines)
        entries = [empty]
        self.empty = empty
    }

    /// The entry of a tenant's topic, if it was inserted in this generation and not overwritten since.
    @inlinable
    package func lookup(_ topic: UnsafeRawBufferPointer, tenant: UInt32, generation: UInt64) -> Int? {
        let line = index.line(of: topic, tenant: tenant, generation: generation)
        return line < 0 ? nil : line &+ 1
    }

    /// The entry of a tenant's topic, if it was inserted or found at `oldest` or later: from now on it is one of `generation`.
    /// For the caller who knows that nothing of this tenant has changed since.
    @inlinable
    package mutating func renew(_ topic: UnsafeRawBufferPointer, tenant: UInt32, since oldest: UInt64, generation: UInt64) -> Int? {
        let line = index.renew(topic, tenant: tenant, since: oldest, generation: generation)
        return line < 0 ? nil : line &+ 1
    }

    /// Makes an entry for a tenant's topic: the caller overwrites what it holds, which may be of another topic. All other
    /// entry numbers may be void after this. A topic longer than `RouteIndex.maximumTopicLength` (512 bytes) gets entry
    /// 0, which no lookup finds.
    @inlinable
    package mutating func insert(_ topic: UnsafeRawBufferPointer, tenant: UInt32, generation: UInt64) -> Int {
        guard !topic.isEmpty, topic.count <= RouteIndex.maximumTopicLength else { return 0 }
        let line = index.insert(topic, tenant: tenant, generation: generation)
        if entries.count <= index.lineCount {
            entries.append(contentsOf: repeatElement(empty, count: index.lineCount + 1 - entries.count))
        }
        return line + 1
    }

    /// The entry that `lookup` or `insert` named.
    @inlinable
    package subscript(entry: Int) -> Entry {
        _read { yield entries[entry] }
        _modify { yield &entries[entry] }
    }

    /// Lends an entry for reading or rewriting in place.
    @inlinable
    package mutating func withEntry<Result>(at entry: Int, _ body: (inout Entry) throws -> Result) rethrows -> Result {
        try body(&entries[entry])
    }
}
