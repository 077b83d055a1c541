import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("Answers that depend on the version and on what the client can take")
struct AnswerTests {
    @Test("a topic that is not UTF-8 is a malformed packet, one with a wildcard an invalid topic name")
    func topics() async throws {
        try await withBroker(1) { harness in
            let broken = try await harness.connect("broken")
            broken.send(bytes: [0x30, 5, 0, 2, 0xC0, 0x80, 0])
            try await broken.expectEnd(.malformedPacket)
            let wild = try await harness.connect("wild")
            wild.send(bytes: [0x30, 5, 0, 2, 0x61, 0x23, 0])
            try await wild.expectEnd(.topicNameInvalid)
        }
    }

    @Test("an answer larger than the client takes ends the connection instead of never coming")
    func answerTooLarge() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.connect("small") { $0.maximumPacketSize = 60 }
            client.send(.subscribe(Subscribe(packetID: 1, entries: (0..<100).map { Subscribe.Entry(filter: "f/\($0)") })))
            try await client.expectEnd(.packetTooLarge)
            let tiny = try await harness.open()
            var connect = Connect(protocolVersion: .v5, clientID: "tiny")
            connect.maximumPacketSize = 4
            tiny.send(.connect(connect))
            try await tiny.expectClose()
        }
    }

    @Test("a client does not get its own will through a No Local subscription")
    func ownWill() async throws {
        try await withBroker(1) { harness in
            func connect(_ client: ScriptedClient, clean: Bool) async throws {
                try await client.connect("c", cleanStart: clean) {
                    $0.sessionExpirySeconds = 100
                    $0.will = Connect.Will(topic: "w", payload: [1], qos: .atLeastOnce)
                }
            }
            let watcher = try await harness.subscriber("watcher", "w")
            let first = try await harness.open()
            try await connect(first, clean: true)
            try await first.subscribe([Subscribe.Entry(filter: "w", qos: .atLeastOnce, noLocal: true)])
            let second = try await harness.open()
            try await connect(second, clean: false)
            #expect(try await watcher.receive(1).map(\.topic) == ["w"])
            try await second.ping()
            try await second.expectNothing()
        }
    }
}
