import BrokerTestKit
@testable import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// The same client identifiers and topics for every tenant, and nothing crosses.
@Suite("Tenants kept apart")
struct TenantTests {
    @Test("the same client identifier and topic in three tenants: each hears its own", arguments: loopCounts, ProtocolVersion.allCases)
    func live(loops: Int, version: ProtocolVersion) async throws {
        try await withTenants(loops) { harness in
            var subscribers: [ScriptedClient] = []
            var publishers: [ScriptedClient] = []
            for tenant in tenantNames {
                let subscriber = try await harness.subscriber("same", of: tenant, "#", qos: .exactlyOnce, version: version)
                #expect(try await subscriber.subscribe([Subscribe.Entry(filter: "+/x", qos: .atMostOnce)])[0] == .grantedQoS0)
                subscribers.append(subscriber)
                publishers.append(try await harness.connect("publisher", of: tenant, version: version))
            }
            for qos in QoS.allCases {
                for (tenant, publisher) in zip(tenantNames, publishers) {
                    try await publisher.publish(message("a/x", "\(tenant)-\(qos)", qos: qos))
                    try await publisher.publish(message("a/x", "\(tenant)-\(qos)", qos: qos))
                }
                for (tenant, subscriber) in zip(tenantNames, subscribers) {
                    #expect(try await subscriber.receive(2).map(\.text) == ["\(tenant)-\(qos)", "\(tenant)-\(qos)"])
                }
            }
            for subscriber in subscribers { try await subscriber.expectNoMessage() }
            #expect(await harness.broker.statistics().takeovers == 0)
        }
    }

    @Test("a topic that only another tenant has subscribed to has no receiver", arguments: loopCounts)
    func noReceiver(loops: Int) async throws {
        try await withTenants(loops) { harness in
            let other = try await harness.subscriber("s", of: "north", "t")
            let publisher = try await harness.connect("p", of: "south")
            #expect(try await publisher.publish(message("t", "x", qos: .atLeastOnce)) == .noMatchingSubscribers)
            let own = try await harness.subscriber("s", of: "south", "t")
            #expect(try await publisher.publish(message("t", "y", qos: .atLeastOnce)) == .success)
            #expect(try await own.receive(1)[0].text == "y")
            #expect(try await own.unsubscribe(["t"]) == [.success])
            #expect(try await publisher.publish(message("t", "z", qos: .atLeastOnce)) == .noMatchingSubscribers)
            try await other.expectNoMessage()
            let neighbour = try await harness.connect("p", of: "north")
            #expect(try await neighbour.publish(message("t", "own", qos: .atLeastOnce)) == .success)
            #expect(try await other.receive(1)[0].text == "own")
        }
    }

