import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// What clients and tenants may bring, and what it costs their neighbours: nothing.
@Suite("Quotas")
struct QuotaTests {
    @Test("above its rate a client is slowed: everything arrives, in order, and not sooner", arguments: loopCounts, ProtocolVersion.allCases)
    func slow(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { $0.quotas.client.messagesPerSecond = 200 } _: { harness in
            let subscriber = try await harness.subscriber("s", "t", version: version)
            let publisher = try await harness.connect("p", version: version)
            let began = ContinuousClock.now
            publisher.send((1...500).map { .publish(message("t", "\($0)")) })
            #expect(try await subscriber.receive(500).map(\.text) == (1...500).map(String.init))
            // 200 are saved up, the other 300 take a second and a half.
            #expect(ContinuousClock.now - began > .milliseconds(1_400))
            let statistics = await harness.broker.statistics()
            #expect(statistics.quotaPauses > 0 && statistics.messagesRefused.isEmpty)
            try await publisher.ping()
            try await harness.wait(for: "nobody paused") { $0.pausedPublishers == 0 }
        }
    }

    @Test("bytes count as messages do, and one above the rate passes", arguments: loopCounts)
    func bytes(loops: Int) async throws {
        try await withBroker(loops) { $0.quotas.client.bytesPerSecond = 100_000 } _: { harness in
            let subscriber = try await harness.subscriber("s", "t", qos: .atLeastOnce)
            let publisher = try await harness.connect("p")
            let began = ContinuousClock.now
            let large = String(repeating: "x", count: 200_000)
            for id: UInt16 in 1...2 { publisher.send(.publish(message("t", large, qos: .atLeastOnce, id: id))) }
            #expect(try await subscriber.receive(2).allSatisfy { $0.text == large })
            #expect(ContinuousClock.now - began > .milliseconds(900))
            #expect(await harness.broker.statistics().quotaPauses > 0)
        }
    }

    @Test("a rate that refuses says 0x97 and drops the rest; before MQTT 5 it is acknowledged", arguments: loopCounts, ProtocolVersion.allCases)
    func refuse(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { $0.quotas.client = QuotaLimits(messagesPerSecond: 1_000_000, bytesPerSecond: 10, excess: .refuse) } _: { harness in
            let subscriber = try await harness.subscriber("s", "t", qos: .exactlyOnce, version: version)
            let publisher = try await harness.connect("p", version: version)
            // The first one takes the bytes of the next thousand seconds.
            let large = String(repeating: "x", count: 10_000)
            #expect(try await publisher.publish(message("t", large, qos: .atLeastOnce)) == .success)
            let refusal: ReasonCode = version == .v5 ? .quotaExceeded : .success
            for round in 1...2 {
                #expect(try await publisher.publish(message("t", "refused", qos: .atLeastOnce, id: 2)) == refusal)
                #expect(try await publisher.publish(message("t", "refused", qos: .exactlyOnce, id: 3)) == refusal)
                try await publisher.publish(message("t", "refused", qos: .atMostOnce))
                try await publisher.ping()
                #expect(await harness.broker.statistics().messagesRefused == [.quota: 3 * round])
            }
            #expect(try await subscriber.receive(1)[0].text == large)
            try await subscriber.expectNoMessage()
            // Another client has a quota of its own.
            let other = try await harness.connect("other", version: version)
            #expect(try await other.publish(message("t", "mine", qos: .exactlyOnce)) == .success)
            #expect(try await subscriber.receive(1)[0].text == "mine")
        }
    }

    @Test("a client above its rate is not taken for dead", arguments: [1])
    func keepAlive(loops: Int) async throws {
        try await withBroker(loops) { $0.quotas.client.messagesPerSecond = 1 } _: { harness in
            let publisher = try await harness.connect("p") { $0.keepAliveSeconds = 1 }
            publisher.send((1...5).map { .publish(message("t", "\($0)", qos: .atLeastOnce, id: $0)) })
            for id: UInt16 in 1...5 {
                _ = try await publisher.first("PUBACK") { if case .pubAck(let answer) = $0, answer.packetID == id { true } else { nil } } as Bool
            }
            try await publisher.ping()
        }
    }

    @Test("a tenant has as many connections as it may, and a device of it can always come back", arguments: loopCounts, ProtocolVersion.allCases)
    func connections(loops: Int, version: ProtocolVersion) async throws {
        try await withTenants(loops) {
            $0.quotas.tenants["north"] = QuotaLimits(maxConnections: 3)
        } _: { harness in
            var clients: [ScriptedClient] = []
            for number in 0..<3 { clients.append(try await harness.connect("c\(number)", of: "north", version: version)) }
            for attempt in 1...4 {
                let late = try await harness.open(version: version)
                let answer = try await late.connect("late") { $0.username = "user@north" }
                #expect(answer.reason == (version == .v5 ? .quotaExceeded : .serverUnavailable))
                try await late.expectClose()
                try await harness.wait(for: "refusals") { $0.tenants["north"]?.connectionsRefused == attempt }
            }
            // Taking over one's own place is no new connection.
            let again = try await harness.connect("c1", of: "north", version: version)
            try await clients[1].expectEnd(.sessionTakenOver)
            for number in 0..<5 { _ = try await harness.connect("c\(number)", of: "south", version: version) }
            await clients[0].close()
            try await harness.wait(for: "a free place") { $0.tenants["north"]?.connections == 2 }
            let late = try await harness.connect("late", of: "north", version: version)
            try await late.ping()
            try await again.ping()
            let full = try await harness.open(version: version)
            #expect(try await full.connect("full") { $0.username = "user@north" }.reason.isError)
        }
    }

