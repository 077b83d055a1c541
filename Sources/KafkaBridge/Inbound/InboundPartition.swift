/// A partition that a route reads or has read in this life of the process.
///
/// It outlives its assignment: what is on its way when the partition is taken away may still be so when it comes back.
struct InboundPartition {
    let topic: String
    let number: Int32
    /// Its name in the store.
    let source: String
    var window = InboundWindow()
    /// Counts the window's beginnings.
    var generation = 0
    var isAssigned = false
    /// Given to the store, which has not answered.
    var storing: Int64?
    /// The store has it.
    var stored: Int64?
    /// The group has been told.
    var committed: Int64?

    init(topic: String, number: Int32, source: String) {
        self.topic = topic
        self.number = number
        self.source = source
    }

    mutating func begin(at offset: Int64, isKnown: Bool) {
        window.begin(at: offset, isKnown: isKnown)
        generation += 1
    }

    /// How an offset stands in the store.
    static func bytes(of offset: Int64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: offset >> (56 - 8 * $0)) } }

    /// `nil`: these are no offset's bytes.
    static func offset(of bytes: [UInt8]) -> Int64? {
        guard bytes.count == 8 else { return nil }
        let offset = bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
        return offset >= 0 ? offset : nil
    }
}
