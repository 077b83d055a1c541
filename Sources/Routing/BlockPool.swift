/// Runs of elements that grow and shrink, all in one array: the subscribers of every node, the keys of every cache
/// line. An array for each would be an allocation and a reference count for each.
///
/// A block has a power of two of elements and is known by its start and that power. Freed blocks wait for the next
/// of their size; the pool itself never shrinks.
struct BlockPool<Element> {
    private(set) var elements: [Element] = []
    private var freeBlocks: [[UInt32]] = []
    private let filler: Element

    /// - Parameter filler: Stands in elements that nobody has written yet.
    init(filler: Element) { self.filler = filler }

    /// A block of `1 << power` elements with any content. At most 2^32 elements in all.
    mutating func allocate(power: UInt8) -> UInt32 {
        if Int(power) < freeBlocks.count, let start = freeBlocks[Int(power)].popLast() { return start }
        let start = UInt32(elements.count)
        elements.append(contentsOf: repeatElement(filler, count: 1 << Int(power)))
        return start
    }

    mutating func free(_ start: UInt32, power: UInt8) {
        while freeBlocks.count <= Int(power) { freeBlocks.append([]) }
        freeBlocks[Int(power)].append(start)
    }

    /// Moves the first `count` elements of a block to a block of another size.
    mutating func move(_ start: UInt32, power: UInt8, count: Int, toPower newPower: UInt8) -> UInt32 {
        let target = allocate(power: newPower)
        for offset in 0..<count { elements[Int(target) + offset] = elements[Int(start) + offset] }
        free(start, power: power)
        return target
    }

    subscript(index: Int) -> Element {
        get { elements[index] }
        set { elements[index] = newValue }
    }

    /// Overwrites the start of a block.
    mutating func write(_ source: UnsafeRawBufferPointer, at start: UInt32) where Element == UInt8 {
        elements.withUnsafeMutableBytes { elements in
            UnsafeMutableRawBufferPointer(rebasing: elements[Int(start)..<(Int(start) + source.count)]).copyMemory(from: source)
        }
    }
}
