/// Quality of Service of a PUBLISH or a subscription (MQTT 5.0 section 4.3).
public enum QoS: UInt8, Sendable, Comparable, CaseIterable, CustomStringConvertible {
    case atMostOnce = 0
    case atLeastOnce = 1
    case exactlyOnce = 2

    @inlinable
    public static func < (left: QoS, right: QoS) -> Bool { left.rawValue < right.rawValue }

    public var description: String { "\(rawValue)" }
}
