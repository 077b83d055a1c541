import BrokerTestKit
import Foundation
import Headwater
import MQTTModel
import MQTTWire
import Testing
import TestAuthority

@testable import KafkaBridge

/// A Kafka that lets nobody in, loses its coordinator and its answers, fences, and has another clock: what was acknowledged to the device is
/// there once it behaves again, in order, and at exactly-once no more than once. Kafka is `KafkaProcess`, which isolates and
/// recognises repeated batches, so that nothing is filtered here.
@Suite("A hostile Kafka", .serialized, .enabled(if: BridgeUnderTest.isEmbedded))
struct HostileKafkaTests {
    private static let stored: [DeliveryLevel] = [.idempotent, .exactlyOnce]

    /// Publishes `numbers`, each acknowledged.
    private func publish(_ numbers: Range<Int>, _ test: OutboxUnderTest, _ device: ScriptedClient) async throws {
        for number in numbers {
            try await device.publish(OutboxUnderTest.reading(number, qos: test.delivery.level == .exactlyOnce ? .exactlyOnce : .atLeastOnce))
        }
    }

    private func expectAll(_ count: Int, _ test: OutboxUnderTest) async throws {
        try await test.drained()
        #expect(try test.records().map(\.payload) == (0..<count).map(String.init))
        #expect(test.figures.deadTotal == 0 && test.figures.droppedTotal == 0)
    }

    /// Publishes before, during and after a time without Kafka.
    private func outage(_ test: OutboxUnderTest, begin: () throws -> Void, end: () throws -> Void) async throws {
        try await test.start()
        let device = try await test.device()
        try await publish(0..<20, test, device)
        try await test.drained()
        try begin()
        try await publish(20..<120, test, device)
        try await eventually("nobody gets through") { test.figures.outbox >= 90 }
        #expect(test.figures.isBalanced)
        try end()
        try await publish(120..<140, test, device)
        try await expectAll(140, test)
        await test.stop()
    }

    @Test(
        "a password that is no longer valid ends in the outbox, which drains when it is valid again",
        arguments: stored, ["PLAIN", "SCRAM-SHA-256"])
    func password(level: DeliveryLevel, mechanism: String) async throws {
        let kafka = try KafkaProcess(["--sasl", mechanism])
        try kafka.say("user bridge right")
        let test = try OutboxUnderTest(RouteDelivery(level: level), at: kafka)
        test.properties = [
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.username": "bridge", "sasl.password": "right",
        ]
        try await outage(test) {
            try kafka.say("user bridge other")
            try kafka.say("down")
            try kafka.say("up")
        } end: {
            try kafka.say("user bridge right")
        }
    }

    @Test("a leader that takes no batches for a while does not change the order of those that are under way", arguments: stored)
    func pipelined(level: DeliveryLevel) async throws {
        let kafka = try KafkaProcess()
        let test = try OutboxUnderTest(RouteDelivery(level: level), at: kafka)
        test.properties = ["batch.num.messages": "5"]
        try await test.start()
        let device = try await test.device()
        try await publish(0..<20, test, device)
        try await test.drained()
        try kafka.say("delay 20")
        for code in [6, 19, 7] { try kafka.say("error Produce \(code) 2") }  // NOT_LEADER, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT
        try await publish(20..<220, test, device)
        try kafka.say("delay 0")
        try await expectAll(220, test)
        await test.stop()
    }

    @Test("OAUTHBEARER tokens and sessions that expire are renewed; without a token everything is in the outbox")
    func token() async throws {
        let kafka = try KafkaProcess(["--sasl", "OAUTHBEARER"])
        try kafka.say("user bridge right")
        try kafka.say("lifetime 1200")
        try kafka.say("life 2")
        let test = try OutboxUnderTest(RouteDelivery(level: .exactlyOnce), at: kafka)
        test.properties = [
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": try kafka.say("tokens"), "sasl.oauthbearer.client.id": "bridge",
            "sasl.oauthbearer.client.secret": "right", "sasl.oauthbearer.scope": "kafka write", "sasl.oauthbearer.extensions": "cluster=main",
        ]
        try await test.start()
        let device = try await test.device()
        // Longer than a token and several sessions last.
        let start = ContinuousClock.now
        var count = 0
        while ContinuousClock.now - start < .seconds(4) {
            try await publish(count..<(count + 1), test, device)
            count += 1
            try await Task.sleep(for: .milliseconds(20))
        }
        try await test.drained()
        try kafka.say("user bridge other")
        let asked = try #require(Int(try kafka.say("asked")))
        try await eventually("a token was refused") { try Int(kafka.say("asked")) ?? 0 > asked }
        try await publish(count..<(count + 50), test, device)
        try await eventually("the last token has expired") { test.figures.outbox > 0 }
        #expect(test.figures.isBalanced)
        try kafka.say("user bridge right")
        try await test.drained()
        #expect(test.figures.deadTotal == 0 && test.figures.droppedTotal == 0)
        // kcat has no tokens of this kind.
        #expect(try kafka.say("end \(test.topic)").split(separator: " ").compactMap { Int($0) }.reduce(0, +) >= count + 50)
        await test.stop()
    }

