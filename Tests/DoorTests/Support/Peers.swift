import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority

/// The other side of the door: openssl and Mosquitto's clients, each with a deadline.
extension Door {
    struct Conversation: Sendable {
        let text: String
        /// CONNACK with Success has come back.
        let isConnected: Bool
        var isResumed: Bool { text.contains("Reused, ") }

        /// What follows `label` in its line.
        func value(_ label: String) -> String? {
            text.split(separator: "\n").first { $0.contains(label) }
                .map { $0.split(separator: label, maxSplits: 1, omittingEmptySubsequences: false).last.map(String.init) ?? "" }?
                .trimmingCharacters(in: .whitespaces)
        }
    }

    /// `openssl s_client` that says CONNECT (MQTT 3.1.1, by hand) and hears what is answered.
    ///
    /// - Parameter lines: What is sent after CONNACK, as s_client's own commands (`R`, `K`), until it has said `end`.
    func openssl(
        _ listener: String, _ arguments: [String], clientID: String = "by-hand", then line: String? = nil, until end: String? = nil,
        connecting: Bool = true
    ) async throws -> Conversation {
        let tool = try Tool(
            Tool.path(of: "openssl", package: "openssl"), ["s_client", "-connect", "127.0.0.1:\(port(listener))"] + arguments,
            hasInput: true)
        defer { tool.kill() }
        if connecting { tool.send(Self.connect(clientID)) }
        let accepted = "\u{20}\u{02}\u{00}\u{00}"
        let isConnected = try await tool.says(accepted, within: .seconds(connecting ? 15 : 1))
        if let line, isConnected {
            tool.send(Array((line + "\n").utf8))
            if let end { _ = try await tool.says(end) }
        }
        tool.endInput()
        let output = try await tool.end()
        return Conversation(text: output.everything, isConnected: isConnected)
    }

    /// CONNECT of MQTT 3.1.1: clean session, keep alive 60 s.
    static func connect(_ clientID: String) -> [UInt8] {
        let body = [0, 4] + Array("MQTT".utf8) + [4, 2, 0, 60, 0, UInt8(clientID.utf8.count)] + Array(clientID.utf8)
        return [0x10, UInt8(body.count)] + body
    }

    func mosquitto(_ name: String, _ listener: String, _ arguments: [String]) throws -> Tool {
        try Tool(
            Tool.path(of: name, package: "mosquitto-clients"), ["-h", "127.0.0.1", "-p", "\(port(listener))"] + arguments)
    }

    /// mosquitto_pub to its end.
    /// - Returns: Whether the broker took the message, at QoS 1.
    @discardableResult
    func publish(_ listener: String, _ arguments: [String], topic: String = "t", message: String = "m") async throws -> Tool.Output {
        try await mosquitto("mosquitto_pub", listener, ["-q", "1", "-t", topic, "-m", message] + arguments).end()
    }

    /// mosquitto_sub that has its subscription.
    func subscriber(_ listener: String, _ arguments: [String], topic: String = "#", count: Int? = nil) async throws -> Tool {
        let before = try await figure("headwater_subscriptions")
        let tool = try mosquitto(
            "mosquitto_sub", listener, ["-q", "1", "-t", topic, "-F", "%t %p"] + (count.map { ["-C", "\($0)"] } ?? []) + arguments)
        let deadline = ContinuousClock.now + .seconds(15)
        while try await figure("headwater_subscriptions") <= before {
            guard tool.isRunning, ContinuousClock.now < deadline else { throw DoorFault("no subscription: \(tool.output)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        return tool
    }
}

extension TestFiles {
    /// Options of Mosquitto's clients for TLS with the site's certificate.
    func trusting(_ pair: PairFiles? = nil) -> [String] { ["--cafile", root] + (pair?.forMosquitto ?? []) }
}

extension Door {
    /// A scripted client that has sent nothing.
    func client(_ listener: String, version: ProtocolVersion = .v5) async throws -> ScriptedClient {
        try await ScriptedClient.open(.tcp(host: "127.0.0.1", port: port(listener)), version: version)
    }

    /// What CONNACK says to a user with this password.
    func login(_ listener: String, _ username: String?, _ password: String?, clientID: String? = nil) async throws -> ReasonCode {
        let client = try await client(listener)
        let answer = try await client.connect(clientID ?? "login-\(Int.random(in: 0...Int.max))") { connect in
            connect.username = username
            connect.password = password.map { Array($0.utf8) }
        }
        await client.close()
        return answer.reason
    }

    /// A client that is logged in and stays.
    func member(
        _ listener: String, _ username: String?, _ password: String?, clientID: String? = nil, cleanStart: Bool = true,
        adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ScriptedClient {
        let client = try await client(listener)
        let answer = try await client.connect(clientID ?? "member-\(username ?? "nobody")", cleanStart: cleanStart) { connect in
            connect.username = username
            connect.password = password.map { Array($0.utf8) }
            adjust(&connect)
        }
        guard answer.reason == .success else { throw DoorFault("\(username ?? "nobody") is refused: \(answer.reason)") }
        return client
    }
}
