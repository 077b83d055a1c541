import MQTTModel
import MQTTWire

/// Why `pub` or `sub` could not do what it was asked for.
enum ClientFault: Error, CustomStringConvertible {
    /// `exitCode`: the code as CONNACK had it, a return code below MQTT 5.
    case refused(ReasonCode, String?, exitCode: UInt8)
    /// The broker sent DISCONNECT.
    case disconnected(ReasonCode, String?)
    case connectionLost
    case noConnAck
    case unexpected(PacketType)
    case silent
    case packetTooLarge
    case publishRefused(ReasonCode, String?)
    case subscribeRefused([String])
    case notOffered(String)
    case input(String)

    var description: String {
        func text(_ code: ReasonCode, _ reason: String?) -> String { "\(code)\(reason.map { " (\($0))" } ?? "")" }
        return switch self {
        case .refused(let code, let reason, _): "the broker refuses the connection: \(text(code, reason))"
        case .disconnected(let code, let reason): "the broker has ended the connection: \(text(code, reason))"
        case .connectionLost: "the connection is lost"
        case .noConnAck: "the broker has not answered CONNECT; is there an MQTT broker at this address?"
        case .unexpected(let type): "the broker sent \(type), which it may not send here"
        case .silent: "the broker has answered nothing for longer than the keep alive"
        case .packetTooLarge: "the message is larger than the broker or MQTT allows"
        case .publishRefused(let code, let reason): "the broker refuses the message: \(text(code, reason))"
        case .subscribeRefused(let filters): "the broker refuses to subscribe to \(filters.joined(separator: ", "))"
        case .notOffered(let feature): "the broker does not offer \(feature)"
        case .input(let reason): reason
        }
    }

    /// The CONNACK code for refusals, as mosquitto_pub and mosquitto_sub do; 1 for all else.
    var exitCode: Int32 {
        if case .refused(_, _, let exitCode) = self { Int32(exitCode) } else { 1 }
    }
}
