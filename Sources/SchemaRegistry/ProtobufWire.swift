/// Reads protobuf's wire format forwards. No length is believed beyond the bytes that are there.
struct ProtobufWire {
    enum WireType: UInt8 {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
        case startGroup = 3
        case endGroup = 4
        case fixed32 = 5
    }

    struct Fault: Error {
        let reason: String
    }

    private let bytes: UnsafeRawBufferPointer
    private(set) var at: Int
    private let end: Int

    init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, 0..<bytes.count) }

    /// - Parameter range: Within the bytes.
    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { at == end }

    mutating func varint() throws(Fault) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < end else { throw Fault(reason: "it ends within a number") }
            let byte = bytes[at]
            at += 1
            guard shift < 63 || byte <= 1 else { throw Fault(reason: "a number of more than 64 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Fault(reason: "a number of more than 64 bits")
    }

    mutating func tag() throws(Fault) -> (number: Int, type: WireType) {
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw Fault(reason: "a field number out of range") }
        guard let type = WireType(rawValue: UInt8(tag & 7)) else { throw Fault(reason: "wire type \(tag & 7), which doesn't exist") }
        return (Int(tag >> 3), type)
    }

    /// - Returns: Where the bytes of a length-delimited field are.
    mutating func range() throws(Fault) -> Range<Int> {
        let length = try varint()
        guard length <= UInt64(end - at) else { throw Fault(reason: "a length beyond the end") }
        let range = at..<(at + Int(length))
        at = range.upperBound
        return range
    }

    mutating func skip(_ count: Int) throws(Fault) {
        guard count <= end - at else { throw Fault(reason: "it ends within a field") }
        at += count
    }

    /// The value of a field that nobody knows, a group with all that is in it.
    mutating func skip(_ type: WireType, number: Int, depth: Int) throws(Fault) {
        switch type {
        case .varint: _ = try varint()
        case .fixed64: try skip(8)
        case .fixed32: try skip(4)
        case .bytes: _ = try range()
        case .endGroup: throw Fault(reason: "a group ends that didn't begin")
        case .startGroup:
            guard depth > 0 else { throw Fault(reason: "nested too deep") }
            while true {
                let (inner, type) = try tag()
                if type == .endGroup {
                    guard inner == number else { throw Fault(reason: "group \(number) ends as \(inner)") }
                    return
                }
                try skip(type, number: inner, depth: depth - 1)
            }
        }
    }

    func text(_ range: Range<Int>) -> String? { String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) }
}
