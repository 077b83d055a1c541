/// Writes the fields of a record one behind the other, little-endian (docs/storage-format.md).
struct RecordWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// Length in four bytes, then the bytes.
    mutating func put(_ text: some Collection<UInt8>) {
        put(UInt32(text.count))
        bytes.append(contentsOf: text)
    }

    mutating func put(_ text: String) { put(Array(text.utf8)) }

    /// One byte that says whether it is there, then the value.
    mutating func put<Value: FixedWidthInteger>(optional value: Value?) {
        put(value != nil)
        if let value { put(value) }
    }

    mutating func put(optional text: String?) {
        put(text != nil)
        if let text { put(text) }
    }
}

/// Reads the fields of a record. Bytes from a disk may be anything: a field that is not there makes the whole record
/// unreadable, never a trap.
struct RecordReader {
    /// The bytes are no record of this form.
    struct Unreadable: Error {}

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var rest: Int { bytes.count - offset }
    var isAtEnd: Bool { offset == bytes.count }

    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(Unreadable) -> Value {
        let size = MemoryLayout<Value>.size
        guard rest >= size else { throw Unreadable() }
        defer { offset += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    mutating func flag() throws(Unreadable) -> Bool {
        switch try integer(UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw Unreadable()
        }
    }

    mutating func raw(_ count: Int) throws(Unreadable) -> UnsafeRawBufferPointer {
        guard count >= 0, rest >= count else { throw Unreadable() }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
    }

    mutating func data() throws(Unreadable) -> UnsafeRawBufferPointer { try raw(Int(integer(UInt32.self))) }

    mutating func text() throws(Unreadable) -> String { String(decoding: try data(), as: UTF8.self) }

    mutating func optional<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(Unreadable) -> Value? {
        try flag() ? try integer() : nil
    }

    mutating func optionalText() throws(Unreadable) -> String? { try flag() ? try text() : nil }
}