    @Test("a client takes over a session of its own tenant alone", arguments: loopCounts)
    func takeover(loops: Int) async throws {
        try await withTenants(loops) { harness in
            let north = try await harness.subscriber("same", of: "north", "t") { $0.sessionExpirySeconds = 100 }
            let south = try await harness.connect("same", of: "south", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            let byDefault = try await harness.open()
            #expect(try await byDefault.connect("same", cleanStart: false) { $0.username = "user" }.sessionPresent == false)
            try await north.ping()
            let again = try await harness.open()
            #expect(try await again.connect("same", cleanStart: false) {
                $0.username = "user@north"
                $0.sessionExpirySeconds = 100
            }.sessionPresent)
            try await north.expectEnd(.sessionTakenOver)
            try await south.ping()
            try await byDefault.ping()
            #expect(await harness.broker.statistics().takeovers == 1)
            let publisher = try await harness.connect("publisher", of: "north")
            try await publisher.publish(message("t", "kept", qos: .atLeastOnce))
            #expect(try await again.receive(1)[0].text == "kept")
        }
    }

    @Test("retained messages of one topic are each tenant's own, set, replaced and cleared", arguments: loopCounts)
    func retained(loops: Int) async throws {
        try await withTenants(loops) { harness in
            for tenant in tenantNames {
                let publisher = try await harness.connect("p", of: tenant)
                for number in 0..<6 {
                    try await publisher.publish(message("r/\(number)", "\(tenant)-old", qos: .atLeastOnce, retain: true))
                    try await publisher.publish(message("r/\(number)", "\(tenant)-\(number)", qos: .atLeastOnce, retain: true))
                }
                try await publisher.disconnect()
            }
            try await harness.wait(for: "18 retained messages") { $0.retainedMessages == 18 }
            let clearing = try await harness.connect("p", of: "south")
            for number in 0..<3 { try await clearing.publish(message("r/\(number)", "", qos: .atLeastOnce, retain: true)) }
            try await harness.wait(for: "15 retained messages") { $0.retainedMessages == 15 }
            for tenant in tenantNames {
                for filter in ["#", "r/+", "r/4"] {
                    let client = try await harness.subscriber("s", of: tenant, filter)
                    let expected = filter == "r/4" ? [4] : tenant == "south" ? [3, 4, 5] : Array(0..<6)
                    #expect(try await client.receive(expected.count).map(\.text).sorted() == expected.map { "\(tenant)-\($0)" })
                    try await client.expectNoMessage()
                }
            }
        }
    }

    @Test("a replay of many retained messages, in pages, has none of a neighbour's", arguments: loopCounts)
    func manyRetained(loops: Int) async throws {
        try await withTenants(loops) { harness in
            for tenant in ["north", "south"] {
                for number in 0..<1_500 {
                    await harness.broker.publish(
                        Message(topic: try TopicName("r/\(number)"), payload: tenant.utf8, isRetained: true), tenant: tenant)
                }
            }
            try await harness.wait(for: "3,000 retained messages") { $0.retainedMessages == 3_000 }
            for tenant in ["south", "north"] {
                let client = try await harness.subscriber("s", of: tenant, "r/#", qos: .atMostOnce)
                let received = try await client.receive(1_500)
                #expect(received.allSatisfy { $0.text == tenant } && Set(received.map(\.topic)).count == 1_500)
                try await client.expectNoMessage()
            }
        }
    }

    @Test("groups with the same name and filter are each tenant's own", arguments: loopCounts)
    func shares(loops: Int) async throws {
        try await withTenants(loops) { harness in
            var members: [String: [ScriptedClient]] = [:]
            for tenant in tenantNames {
                for number in 0..<2 { members[tenant, default: []].append(try await harness.subscriber("m\(number)", of: tenant, "$share/g/t/+")) }
            }
            for tenant in tenantNames {
                let publisher = try await harness.connect("p", of: tenant)
                for number: UInt16 in 1...10 { try await publisher.publish(message("t/\(number)", tenant, qos: .atLeastOnce, id: number)) }
            }
            for tenant in tenantNames {
                for member in members[tenant]! {
                    #expect(try await member.receive(5).map(\.text) == Array(repeating: tenant, count: 5))
                    try await member.expectNoMessage()
                }
            }
            // A member that leaves hands over to its own group.
            for tenant in tenantNames { #expect(try await members[tenant]![0].unsubscribe(["$share/g/t/+"]) == [.success]) }
            let publisher = try await harness.connect("p", of: "south")
            try await publisher.publish(message("t/1", "south", qos: .atLeastOnce))
            #expect(try await members["south"]![1].receive(1)[0].text == "south")
            for member in members["north"]! + members[""]! { try await member.expectNoMessage() }
        }
    }

    @Test("a will is heard in its own tenant alone, at once and after its delay", arguments: loopCounts)
    func wills(loops: Int) async throws {
        try await withTenants(loops) { harness in
            var watchers: [ScriptedClient] = []
            for tenant in tenantNames { watchers.append(try await harness.subscriber("watcher", of: tenant, "#")) }
            for tenant in tenantNames {
                for delay: UInt32 in [0, 1] {
                    let client = try await harness.connect("c\(delay)", of: tenant) {
                        var will = Connect.Will(topic: "will", payload: Array("\(tenant)-will".utf8), qos: .atLeastOnce, retain: delay == 1)
                        will.delaySeconds = delay
                        $0.will = will
                        $0.sessionExpirySeconds = delay == 0 ? 0 : 100
                    }
                    await client.reset()
                }
            }
            for (tenant, watcher) in zip(tenantNames, watchers) {
                #expect(try await watcher.receive(2).map(\.text) == ["\(tenant)-will", "\(tenant)-will"])
                try await watcher.expectNoMessage()
                let late = try await harness.subscriber("late", of: tenant, "will")
                #expect(try await late.receive(1)[0].text == "\(tenant)-will")
            }
        }
    }

    @Test("No Local compares within the tenant", arguments: loopCounts)
    func noLocal(loops: Int) async throws {
        try await withTenants(loops) { harness in
            let client = try await harness.connect("same", of: "north")
            try await client.subscribe([Subscribe.Entry(filter: "t/#", qos: .exactlyOnce, noLocal: true)], identifier: 7)
            try await client.subscribe([Subscribe.Entry(filter: "t/+", qos: .atMostOnce)], identifier: 8)
            client.send(.publish(message("t/1", "own")))
            let own = try await client.receive(1)[0]
            #expect(own.text == "own" && own.subscriptionIDs == [8])
            let other = try await harness.connect("other", of: "north")
            try await other.publish(message("t/1", "other"))
            #expect(try await client.receive(1)[0].subscriptionIDs.sorted() == [7, 8])
        }
    }

    @Test("an embedding program and plugins publish to the tenant they name, or the publisher's", arguments: loopCounts)
    func embedded(loops: Int) async throws {
        let plugin = ScriptedPlugin(.init())
        try await withBroker(loops, plugins: [TenantPlugin(), plugin]) { harness in
            let north = try await harness.subscriber("s", of: "north", "#")
            let byDefault = try await harness.subscriber("s", of: "", "#")
            let log = MessageLog(try await harness.broker.subscribe(try TopicFilter("#"), tenant: "north"))
            func text(_ text: String, publisher: ClientInfo? = nil) throws -> Message {
                Message(topic: try TopicName("t"), payload: text.utf8, qos: .atLeastOnce, publisher: publisher)
            }
            let client = ClientInfo(tenant: "north", clientID: "x", username: nil, protocolVersion: .v5, peerAddress: "", listener: "")
            await harness.broker.publish(try text("named"), tenant: "north")
            await harness.broker.publish(try text("publisher", publisher: client))
            await harness.broker.publish(try text("for all"))
            await harness.broker.publish(try text("moved", publisher: client), tenant: "")
            let context = try #require(plugin.recorded.context)
            context.publish(try text("plugin", publisher: client))
            context.publish(try text("plugin's own"))
            #expect(try await north.receive(3).map(\.text) == ["named", "publisher", "plugin"])
            #expect(try await byDefault.receive(3).map(\.text) == ["for all", "moved", "plugin's own"])
            #expect(try await log.first(3).map(\.text) == ["named", "publisher", "plugin"])
            // What came from a tenant goes back there when it is published again.
            let again = try await log.first(1)[0]
            await harness.broker.publish(again)
            #expect(try await north.receive(1)[0].text == "named")
            try await byDefault.expectNoMessage()
        }
    }

    @Test("re-authentication keeps the tenant or ends the connection")
    func reauthentication() async throws {
        try await withTenants(1) { harness in
            func client() async throws -> ScriptedClient {
                try await harness.connect("c") {
                    $0.authenticationMethod = "MOVE"
                    $0.authenticationData = Array("north".utf8)
                }
            }
            let staying = try await client()
            staying.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "MOVE", authenticationData: Array("north".utf8))))
            let reason: ReasonCode = try await staying.first("AUTH") { if case .auth(let auth) = $0 { auth.reason } else { nil } }
            #expect(reason == .success)
            staying.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "MOVE", authenticationData: Array("south".utf8))))
            try await staying.expectEnd(.notAuthorized)
        }
    }

    @Test("figures are each tenant's own, and the default tenant has the rest", arguments: loopCounts)
    func statistics(loops: Int) async throws {
        try await withTenants(loops) { harness in
            #expect(await harness.broker.statistics().tenants.isEmpty)
            let subscriber = try await harness.subscriber("s", of: "north", "#") { $0.sessionExpirySeconds = 100 }
            let publisher = try await harness.connect("p", of: "north")
            let neighbour = try await harness.connect("p", of: "south")
            let byDefault = try await harness.connect("p", of: "")
            for id: UInt16 in 1...5 { try await publisher.publish(message("t", "12345", qos: .atLeastOnce, id: id, retain: id == 1)) }
            #expect(try await subscriber.receive(5).count == 5)
            try await neighbour.publish(message("$SYS/x", "", qos: .atLeastOnce))
            try await byDefault.publish(message("t", "x", qos: .atLeastOnce))
            await subscriber.close()
            try await harness.waitForOffline(1)
            try await publisher.publish(message("t", "x"))
            try await publisher.ping()
            let all = try await harness.wait(for: "a drop") { $0.tenants["north"]?.messagesDropped == 1 }
            let north = try #require(all.tenants["north"])
            #expect(north.connections == 1 && north.sessions == 2 && north.messagesReceived == 6 && north.messagesSent == 5)
            #expect(north.retainedMessages == 1 && north.retainedBytes == 6 && north.messagesRefused == 0)
            #expect(north.bytesReceived > 100 && north.bytesSent > 60)
            let south = try #require(all.tenants["south"])
            #expect(south.connections == 1 && south.sessions == 1 && south.messagesReceived == 1 && south.messagesRefused == 1)
            #expect(south.messagesSent == 0 && south.retainedMessages == 0)
            let rest = try #require(all.tenants[""])
            #expect(rest.connections == 1 && rest.sessions == 1 && rest.messagesReceived == 1 && rest.messagesDropped == 0)
            #expect(rest.bytesReceived > 0 && rest.bytesReceived < all.bytesReceived)
        }
    }

    @Test("numbers are given once, and no more than there may be")
    func numbers() {
        let directory = TenantDirectory(maxTenants: 2)
        #expect(directory.number(of: "") == 0)
        #expect(directory.number(of: "a") == 1 && directory.number(of: "é") == 2)
        #expect(directory.number(of: "c") == nil && directory.number(of: "a") == 1)
        #expect(directory.number(of: "e\u{301}") == nil, "names are compared byte by byte")
        #expect(directory.restored("c") == 3 && directory.number(of: "c") == 3, "what was stored comes back")
        #expect(directory.name(of: 2) == "é")
        #expect(TenantDirectory().number(of: String(repeating: "x", count: 1_025)) == nil)
    }
}