    @Test("places are given back however connections end", arguments: loopCounts)
    func places(loops: Int) async throws {
        try await withBroker(loops) { $0.quotas.tenant.maxConnections = 4 } _: { harness in
            for round in 0..<6 {
                var clients: [ScriptedClient] = []
                for number in 0..<4 {
                    clients.append(try await harness.connect("c\(number)", cleanStart: round % 2 == 0) { $0.sessionExpirySeconds = UInt32(number) * 100 })
                }
                try await clients[0].disconnect()
                await clients[1].reset()
                clients[2].send(bytes: [0x00, 0x00])
                try await clients[2].expectEnd(.malformedPacket)
                await clients[3].close()
                try await harness.wait(for: "nobody") { $0.connections == 0 }
            }
        }
    }

    @Test("above the rate of connects a client, or a tenant, hears 0x9F", arguments: loopCounts, ProtocolVersion.allCases)
    func connects(loops: Int, version: ProtocolVersion) async throws {
        try await withTenants(loops) {
            $0.quotas.clientsOfTenants["north"] = QuotaLimits(connectsPerSecond: 3)
            $0.quotas.tenants["south"] = QuotaLimits(connectsPerSecond: 3)
        } _: { harness in
            let refusal: ReasonCode = version == .v5 ? .connectionRateExceeded : .serverUnavailable
            func attempts(_ tenant: String, sameClient: Bool) async throws -> [ReasonCode] {
                var clients: [ScriptedClient] = []
                for _ in 0..<40 { clients.append(try await harness.open(version: version)) }
                for (number, client) in clients.enumerated() {
                    var connect = Connect(protocolVersion: version, clientID: sameClient ? "same" : "c\(number)")
                    connect.username = "user@\(tenant)"
                    client.send(.connect(connect))
                }
                var reasons: [ReasonCode] = []
                for client in clients {
                    reasons.append(try await client.first("CONNACK") { if case .connAck(let answer) = $0 { answer.reason } else { nil } })
                }
                return reasons
            }
            for (tenant, sameClient) in [("north", true), ("south", false)] {
                let reasons = try await attempts(tenant, sameClient: sameClient)
                let accepted = reasons.filter { !$0.isError }.count
                #expect(accepted >= 3 && accepted < 20, "\(accepted)")
                #expect(reasons.filter { $0 == refusal }.count == 40 - accepted)
            }
            // Other clients of the one tenant, and the same ones of others, are not concerned.
            #expect(try await attempts("north", sameClient: false).allSatisfy { !$0.isError })
            #expect(try await attempts("east", sameClient: false).allSatisfy { !$0.isError })
        }
    }

    @Test("a tenant at its quota costs its neighbours nothing", arguments: loopCounts, QuotaLimits.Excess.allCases)
    func neighbours(loops: Int, excess: QuotaLimits.Excess) async throws {
        try await withTenants(loops) {
            $0.quotas.tenants["hostile"] = QuotaLimits(messagesPerSecond: 20, excess: excess)
        } _: { harness in
            let own = try await harness.subscriber("s", of: "hostile", "#", qos: .atMostOnce)
            let began = ContinuousClock.now
            var flood: [ScriptedClient] = []
            for number in 0..<4 {
                let client = try await harness.connect("f\(number)", of: "hostile")
                client.send((1...2_000).map { .publish(message("t", "\($0)")) })
                flood.append(client)
            }
            let subscriber = try await harness.subscriber("s", of: "calm", "#")
            let publisher = try await harness.connect("f0", of: "calm")
            for number: UInt16 in 1...200 {
                #expect(try await publisher.publish(message("t", "\(number)", qos: .atLeastOnce, id: number)) == .success)
            }
            #expect(try await subscriber.receive(200).map(\.text) == (1...200).map(String.init))
            let statistics = try await harness.wait(for: "the flood") {
                let hostile = $0.tenants["hostile"]
                return excess == .slow ? hostile?.quotaPauses ?? 0 > 0 : hostile?.messagesReceived == 8_000
            }
            let seconds = Int((ContinuousClock.now - began) / .seconds(1)) + 1
            let calm = try #require(statistics.tenants["calm"])
            #expect(calm.quotaPauses == 0 && calm.messagesRefused == 0 && calm.messagesDropped == 0)
            let hostile = try #require(statistics.tenants["hostile"])
            let routed = hostile.messagesReceived - hostile.messagesRefused
            #expect(routed <= 20 + 20 * seconds + 4, "as many as a second has saved up, the rate, and one of each connection")
            #expect(routed >= 20)
            if excess == .refuse { #expect(hostile.messagesRefused == hostile.messagesReceived - routed) }
            #expect(try await own.receive(20).count == 20)
        }
    }

    @Test("a tenant's own limits take the place of the common ones")
    func overrides() async throws {
        try await withTenants(1) {
            $0.quotas.tenant = QuotaLimits(maxConnections: 1)
            $0.quotas.tenants["large"] = QuotaLimits()
            $0.quotas.tenants[""] = QuotaLimits(maxConnections: 2)
        } _: { harness in
            for (tenant, places) in [("small", 1), ("large", 8), ("", 2)] {
                for number in 0..<places { _ = try await harness.connect("c\(number)", of: tenant) }
                guard places < 8 else { continue }
                let late = try await harness.open()
                #expect(try await late.connect("late") { $0.username = tenant.isEmpty ? "user" : "user@\(tenant)" }.reason == .quotaExceeded)
            }
        }
    }
}
