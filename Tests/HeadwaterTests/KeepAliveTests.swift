import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Keep alive")
struct KeepAliveTests {
    @Test("a silent client is closed after one and a half times its keep alive", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func silence(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client", version: version) { $0.keepAliveSeconds = 1 }
            let began = ContinuousClock.now
            try await client.expectEnd(.keepAliveTimeout)
            #expect(ContinuousClock.now - began > .milliseconds(1_300))
            #expect(ContinuousClock.now - began < .seconds(4))
        }
    }

    @Test("any packet keeps a client alive, and none is needed without keep alive", arguments: loopCounts)
    func activity(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let idle = try await harness.connect("idle")
            // Twelve times half a second are more than the limit of 4.5 s, and a busy machine may oversleep eight of them.
            let client = try await harness.connect("client") { $0.keepAliveSeconds = 3 }
            for _ in 0..<12 {
                try await client.expectNothing(for: .milliseconds(500))
                client.send(.publish(message("t", "x")))
            }
            try await client.ping()
            try await idle.ping()
        }
    }

    @Test("who has sent something in time is not closed by a loop that was too busy to read it")
    func busyLoop() async throws {
        let plugin = ScriptedPlugin(
            .init(
                interests: [.publish], publishFilters: [try TopicFilter("stop")],
                willPublish: { _ in
                    usleep(2_000_000)
                    return .proceed
                }))
        try await withBroker(1, plugins: [plugin]) { harness in
            let client = try await harness.connect("client") { $0.keepAliveSeconds = 1 }
            let other = try await harness.connect("other")
            other.send(.publish(message("stop", "x")))
            // The loop is in the hook, for longer than the client may be silent.
            try await client.expectNothing(for: .milliseconds(300))
            try await client.ping()
            try await client.expectEnd(.keepAliveTimeout)
        }
    }

    @Test("the server's limit is told and kept", arguments: [UInt16(0), 100])
    func serverKeepAlive(wish: UInt16) async throws {
        try await withBroker(1, configure: { $0.sessions.maxKeepAliveSeconds = 1 }) { harness in
            let client = try await harness.open()
            #expect(try await client.connect("client") { $0.keepAliveSeconds = wish }.serverKeepAliveSeconds == 1)
            try await client.expectEnd(.keepAliveTimeout)
        }
    }

    @Test("a connection that moved to its session's loop is watched there")
    func moved() async throws {
        try await withBroker(3) { harness in
            for _ in 0..<3 {
                let client = try await harness.connect("client", cleanStart: false) {
                    $0.keepAliveSeconds = 1
                    $0.sessionExpirySeconds = 100
                }
                try await client.expectEnd(.keepAliveTimeout)
            }
        }
    }
}
