import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Peers that speak TLS badly, slowly, or not at all.
@Suite("hostile peers at the door") struct HostilePeerTests {
    let files = TestFiles()

    private func script(_ name: String) throws -> String {
        try #require(Bundle.module.path(forResource: name, ofType: "py", inDirectory: "Scripts"))
    }

    private func python(_ name: String, _ arguments: [String]) throws -> Tool {
        try Tool(Tool.path(of: "python3", package: "python3"), [script(name)] + arguments)
    }

    @Test("MQTT in the clear at a TLS port is closed and counted, and so are HTTP and noise")
    func plainToTLS() async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls())]) { door in
            for (bytes, reason) in [
                (Door.connect("plain"), "plain_text"), (Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), "plain_text"),
                ([UInt8](repeating: 0xFF, count: 300), "plain_text"),
            ] {
                let before = try await door.failures(reason)
                let socket = try RawSocket(port: door.port("tls"))
                socket.send(bytes)
                try await socket.receive()
                #expect(socket.isClosed)
                #expect(socket.received.count < 20, "an alert at most")
                try await door.waits(for: "headwater_tls_handshake_failures_total{reason=\"\(reason)\"}", toBe: before + 1)
            }
            #expect(try await door.openssl("tls", []).isConnected)
        }
    }

    @Test("a ClientHello at a plain port is closed like any other malformed packet")
    func tlsToPlain() async throws {
        try await Door.with([.init("plain", "allow_anonymous: true")]) { door in
            let talk = try await door.openssl("plain", [], connecting: false)
            #expect(!talk.isConnected)
            #expect(talk.text.contains("no peer certificate available"), "\(talk.text)")
            #expect(try await door.process.open().connect(clientID: "still-here") == false)
        }
    }

    @Test("a client that sends each byte alone is a client")
    func byteByByte() async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls())]) { door in
            let output = try await python("bytewise", ["\(door.port("tls"))"]).end(within: .seconds(60))
            #expect(output.lines.first == "20020000", "\(output.errors)")
            let segments = output.lines.last.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0
            #expect(segments > 300)
        }
    }

    @Test("500 handshakes that stop half-way end by the timeout, and others work meanwhile")
    func halfOpen() async throws {
        let listeners: [Door.Listener] = [
            .init("tls", "allow_anonymous: true\n" + files.tls("handshake_timeout: 15s")), .init("plain", "allow_anonymous: true"),
        ]
        try await Door.with(listeners, isAlone: true) { door in
            let crowd = try python("halfopen", ["\(door.port("tls"))", "500"])
            #expect(try await crowd.says("open 500", within: .seconds(30)), "\(crowd.output)")
            try await door.waits(for: "headwater_tls_handshakes_under_way", toBe: 500)
            let subscriber = try await door.subscriber("tls", files.trusting(), topic: "t", count: 1)
            let talk = try await door.publish("tls", files.trusting(), message: "while they wait")
            #expect(talk.exitCode == 0, "\(talk.errors)")
            #expect(try await subscriber.end().lines == ["t while they wait"])
            #expect(try await door.figure("headwater_tls_handshakes_under_way") == 500)
            let output = try await crowd.end(within: .seconds(60))
            #expect(output.lines.last == "closed 500", "\(output.everything)")
            try await door.waits(for: "headwater_tls_handshakes_under_way", toBe: 0)
            #expect(try await door.failures("timeout") == 500)
        }
    }

    @Test("one address gets so many connections without CONNACK and no more; another address is not its victim")
    func halfOpenByAddress() async throws {
        let listener = Door.Listener("tls", "allow_anonymous: true\n" + files.tls())
        try await Door.with([listener], "limits: {max_half_open_per_address: 5}") { door in
            let held = try (0..<5).map { _ in try RawSocket(port: door.port("tls")) }
            try await door.waits(for: "headwater_tls_handshakes_under_way", toBe: 5)
            let sixth = try RawSocket(port: door.port("tls"))
            try await sixth.receive()
            #expect(sixth.isClosed)
            #expect(try await door.figure("headwater_connections_turned_away_total") == 1)
            let other = try await door.publish("tls", files.trusting() + ["-A", "127.0.0.2"])
            #expect(other.exitCode == 0, "\(other.errors)")
            #expect(held.allSatisfy { !$0.isClosed })
        }
    }

    @Test("a silent peer's handshake ends by the timeout")
    func silent() async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls("handshake_timeout: 1s"))]) { door in
            let socket = try RawSocket(port: door.port("tls"))
            try await socket.receive()
            #expect(socket.isClosed)
            try await door.waits(for: #"headwater_tls_handshake_failures_total{reason="timeout"}"#, toBe: 1)
        }
    }

    @Test("a peer that goes half-way has closed early")
    func goesEarly() async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls())]) { door in
            do {
                let socket = try RawSocket(port: door.port("tls"))
                socket.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
                try await door.waits(for: "headwater_tls_handshakes_under_way", toBe: 1)
            }
            try await door.waits(for: #"headwater_tls_handshake_failures_total{reason="closed_early"}"#, toBe: 1)
            try await door.waits(for: "headwater_tls_handshakes_under_way", toBe: 0)
        }
    }
}
