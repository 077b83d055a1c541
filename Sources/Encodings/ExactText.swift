/// Text that is compared byte by byte, as MQTT compares: to `String`, `é` and `e` with a combining accent are equal, to
/// a broker they are two client identifiers and two topics.
public struct ExactText: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let string: String

    @inlinable
    public init(_ string: String) { self.string = string }

    public init(stringLiteral string: String) { self.init(string) }

    public var description: String { string }

    @inlinable
    public static func == (left: ExactText, right: ExactText) -> Bool { left.string.utf8.elementsEqual(right.string.utf8) }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(UInt8(0xFF))
    }
}
