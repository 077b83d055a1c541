import BrokerTestKit
import Foundation
import TestAuthority
import Testing

/// paho-mqtt over every transport that a listener may have. The scenarios are in Resources/websocket_peers.py.
@Suite("WebSocket with paho-mqtt")
struct WebSocketTests {
    private static let names = ["both_ways", "large", "keep_alive", "will", "takeover"]

    /// A Python that can import paho: Debian's own, where python3-paho-mqtt puts it, or the first in PATH.
    private static func python() async throws -> String {
        for path in ["/usr/bin/python3", try? Tool.path(of: "python3", package: "python3")].compactMap({ $0 })
        where FileManager.default.isExecutableFile(atPath: path) {
            if try await Tool(path, ["-c", "import paho.mqtt.client"]).end().exitCode == 0 { return path }
        }
        throw DoorFault("no python3 can import paho.mqtt: install python3-paho-mqtt, or run scripts/setup")
    }

    private func run(
        _ scenario: String, _ version: String, _ listeners: [Door.Listener], _ files: TestFiles, _ endpoints: [(String, String)],
        then check: (Door) async throws -> Void = { _ in }
    ) async throws {
        let script = try #require(Bundle.module.path(forResource: "websocket_peers", ofType: "py", inDirectory: "Resources"))
        let python = try await Self.python()
        try await Door.with(listeners, "event_loops: 3", arguments: ["--loops", "3"]) { door in
            let arguments = [script, scenario, version, files.root] + endpoints.map { "\($0.0):\(door.port($0.1))" }
            let output = try await Tool(python, arguments).end(within: .seconds(120))
            #expect(output.exitCode == 0 && output.lines == ["done"], "\(output.everything)")
            let figures = try await door.process.metrics()
            #expect(unaccountedDeliveries(figures) == 0)
            #expect(figures["headwater_websocket_failures_total"] == 0)
            try await check(door)
        }
    }

    @Test("over WS and WSS", arguments: names, ["3.1.1", "5"])
    func webSocket(scenario: String, version: String) async throws {
        let files = TestFiles()
        let options = "protocol: websocket\nallow_anonymous: true\nwebsocket:\n  path: /mqtt\n"
        try await run(
            scenario, version, [.init("ws", options), .init("wss", options + files.tls())], files, [("ws", "ws"), ("wss", "wss")])
    }

    @Test(
        "MQTT and WebSocket on one port, with TLS by ALPN and without it by the first byte",
        arguments: names)
    func any(scenario: String) async throws {
        let files = TestFiles()
        let options = "protocol: any\nallow_anonymous: true\n"
        try await run(
            scenario, "5", [.init("plain", options), .init("secure", options + files.tls())], files,
            [("tcp", "plain"), ("ws", "plain"), ("tls+alpn", "secure"), ("wss+alpn", "secure"), ("tls", "secure"), ("wss", "secure")]
        ) { door in
            guard scenario == "takeover" else { return }
            // Twelve devices, six rounds: every one of them a takeover, most from another loop.
            let takeovers = try await door.figure("headwater_takeovers_total")
            #expect(takeovers >= 72)
        }
    }

    @Test("a client whose ALPN says MQTT is not taken for a browser, and the other way round")
    func alpnDecides() async throws {
        let files = TestFiles()
        try await Door.with([.init("any", "protocol: any\nallow_anonymous: true\n" + files.tls())]) { door in
            for (arguments, isMQTT) in [
                (["-alpn", "mqtt"], true), (["-alpn", "x-amzn-mqtt-ca"], true), ([], true), (["-alpn", "http/1.1"], false),
            ] {
                let conversation = try await door.openssl("any", arguments)
                #expect(conversation.isConnected == isMQTT, "\(arguments)")
            }
            let failures = try await door.figure("headwater_websocket_failures_total")
            #expect(failures == 1)
        }
    }
}

/// Deliveries that are in no known place: 0, or the broker has lost a message or counted one twice.
func unaccountedDeliveries(_ figures: [String: Double]) -> Int {
    let dropped = figures.filter { $0.key.hasPrefix("headwater_dropped_total{") }.values.reduce(0, +)
    func figure(_ name: String) -> Double { figures[name] ?? .nan }
    let balance =
        figure("headwater_deliveries_due_total") - figure("headwater_delivered_total") - figure("headwater_queued_messages")
        - figure("headwater_expired_total") - dropped
    return balance.isNaN ? .max : Int(balance)
}
