import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// Peers that would make the broker keep things for them without end.
@Suite("Bounds on what one peer makes the broker keep")
struct HoardingTests {
    @Test("a client that does not read its answers is not read either, until it reads")
    func unreadAnswers() async throws {
        let path = NSTemporaryDirectory() + "hw-\(UInt32.random(in: 0 ... .max)).sock"
        try await withBroker(1) {
            $0.listeners.append(ListenerConfiguration(name: "unix", address: .unix(path: path), allowsAnonymous: true))
        } _: { harness in
            let client = try await ScriptedClient.open(.unix(path: path))
            try await client.connect("deaf")
            try await client.stopReading()
            let pings = 4 << 20
            let bytes = [UInt8](repeating: 0, count: 2 * pings).enumerated().map { $0.offset & 1 == 0 ? UInt8(0xC0) : 0 }
            #expect(await client.sendAndWait(bytes: bytes, within: .seconds(6)) == false)
            let before = await harness.broker.statistics()
            #expect(before.pausedPublishers == 1)
            #expect(before.packetsReceived < pings)
            try await client.resumeReading()
            try await harness.wait(for: "everything to be answered", within: .seconds(60)) { $0.packetsReceived >= pings }
            await client.close()
        }
    }

    @Test("acknowledgements that queue behind a held one pause the publisher", arguments: ProtocolVersion.allCases)
    func behindHold(version: ProtocolVersion) async throws {
        let plugin = Self.holding("held")
        try await withBroker(1, plugins: [plugin]) { $0.sessions.receiveMaximum = 10 } _: { harness in
            let client = try await harness.connect("publisher", version: version)
            client.send(.publish(message("held", "x", qos: .atLeastOnce, id: 1)))
            client.send((2...60).map { .publish(message("free", "x", qos: .atLeastOnce, id: $0)) })
            try await harness.wait(for: "a pause") { $0.pausedPublishers == 1 }
            #expect(await harness.broker.statistics().messagesReceived.total == 10)
            plugin.recorded.completions[0].complete(.fulfilled)
            for id in UInt16(1)...60 {
                let answer: Packet = try await client.next()
                guard case .pubAck(let acknowledgement) = answer, acknowledgement.packetID == id else {
                    throw ScriptedClientError("expected PUBACK \(id), received \(answer)", file: #fileID, line: #line)
                }
            }
        }
    }

    @Test("held messages are bounded by their bytes too")
    func heldBytes() async throws {
        let plugin = Self.holding("held")
        try await withBroker(1, plugins: [plugin]) { $0.sessions.maxQueuedBytes = 4_000 } _: { harness in
            let client = try await harness.connect("publisher")
            let text = String(repeating: "x", count: 900)
            client.send((1...8).map { .publish(message("held", text, qos: .atLeastOnce, id: $0)) })
            try await harness.wait(for: "a pause") { $0.pausedPublishers == 1 }
            #expect(await harness.broker.statistics().messagesReceived.total == 3)
            for round in 0..<8 {
                try await harness.wait(for: "the message to be held") { _ in plugin.recorded.completions.count > round }
                plugin.recorded.completions[round].complete(.fulfilled)
            }
            for id in UInt16(1)...8 { try await client.expect(.pubAck(Acknowledgement(packetID: id, reason: .success))) }
        }
    }

    @Test("a held QoS 2 message that is sent again on its connection does not close the gate for ever")
    func resentWhileHeld() async throws {
        let plugin = Self.holding("held")
        try await withBroker(1, plugins: [plugin]) { harness in
            let client = try await harness.connect("publisher", version: .v3_1_1)
            let first = message("held", "x", qos: .exactlyOnce, id: 1)
            var again = first
            again.dup = true
            client.send(.publish(first), .publish(again), .publish(again), .publish(message("free", "x", qos: .atLeastOnce, id: 2)), .pingReq)
            try await client.expect(.pingResp)
            plugin.recorded.completions[0].complete(.fulfilled)
            try await client.expect(.pubRec(Acknowledgement(packetID: 1)))
            try await client.expect(.pubAck(Acknowledgement(packetID: 2)))
        }
    }

    @Test("one plugin that completes twice does not speak for another")
    func completedTwice() async throws {
        let (one, two) = (Self.holding("held"), Self.holding("held"))
        try await withBroker(1, plugins: [one, two]) { harness in
            let client = try await harness.connect("publisher")
            client.send(.publish(message("held", "x", qos: .atLeastOnce)))
            try await client.ping()
            one.recorded.completions[0].complete(.fulfilled)
            one.recorded.completions[0].complete(.fulfilled)
            try await client.expectNothing()
            two.recorded.completions[0].complete(.failed(.implementationSpecificError))
            try await client.expect(.pubAck(Acknowledgement(packetID: 1, reason: .implementationSpecificError)))
        }
    }

    @Test("a retained message can't be replaced by one that does not fit", arguments: loopCounts)
    func retainedBytes(loops: Int) async throws {
        try await withBroker(loops) { $0.retained.maxBytes = 1_000 } _: { harness in
            let client = try await harness.connect("publisher")
            for index in 0..<4 {
                let reason = try await client.publish(message("r/\(index)", "small", qos: .atLeastOnce, retain: true))
                #expect(!reason.isError)
            }
            try await harness.wait(for: "4 retained messages") { $0.retainedMessages == 4 }
            let large = String(repeating: "x", count: 990)
            for index in 0..<4 {
                #expect(try await client.publish(message("r/\(index)", large, qos: .atLeastOnce, retain: true)) == .quotaExceeded)
            }
            #expect(try await client.publish(message("r/0", "tiny", qos: .atLeastOnce, retain: true)) != .quotaExceeded)
            #expect(await harness.broker.statistics().retainedBytes <= 1_000)
        }
    }

    @Test("a connection that has moved to the loop of its session still counts towards the limit")
    func movedConnections() async throws {
        try await withBroker(3) { $0.limits.maxConnections = 6 } _: { harness in
            for index in 0..<6 {
                let client = try await harness.connect("c\(index)") { $0.sessionExpirySeconds = 100 }
                try await client.disconnect()
            }
            try await harness.wait(for: "nobody connected") { $0.connections == 0 }
            // One connection more, and the next ones are accepted by other loops than those of their sessions.
            let shift = try await harness.open()
            await shift.close()
            for index in 0..<6 { _ = try await harness.connect("c\(index)", cleanStart: false) { $0.sessionExpirySeconds = 100 } }
            // It may be closed before the client has seen that it was open.
            let late = try? await harness.open()
            try await late?.expectClose()
            try await harness.wait(for: "one turned away") { $0.connectionsTurnedAway == 1 }
        }
    }

    @Test("a subscription through delivery hooks takes any number of retained messages")
    func manyRetained() async throws {
        let plugin = ScriptedPlugin(ScriptedPlugin.Script(interests: [.authorizeDelivery]))
        try await withBroker(1, plugins: [plugin]) { harness in
            let publisher = try await harness.connect("publisher")
            let count = 20_000
            for start in stride(from: 0, to: count, by: 1_000) {
                publisher.send((start..<start + 1_000).map { .publish(message("r/\($0)", "x", retain: true)) })
            }
            try await publisher.ping()
            let subscriber = try await harness.subscriber("subscriber", "r/+")
            try await harness.wait(for: "all of them", within: .seconds(60)) { $0.delivered == count }
            await subscriber.close()
        }
    }

    private static func holding(_ topic: String) -> ScriptedPlugin {
        ScriptedPlugin(ScriptedPlugin.Script(interests: [.publish], willPublish: { $0.topic == topic ? .hold : .proceed }))
    }
}