    @Test("whatever a token endpoint says of a token's life is a time", arguments: [
        (60, nil, 61_000), (60, 9, 61_000), (nil, 9, 9_000), (nil, nil, 301_000), (-5, nil, 1_000), (Int64.min, nil, 1_000),
        (Int64.max, nil, 1_000 + (1 << 40) * 1_000), (nil, Int64.max, (1 << 40) * 1_000), (nil, Int64.min, 0),
    ] as [(Int64?, Int64?, Int64)])
    func tokenLife(expiresIn: Int64?, claim: Int64?, expiry: Int64) {
        #expect(OAuthBearer.expiry(expiresIn: expiresIn, claim: claim, now: 1_000) == expiry)
    }

    @Test("a client without what it needs for a token is refused, and secrets leave no trace")
    func tokenProperties() throws {
        func faults(_ properties: [String: String]) -> String {
            let base = ["security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc"]
            return ProducerProperties.faults(of: KafkaCluster(name: "c", bootstrapServers: "k:1", properties: base.merging(properties) { $1 })).map(\.description)
                .joined(separator: "\n")
        }
        let whole = [
            "sasl.oauthbearer.token.endpoint.url": "https://id.example/token", "sasl.oauthbearer.client.id": "c", "sasl.oauthbearer.client.secret": "s-e-c",
        ]
        #expect(faults(whole).isEmpty)
        for name in whole.keys { #expect(faults(whole.filter { $0.key != name }).contains(name)) }
        let plain = faults(whole.merging(["sasl.oauthbearer.token.endpoint.url": "http://id.example/token"]) { $1 })
        #expect(plain.contains("only https") && !plain.contains("s-e-c"))
        #expect(faults(whole.merging(["sasl.oauthbearer.client.secret": "s-e-c\n"]) { $1 }).contains("control character"))
        #expect(faults(whole.merging(["enable.sasl.oauthbearer.unsecure.jwt": "true"]) { $1 }).contains("anybody can write"))
    }

    @Test("an expired certificate of Kafka's is not accepted: the outbox waits for a valid one", arguments: stored)
    func expiredCertificate(level: DeliveryLevel) async throws {
        let files = TestFiles()
        let authority = TestAuthority("Kafka's")
        func write(_ name: String, notAfter: Int64) -> String {
            let issued = authority.issue(
                Profile("localhost", names: "IP:127.0.0.1").with {
                    $0.notBefore = Int64(time(nil)) - 7_200
                    $0.notAfter = Int64(time(nil)) + notAfter
                })
            return "\(files.write("\(name).pem", issued.pem)) \(files.write("\(name).key", issued.keyPEM))"
        }
        let good = write("good", notAfter: 86_400)
        let expired = write("expired", notAfter: -3_600)
        let kafka = try KafkaProcess(["--tls"] + good.split(separator: " ").map(String.init))
        let test = try OutboxUnderTest(RouteDelivery(level: level), at: kafka)
        test.properties = ["security.protocol": "SSL", "ssl.ca.location": files.write("authority.pem", authority.own.pem)]
        try await outage(test) {
            try kafka.say("certificate \(expired)")
            try kafka.say("down")
            try kafka.say("up")
        } end: {
            try kafka.say("certificate \(good)")
        }
    }

    @Test("coordinators and leaders that move, and answers that are lost, lose and double nothing", arguments: stored)
    func moves(level: DeliveryLevel) async throws {
        let kafka = try KafkaProcess(["--nodes", "3"])
        let test = try OutboxUnderTest(RouteDelivery(level: level), at: kafka)
        try await test.start()
        let device = try await test.device()
        let torments = [
            "coordinator 1", "leaders 1", "swallow Produce 1", "error Produce 6 3", "coordinator 2", "swallow AddPartitionsToTxn 1",
            "swallow AddOffsetsToTxn 1", "swallow TxnOffsetCommit 1", "swallow EndTxn 1", "error EndTxn 51 2", "error AddOffsetsToTxn 14 2",
            "error TxnOffsetCommit 15 2", "leaders 2", "error AddPartitionsToTxn 51 3", "coordinator 0", "swallow EndTxn 2", "swallow Produce 3",
        ]
        for (index, torment) in torments.enumerated() {
            try kafka.say(torment)
            try await publish((index * 30)..<(index * 30 + 30), test, device)
            try await eventually("the records of \(torment) are there") { test.figures.outbox == 0 }
        }
        try await expectAll(torments.count * 30, test)
        await test.stop()
    }

    @Test("a transaction that Kafka has given up, and a producer that another has fenced, are done again, once")
    func fenced() async throws {
        let kafka = try KafkaProcess()
        let test = try OutboxUnderTest(RouteDelivery(level: .exactlyOnce), at: kafka)
        test.properties = ["transaction.timeout.ms": "1000"]
        try await test.start()
        let device = try await test.device()
        try await publish(0..<20, test, device)
        try await test.drained()
        // Answers take longer than a transaction may be open: Kafka aborts it and raises the epoch.
        try kafka.say("delay 700")
        try await publish(20..<60, test, device)
        try await eventually("a transaction has had its time") { try kafka.say("expired") != "0" }
        try kafka.say("delay 0")
        try await test.drained()
        for round in 0..<3 {
            try kafka.say("error EndTxn 47 1")
            try await publish((60 + round * 20)..<(80 + round * 20), test, device)
            try await test.drained()
        }
        try await expectAll(120, test)
        await test.stop()
    }

    @Test("a Kafka whose packets are dropped, and one that hangs, end in the outbox", arguments: stored)
    func silent(level: DeliveryLevel) async throws {
        let kafka = try KafkaProcess()
        let test = try OutboxUnderTest(RouteDelivery(level: level), at: kafka)
        test.properties = ["socket.timeout.ms": "1000", "socket.connection.setup.timeout.ms": "1000", "transaction.timeout.ms": "60000"]
        let hole = try BlackHole()
        test.address = "127.0.0.1:\(hole.port)"
        try await test.start()
        try await publish(0..<30, test, try await test.device())
        #expect(test.figures.outbox == 30 && test.figures.isBalanced)
        await test.stop()
        test.address = nil
        try await test.start()
        let device = try await test.device()
        try await test.drained()
        kafka.hang(true)
        try await publish(30..<90, test, device)
        try await eventually("nobody gets through") { test.figures.outbox >= 60 }
        // Longer than librdkafka waits for an answer.
        try await Task.sleep(for: .milliseconds(2_500))
        kafka.hang(false)
        try await publish(90..<100, test, device)
        try await expectAll(100, test)
        await test.stop()
    }

    @Test("records whose time is beyond what Kafka's clock allows are dead letters, and those beside them are not", arguments: stored)
    func clockSkew(level: DeliveryLevel) async throws {
        let kafka = try KafkaProcess()
        let dead = BridgeUnderTest.freshTopic()
        try kafka.say("topic \(dead) 1")
        try kafka.say("skew 3600000")
        let test = try OutboxUnderTest(RouteDelivery(level: level, deadLetterTopic: dead), at: kafka)
        test.route = { $0.timestamp = .payload(try PayloadPath("payload.t"), .milliseconds) }
        try await test.start()
        let device = try await test.device()
        let now = MessageClock.now.unixMilliseconds
        for (number, time) in [now, 1, now, now + 86_400_000, now].enumerated() {
            var publish = OutboxUnderTest.reading(number)
            publish.payload = Array(#"{"n":\#(number),"t":\#(time)}"#.utf8)
            try await device.publish(publish)
        }
        try await test.drained()
        let accepted = try test.records().map { String($0.payload.prefix(6)) }
        // What is under way behind a batch that is refused as a whole overtakes it, except in transactions.
        #expect((level == .exactlyOnce ? accepted : accepted.sorted()) == [#"{"n":0"#, #"{"n":2"#, #"{"n":4"#])
        #expect(test.figures.sent == 3 && test.figures.deadTotal == 2)
        let letters = try test.records(of: dead)
        #expect(letters.map { String($0.payload.prefix(6)) } == [#"{"n":1"#, #"{"n":3"#])
        await test.stop()
    }

    @Test("a record of 10 MB from Kafka reaches who takes that much, and holds up nobody else")
    func largeInbound() async throws {
        let kafka = try KafkaProcess()
        let test = try InboundUnderTest(at: kafka)
        try kafka.say("topic \(test.topic) 1 20000000")
        try await test.start()
        let client = try await test.receiver("client")
        let small = try await test.receiver("small", "commands/b")
        let large = String(repeating: "x", count: 10_000_000)
        for (text, key) in [("first", "b"), (large, "a"), ("second", "b"), (large, "a"), ("last", "b")] { try test.source.write(test.topic, text, key: key) }
        try test.source.flush()
        #expect(InboundUnderTest.texts(try await small.messages(3, within: .seconds(60))) == ["first", "second", "last"])
        try await test.read(5)
        let received = try await client.messages(5, within: .seconds(60))
        #expect(received.map(\.payload.count) == [5, 10_000_000, 6, 10_000_000, 4])
        await test.stop()
    }
}

/// A port whose SYNs the kernel drops, since the backlog of its listener is full.
private final class BlackHole {
    let port: UInt16
    private var sockets: [Int32] = []

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        sockets.append(listener)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        func with(_ call: (UnsafePointer<sockaddr>) -> Int32) -> Int32 {
            withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0) } }
        }
        var free: UInt16 = 0
        repeat {
            free = .random(in: 20_000..<32_000)
            address.sin_port = free.bigEndian
        } while with { bind(listener, $0, size) } != 0
        port = free
        try #require(listen(listener, 0) == 0)
        for _ in 0..<4 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            sockets.append(filler)
            _ = with { connect(filler, $0, size) }
        }
    }

    deinit { for socket in sockets { close(socket) } }
}
