/// Walks over a property block without taking memory: finds identifiers and values, judges neither.
///
/// `PropertyRules` judges. The two are apart because properties that have been judged once are walked again when a
/// PUBLISH is handed on.
struct PropertyScanner {
    let block: UnsafeRawBufferPointer
    /// Offset of the first byte after the current property.
    private(set) var end = 0
    /// Offset of the identifier of the current property.
    private(set) var start = 0
    private(set) var id = PropertyID.userProperty
    /// The value, if it is an integer.
    private(set) var number: UInt32 = 0
    /// The value, if it is text or binary data; the name, if it is a user property.
    private(set) var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The value of a user property.
    private(set) var pairValue = UnsafeRawBufferPointer(start: nil, count: 0)

    init(_ block: UnsafeRawBufferPointer) { self.block = block }

    /// The whole current property, identifier included.
    var whole: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: block[start..<end]) }

    /// Goes to the next property. `false` at the end of the block.
    mutating func next() throws(DecodeError) -> Bool {
        if end == block.count { return false }
        start = end
        var reader = PacketReader(block, at: end)
        // An identifier is a Variable Byte Integer, of which all defined ones take one byte.
        let rawID = try reader.variableByteInteger()
        guard let known = UInt8(exactly: rawID).flatMap(PropertyID.init(rawValue:)) else {
            throw .unknownProperty(UInt32(rawID))
        }
        id = known
        switch known.form {
        case .byte: number = UInt32(try reader.byte())
        case .twoByteInteger: number = UInt32(try reader.uint16())
        case .fourByteInteger: number = try reader.uint32()
        case .variableByteInteger: number = UInt32(try reader.variableByteInteger())
        case .text, .binary: bytes = try reader.binary()
        case .textPair:
            bytes = try reader.binary()
            pairValue = try reader.binary()
        }
        end = reader.index
        return true
    }
}
