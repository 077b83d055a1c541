import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

/// What outlives the broker outlives it for its own tenant.
@Suite("Tenants and the store")
struct TenantStoreTests {
    @Test("queues, retained messages, groups and wills come back to their tenants", arguments: loopCounts)
    func restart(loops: Int) async throws {
        let store = StoreScenario(loops, plugins: [TenantPlugin()])
        let long = String(repeating: "x", count: 2_000)  // stored once, and referred to
        try await store.life { harness in
            for tenant in tenantNames {
                let kept = try await harness.subscriber("same", of: tenant, "q/#", qos: .exactlyOnce) { $0.sessionExpirySeconds = 10_000 }
                #expect(try await kept.subscribe("$share/g/s", qos: .atLeastOnce) == .grantedQoS1)
                await kept.close()
                let leaving = try await harness.connect("leaving", of: tenant) {
                    $0.sessionExpirySeconds = 10_000
                    $0.will = Connect.Will(topic: "q/will", payload: Array("\(tenant)-will".utf8), qos: .atLeastOnce, retain: false)
                    $0.will?.delaySeconds = 2
                }
                await leaving.close()
            }
            try await harness.waitForOffline(6)
            for tenant in tenantNames {
                let publisher = try await harness.connect("publisher", of: tenant)
                try await publisher.publish(message("q/1", "\(tenant)-1", qos: .exactlyOnce, id: 1))
                try await publisher.publish(message("q/2", "\(tenant)-\(long)", qos: .atLeastOnce, id: 2))
                try await publisher.publish(message("s", "\(tenant)-shared", qos: .atLeastOnce, id: 3))
                try await publisher.publish(message("r", "\(tenant)-retained", qos: .atLeastOnce, id: 4, retain: true))
                try await publisher.disconnect()
            }
        }
        // Another number of loops gives every session and topic another home.
        try await store.life(loops: 4 - loops) { harness in
            let statistics = await harness.broker.statistics()
            #expect(statistics.retainedMessages == 3 && statistics.sessions == 6)
            for tenant in tenantNames {
                #expect(statistics.tenants[tenant]?.sessions == 2 && statistics.tenants[tenant]?.retainedMessages == 1)
            }
            for tenant in tenantNames {
                let publisher = try await harness.connect("publisher", of: tenant)
                try await publisher.publish(message("q/3", "\(tenant)-live", qos: .exactlyOnce))
            }
            for tenant in tenantNames {
                let kept = try await harness.open()
                #expect(try await kept.connect("same", cleanStart: false) {
                    $0.username = tenant.isEmpty ? "user" : "user@\(tenant)"
                    $0.sessionExpirySeconds = 10_000
                }.sessionPresent)
                let expected = ["1", long, "shared", "live", "will"].map { "\(tenant)-\($0)" }
                #expect(Set(try await kept.receive(5).map(\.text)) == Set(expected))
                try await kept.expectNoMessage()
                let fresh = try await harness.subscriber("fresh", of: tenant, "#")
                #expect(try await fresh.receive(1)[0].text == "\(tenant)-retained")
                try await fresh.expectNoMessage()
            }
        }
        try await store.life { harness in
            for tenant in tenantNames {
                let clearing = try await harness.connect("publisher", of: tenant)
                if tenant == "north" { try await clearing.publish(message("r", "", qos: .atLeastOnce, retain: true)) }
            }
        }
        try await store.life { harness in
            #expect(await harness.broker.statistics().retainedMessages == 2)
            for tenant in tenantNames where tenant != "north" {
                let fresh = try await harness.subscriber("fresh", of: tenant, "r")
                #expect(try await fresh.receive(1)[0].text == "\(tenant)-retained")
            }
        }
    }

    /// One tenant's clients, and everything they hear.
    private func work(_ harness: BrokerHarness, _ tenant: String, round: Int) async throws {
        let count = 60
        let all = try await harness.subscriber("all", of: tenant, "#", qos: .exactlyOnce, cleanStart: false) { $0.sessionExpirySeconds = 10_000 }
        var members: [ScriptedClient] = []
        for number in 0..<2 {
            members.append(try await harness.subscriber("m\(number)", of: tenant, "$share/g/load/+", cleanStart: false) { $0.sessionExpirySeconds = 10_000 })
        }
        let publisher = try await harness.connect("publisher", of: tenant)
        let retainedBefore = round == 0 ? 0 : 5
        #expect(Set(try await all.receive(retainedBefore).map(\.text)) == Set((0..<retainedBefore).map { "\(tenant)-0-r\($0)" }))
        for number in 0..<count {
            let qos = QoS(rawValue: UInt8(number % 3))!
            try await publisher.publish(message("load/\(number % 7)", "\(tenant)-\(round)-\(number)", qos: qos, id: UInt16(number + 1)))
        }
        if round == 0 {
            for number in 0..<5 {
                try await publisher.publish(message("keep/\(number)", "\(tenant)-0-r\(number)", qos: .atLeastOnce, id: 1, retain: true))
            }
        }
        let heard = try await all.receive(count + (round == 0 ? 5 : 0)).map(\.text)
        #expect(heard.filter { !$0.contains("-r") } == (0..<count).map { "\(tenant)-\(round)-\($0)" })
        #expect(heard.allSatisfy { $0.hasPrefix("\(tenant)-\(round)-") })
        var shared: [String] = []
        while shared.count < count {
            for member in members { shared += try await member.receive(min(30, count - shared.count)).map(\.text) }
        }
        #expect(Set(shared) == Set((0..<count).map { "\(tenant)-\(round)-\($0)" }))
        for client in members + [all] { try await client.expectNoMessage() }
        for client in members + [all, publisher] { await client.close() }
    }

    @Test("all tenants at once, with the same identifiers and topics, restarted once: nothing crosses", arguments: loopCounts)
    func underLoad(loops: Int) async throws {
        let store = StoreScenario(loops, plugins: [TenantPlugin()])
        for round in 0..<2 {
            try await store.life { harness in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for tenant in tenantNames { group.addTask { try await self.work(harness, tenant, round: round) } }
                    try await group.waitForAll()
                }
            }
        }
    }
}
