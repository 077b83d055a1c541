/// Why a WebSocket connection ends (RFC 6455 section 7.4).
package struct WebSocketCloseCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = WebSocketCloseCode(rawValue: 1000)
    package static let goingAway = WebSocketCloseCode(rawValue: 1001)
    package static let protocolError = WebSocketCloseCode(rawValue: 1002)
    /// MQTT has binary frames alone [MQTT-6.0.0-1].
    package static let unsupportedData = WebSocketCloseCode(rawValue: 1003)
    /// The close frame had none. Never in a frame.
    package static let noStatus = WebSocketCloseCode(rawValue: 1005)
    package static let invalidPayload = WebSocketCloseCode(rawValue: 1007)
    package static let policyViolation = WebSocketCloseCode(rawValue: 1008)
    package static let messageTooBig = WebSocketCloseCode(rawValue: 1009)

    /// Whether a peer may send it: codes of the protocol and of IANA's list, and those left to applications.
    var mayBeSent: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    package var description: String { "\(rawValue)" }
}
