import MQTTModel
import MQTTSession
import NIOCore

/// Deliveries that tell who they are: the payload is `number` in decimal.
func delivery(_ number: Int, qos: QoS = .atLeastOnce, share: ShareReference? = nil) throws -> Delivery {
    Delivery(message: Message(topic: try TopicName("t"), payload: String(number).utf8, qos: qos), qos: qos, retain: false, share: share)
}

extension Delivery {
    /// The number that `delivery(_:)` was given.
    var number: Int? { Int(String(decoding: message.payload.readableBytesView, as: UTF8.self)) }
}

extension OutboundFlow.AcknowledgeResult {
    /// The number of the delivery that is over.
    var finishedNumber: Int? { if case .finished(let delivery) = self { delivery.number } else { nil } }
    var isUnknown: Bool { if case .unknown = self { true } else { false } }
    var isOutOfOrder: Bool { if case .outOfOrder = self { true } else { false } }
    var isRelease: Bool { if case .release = self { true } else { false } }
    var isReleaseAgain: Bool { if case .releaseAgain = self { true } else { false } }
}

/// Reproducible randomness: the seed stands in the failing claim.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {  // SplitMix64
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
