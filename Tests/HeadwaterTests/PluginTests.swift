import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import NIOCore
import PluginAPI
import Testing

@Suite("Plugin hooks")
struct PluginTests {
    private func plugin(_ interests: HookInterests, _ adjust: (inout ScriptedPlugin.Script) -> Void = { _ in }) -> ScriptedPlugin {
        var script = ScriptedPlugin.Script()
        script.interests = interests
        adjust(&script)
        return ScriptedPlugin(script)
    }

    @Test("a plugin hears of clients and subscriptions in order", arguments: loopCounts)
    func events(loops: Int) async throws {
        let plugin = plugin([.connected, .disconnected, .subscribed, .unsubscribed, .delivered])
        try await withBroker(loops, plugins: [plugin]) { harness in
            #expect(plugin.recorded.isStarted)
            let client = try await harness.subscriber("client", "t", qos: .atLeastOnce)
            try await client.publish(message("t", "x", qos: .atLeastOnce))
            _ = try await client.receive(1)
            try await client.unsubscribe(["t", "u"])
            try await client.disconnect()
            try await harness.wait(for: "the end") { $0.sessions == 0 }
            #expect(plugin.recorded.events == [
                "connected client false", "subscribed client t 1", "delivered client t", "unsubscribed client t", "disconnected client client",
            ])
        }
        #expect(plugin.recorded.isStopped)
    }

    @Test("a plugin may refuse a connection", arguments: ProtocolVersion.allCases)
    func connecting(version: ProtocolVersion) async throws {
        let plugin = plugin(.connect) { $0.connecting = { $0.clientID == "bad" ? .refuse(.banned) : .proceed } }
        try await withBroker(1, plugins: [plugin]) { harness in
            let client = try await harness.open(version: version)
            let reason = try await client.connect("bad").reason
            #expect(reason == (version == .v5 ? .banned : .notAuthorized))
            try await client.expectClose()
            _ = try await harness.connect("good", version: version)
        }
    }

    @Test("a refused publish is answered in MQTT 5 and swallowed before, and counted", arguments: loopCounts, [ProtocolVersion.v3_1_1, .v5])
    func mayPublish(loops: Int, version: ProtocolVersion) async throws {
        let plugin = plugin(.authorizePublish) { $0.mayPublish = { $0.hasPrefix("no") ? .deny(.notAuthorized) : .allow } }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let watcher = try await harness.subscriber("watcher", "#")
            let client = try await harness.connect("client", version: version)
            let expected: ReasonCode = version == .v5 ? .notAuthorized : .success
            #expect(try await client.publish(message("no", "x", qos: .atLeastOnce)) == expected)
            #expect(try await client.publish(message("no", "x", qos: .exactlyOnce)) == expected)
            try await client.publish(message("no", "x"))
            try await client.publish(message("no/retained", "x", qos: .atLeastOnce, retain: true))
            // The identifier of a refused QoS 2 message is free again.
            try await client.publish(message("yes", "x", qos: .exactlyOnce))
            #expect(try await watcher.receive(1)[0].topic == "yes")
            let statistics = await harness.broker.statistics()
            #expect(statistics.messagesRefused == [.notAuthorized: 4] && statistics.retainedMessages == 0)
        }
    }

    @Test("a will is authorised when it is published")
    func willAuthorisation() async throws {
        let plugin = plugin(.authorizePublish) { $0.mayPublish = { $0 == "no" ? .deny(.notAuthorized) : .allow } }
        try await withBroker(1, plugins: [plugin]) { harness in
            let watcher = try await harness.subscriber("watcher", "#")
            for topic in ["no", "yes"] {
                let client = try await harness.connect(topic) { $0.will = Connect.Will(topic: topic, payload: []) }
                await client.close()
                try await harness.wait(for: "its end") { $0.sessions == 1 }
            }
            #expect(try await watcher.receive(1)[0].topic == "yes")
            #expect(await harness.broker.statistics().messagesRefused == [.notAuthorized: 1])
        }
    }

    @Test("a plugin may refuse or lower a subscription", arguments: [ProtocolVersion.v3_1_1, .v5])
    func maySubscribe(version: ProtocolVersion) async throws {
        let plugin = plugin(.authorizeSubscribe) { script in
            script.maySubscribe = { filter, qos in
                filter.string == "no" ? .refuse(.notAuthorized) : filter.string == "low" ? .grant(.atMostOnce) : .grant(.exactlyOnce)
            }
        }
        try await withBroker(1, plugins: [plugin]) { harness in
            let client = try await harness.connect("client", version: version)
            let reasons = try await client.subscribe(["no", "low", "high"].map { Subscribe.Entry(filter: $0, qos: .atLeastOnce) })
            #expect(reasons == [version == .v5 ? .notAuthorized : .unspecifiedError, .grantedQoS0, .grantedQoS1])
            #expect(await harness.broker.statistics().subscriptions == 2)
        }
    }

    @Test("deliveries are authorised one by one, live, queued and retained", arguments: loopCounts)
    func mayReceive(loops: Int) async throws {
        let plugin = plugin(.authorizeDelivery) { $0.mayReceive = { !$0.topic.hasSuffix("secret") } }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let publisher = try await harness.connect("publisher")
            for topic in ["t/secret", "t/open"] { try await publisher.publish(message(topic, "retained", qos: .atLeastOnce, retain: true)) }
            let client = try await harness.subscriber("client", "t/#", qos: .atLeastOnce) { $0.sessionExpirySeconds = 100 }
            #expect(try await client.receive(1)[0].topic == "t/open")
            for topic in ["t/secret", "t/1", "t/secret", "t/2"] { try await publisher.publish(message(topic, "live", qos: .atLeastOnce)) }
            #expect(try await client.receive(2).map(\.topic) == ["t/1", "t/2"])
            await client.close()
            try await harness.waitForOffline(1)
            for topic in ["t/secret", "t/3"] { try await publisher.publish(message(topic, "queued", qos: .atLeastOnce)) }
            let again = try await harness.connect("client", cleanStart: false)
            #expect(try await again.receive(1)[0].topic == "t/3")
            #expect(await harness.broker.statistics().dropped == [.notAuthorized: 4])
        }
    }

    @Test("a plugin may drop or refuse a message, for the topics that it wants alone", arguments: loopCounts)
    func willPublish(loops: Int) async throws {
        let filter = try TopicFilter("hooked/+")
        let plugin = plugin(.publish) { script in
            script.publishFilters = [filter]
            script.willPublish = { message in
                switch message.topic {
                case "hooked/drop": .drop
                case "hooked/refuse": .refuse(.payloadFormatInvalid)
                default: .proceed
                }
            }
        }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let watcher = try await harness.subscriber("watcher", "#", qos: .atLeastOnce)
            let client = try await harness.connect("client")
            #expect(try await client.publish(message("hooked/drop", "x", qos: .atLeastOnce)) == .success)
            #expect(try await client.publish(message("hooked/refuse", "x", qos: .exactlyOnce)) == .payloadFormatInvalid)
            #expect(try await client.publish(message("hooked/go", "x", qos: .atLeastOnce)) == .success)
            #expect(try await client.publish(message("drop", "x", qos: .atLeastOnce)) == .success)
            #expect(try await watcher.receive(2).map(\.topic) == ["hooked/go", "drop"])
            #expect(await harness.broker.statistics().messagesRefused == [.plugin: 2])
        }
    }

    @Test("a held message is routed at once and acknowledged when its plugin says so, others behind it", arguments: loopCounts, [QoS.atLeastOnce, .exactlyOnce])
    func hold(loops: Int, qos: QoS) async throws {
        let plugin = plugin(.publish) { $0.willPublish = { $0.topic == "held" ? .hold : .proceed } }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let watcher = try await harness.subscriber("watcher", "#", qos: qos)
            let client = try await harness.connect("client")
            client.send(
                .publish(message("held", "1", qos: qos, id: 1)), .publish(message("free", "2", qos: qos, id: 2)),
                .publish(message("held", "3", qos: qos, id: 3)))
            #expect(try await watcher.receive(3).map(\.text) == ["1", "2", "3"])
            try await client.ping()
            try await client.expectNothing()
            #expect(await harness.broker.statistics().heldPublishes == 2)
            func answer(_ id: UInt16, _ reason: ReasonCode = .success) -> Packet {
                let answer = Acknowledgement(packetID: id, reason: reason)
                return qos == .atLeastOnce ? .pubAck(answer) : .pubRec(answer)
            }
            plugin.recorded.completions[1].complete(.failed(.quotaExceeded))
            try await client.expectNothing()
            plugin.recorded.completions[0].complete(.fulfilled)
            plugin.recorded.completions[0].complete(.failed(.unspecifiedError))
            try await client.expect(answer(1))
            try await client.expect(answer(2))
            try await client.expect(answer(3, .quotaExceeded))
            #expect(await harness.broker.statistics().heldPublishes == 0)
        }
    }

    @Test("a failed promise closes an MQTT 3 connection without the acknowledgement", arguments: loopCounts)
    func failedForVersionThree(loops: Int) async throws {
        let plugin = plugin(.publish) { $0.willPublish = { _ in .hold } }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let client = try await harness.connect("client", version: .v3_1_1)
            client.send(.publish(message("t", "x", qos: .atLeastOnce)))
            try await harness.wait(for: "the hold") { $0.heldPublishes == 1 }
            plugin.recorded.completions[0].complete(.failed(.serverBusy))
            try await client.expectClose()
        }
    }

    @Test("held messages up to the receive maximum pause the publisher, and never close it", arguments: loopCounts, QoS.allCases)
    func pausing(loops: Int, qos: QoS) async throws {
        let plugin = plugin(.publish) { $0.willPublish = { _ in .hold } }
        try await withBroker(loops, plugins: [plugin], configure: { $0.sessions.receiveMaximum = 10 }) { harness in
            let watcher = try await harness.subscriber("watcher", "t")
            let client = try await harness.connect("client")
            client.send((1...10).map { .publish(message("t", "\($0)", qos: qos, id: UInt16($0))) })
            #expect(try await watcher.receive(10).count == 10)
            try await harness.wait(for: "a pause") { $0.heldPublishes == 10 && $0.pausedPublishers == 1 }
            client.send(.pingReq)
            try await client.expectNothing()
            for completion in plugin.recorded.completions { completion.complete(.fulfilled) }
            // The pause is over with the first that are complete; with a store, acknowledgements of the others may come later.
            var isAnswered = false
            if qos != .atMostOnce {
                for id: UInt16 in 1...10 {
                    var packet = try await client.next()
                    if packet == .pingResp {
                        isAnswered = true
                        packet = try await client.next()
                    }
                    let answer = Acknowledgement(packetID: id)
                    #expect(packet == (qos == .atLeastOnce ? .pubAck(answer) : .pubRec(answer)))
                }
            }
            if !isAnswered { try await client.expect(.pingResp) }
            #expect(await harness.broker.statistics().pausedPublishers == 0)
        }
    }

    @Test("a publisher that goes while it is held leaves nothing behind", arguments: loopCounts)
    func goneWhileHeld(loops: Int) async throws {
        let plugin = plugin(.publish) { $0.willPublish = { _ in .hold } }
        try await withBroker(loops, plugins: [plugin], configure: { $0.sessions.receiveMaximum = 4 }) { harness in
            let client = try await harness.connect("client")
            client.send((1...4).map { .publish(message("t", "x", qos: .atLeastOnce, id: $0)) })
            try await harness.wait(for: "the holds") { $0.heldPublishes == 4 }
            await client.reset()
            // The connection is paused: what shows that it has gone is that its socket fails.
            for completion in plugin.recorded.completions { completion.complete(.fulfilled) }
            let statistics = try await harness.wait(for: "nothing") { $0.heldPublishes == 0 && $0.connections == 0 }
            #expect(statistics.pausedPublishers == 0)
            try await harness.expectHealthyWhileHolding(plugin)
        }
    }

    @Test("a held QoS 2 message that is sent again on a new connection is acknowledged there", arguments: loopCounts)
    func heldAcrossConnections(loops: Int) async throws {
        let plugin = plugin(.publish) { $0.willPublish = { _ in .hold } }
        try await withBroker(loops, plugins: [plugin]) { harness in
            let watcher = try await harness.subscriber("watcher", "t")
            let first = try await harness.connect("client") { $0.sessionExpirySeconds = 100 }
            first.send(.publish(message("t", "once", qos: .exactlyOnce, id: 5)))
            #expect(try await watcher.receive(1)[0].text == "once")
            let second = try await harness.connect("client", cleanStart: false) { $0.sessionExpirySeconds = 100 }
            second.send(.publish(message("t", "once", qos: .exactlyOnce, id: 5) { $0.dup = true }))
            try await second.ping()
            plugin.recorded.completions[0].complete(.fulfilled)
            try await second.expect(.pubRec(Acknowledgement(packetID: 5)))
            second.send(.pubRel(Acknowledgement(packetID: 5)))
            try await second.expect(.pubComp(Acknowledgement(packetID: 5)))
            try await watcher.expectNothing()
            #expect(plugin.recorded.completions.count == 1)
        }
    }

    @Test("two plugins that hold are both waited for", arguments: loopCounts)
    func twoPlugins(loops: Int) async throws {
        let one = plugin(.publish) { $0.willPublish = { _ in .hold } }
        let two = plugin(.publish) { $0.willPublish = { _ in .hold } }
        try await withBroker(loops, plugins: [one, two]) { harness in
            let client = try await harness.connect("client")
            client.send(.publish(message("t", "x", qos: .atLeastOnce)))
            try await harness.wait(for: "the hold") { $0.heldPublishes == 1 }
            two.recorded.completions[0].complete(.fulfilled)
            try await client.expectNothing()
            one.recorded.completions[0].complete(.fulfilled)
            try await client.expect(.pubAck(Acknowledgement(packetID: 1, reason: .success)))
        }
    }

    @Test("a plugin's own messages reach every loop", arguments: loopCounts)
    func context(loops: Int) async throws {
        let plugin = plugin([])
        try await withBroker(loops, plugins: [plugin]) { harness in
            let clients = try await (0..<loops).map { $0 }.asyncMap { try await harness.subscriber("client-\($0)", "t") }
            let context = try #require(plugin.recorded.context)
            #expect(context.loopCount == loops)
            context.publish(Message(topic: try TopicName("t"), payload: "x".utf8))
            for client in clients { #expect(try await client.receive(1)[0].text == "x") }
        }
    }
}

extension BrokerHarness {
    /// `expectHealthy` for a plugin that holds every message.
    fileprivate func expectHealthyWhileHolding(_ plugin: ScriptedPlugin) async throws {
        let before = plugin.recorded.completions.count
        let client = try await connect("healthy")
        client.send(.publish(message("t", "x", qos: .atLeastOnce)))
        try await wait(for: "the hold") { $0.heldPublishes == 1 }
        plugin.recorded.completions[before].complete(.fulfilled)
        try await client.expect(.pubAck(Acknowledgement(packetID: 1)))
    }
}
