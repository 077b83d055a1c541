import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import Testing

@Suite("CONNECT and CONNACK")
struct ConnectTests {
    @Test("MQTT 3.1, 3.1.1 and 5 are accepted", arguments: loopCounts, ProtocolVersion.allCases)
    func versions(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.open(version: version)
            let answer = try await client.connect("client")
            #expect(answer.reason == .success && !answer.sessionPresent)
            try await client.ping()
        }
    }

    @Test("an MQTT 5 CONNACK announces the limits")
    func announcements() async throws {
        try await withBroker(1, configure: { configuration in
            configuration.limits.maxPacketBytes = 5_000
            configuration.sessions.receiveMaximum = 77
            configuration.sessions.topicAliasMaximum = 9
            configuration.sessions.maxQoS = 1
            configuration.retained.isAvailable = false
        }) { harness in
            let answer = try await harness.open().connect("client")
            #expect(answer.maximumPacketSize == 5_000)
            #expect(answer.receiveMaximum == 77)
            #expect(answer.topicAliasMaximum == 9)
            #expect(answer.maximumQoS == .atLeastOnce)
            #expect(!answer.retainAvailable)
            #expect(answer.assignedClientID == nil && answer.serverKeepAliveSeconds == nil && answer.sessionExpirySeconds == nil)
        }
    }

    @Test("the bridge bit of MQTT 3 is accepted")
    func bridgeBit() async throws {
        try await withBroker(1) { harness in
            let client = try await harness.open(version: .v3_1_1)
            #expect(try await client.connect("bridge") { $0.isBridge = true }.reason == .success)
        }
    }

    @Test(
        "an unknown protocol level is answered and closed",
        arguments: [
            ("00 04 'MQTT' 06 02 00 00 00 00 00", ProtocolVersion.v5), ("00 04 'MQTT' FF 02 00 00 00 00 00", .v5),
            ("00 04 'MQTT' 03 02 00 00 00 00", .v3_1_1), ("00 06 'MQIsdp' 04 02 00 00 00 00", .v3_1_1),
        ])
    func unknownLevel(body: String, answer: ProtocolVersion) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.open(version: answer)
            client.send(bytes: framed(0x10, wire(body)))
            let refusal = try await client.first("CONNACK") { if case .connAck(let connAck) = $0 { connAck } else { nil } }
            #expect(refusal.reason == .unsupportedProtocolVersion)
            try await client.expectClose()
        }
    }

    @Test("a protocol name that is not MQTT's is closed without an answer", arguments: ["mqtt", "MQTX", "", "HTTP"])
    func wrongName(name: String) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.open()
            let body = [0, UInt8(name.utf8.count)] + name.utf8 + [5, 2, 0, 0, 0, 0, 0]
            client.send(bytes: [0x10, UInt8(body.count)] + body)
            try await client.expectClose()
        }
    }

    @Test("an empty client identifier is given one by MQTT 5, taken clean by 3.1.1, and else refused", arguments: loopCounts)
    func emptyClientID(loops: Int) async throws {
        try await withBroker(loops) { harness in
            let first = try await harness.open().connect("", cleanStart: false).assignedClientID
            let second = try await harness.open().connect("").assignedClientID
            #expect(first?.isEmpty == false && second?.isEmpty == false && first != second)
            #expect(try await harness.open(version: .v3_1_1).connect("").reason == .success)
            for (version, cleanStart) in [(ProtocolVersion.v3_1_1, false), (.v3_1, true), (.v3_1, false)] {
                let client = try await harness.open(version: version)
                #expect(try await client.connect("", cleanStart: cleanStart).reason == .clientIdentifierNotValid)
                try await client.expectClose()
            }
        }
    }

    @Test("an assigned client identifier resumes the session that it named")
    func assignedResumes() async throws {
        try await withBroker(1) { harness in
            let first = try await harness.open()
            let id = try #require(await first.connect("") { $0.sessionExpirySeconds = 60 }.assignedClientID)
            await first.close()
            try await harness.waitForOffline(1)
            #expect(try await harness.open().connect(id, cleanStart: false) { $0.sessionExpirySeconds = 60 }.sessionPresent)
        }
    }

    @Test("a client identifier above the limit is refused", arguments: ProtocolVersion.allCases)
    func longClientID(version: ProtocolVersion) async throws {
        try await withBroker(1, configure: { $0.limits.maxClientIDBytes = 23 }) { harness in
            let client = try await harness.open(version: version)
            #expect(try await client.connect(String(repeating: "x", count: 24)).reason == .clientIdentifierNotValid)
            try await client.expectClose()
            #expect(try await harness.open(version: version).connect(String(repeating: "x", count: 23)).reason == .success)
        }
    }

    @Test("a second CONNECT closes the connection", arguments: loopCounts, ProtocolVersion.allCases)
    func secondConnect(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops) { harness in
            let client = try await harness.connect("client", version: version)
            client.send(.connect(Connect(protocolVersion: version, clientID: "client")))
            try await client.expectEnd(.protocolError)
        }
    }

    @Test("a first packet that is not CONNECT is closed without an answer", arguments: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0])
    func notConnect(type: UInt8) async throws {
        try await withBroker(1) { harness in
            let client = try await harness.open()
            client.send(bytes: [type << 4 | ([6, 8, 10].contains(type) ? 2 : 0), 0])
            try await client.expectClose()
        }
    }

    @Test("a peer that sends no whole CONNECT in time is closed", arguments: [[UInt8](), [0x10], [0x10, 20, 0, 4]])
    func timeout(bytes: [UInt8]) async throws {
        try await withBroker(1, configure: { $0.limits.connectTimeoutSeconds = 1 }) { harness in
            let client = try await harness.open()
            client.send(bytes: bytes)
            try await client.expectClose(within: .seconds(5))
        }
    }

    @Test("a password without a user name is MQTT 5's alone")
    func passwordAlone() async throws {
        try await withBroker(1) { harness in
            #expect(try await harness.open().connect("five") { $0.password = [1] }.reason == .success)
            let client = try await harness.open(version: .v3_1_1)
            client.send(bytes: [0x10, 16, 0, 4] + "MQTT".utf8 + [4, 0x42, 0, 0, 0, 1, 0x61, 0, 1, 1])
            try await client.expectClose()
        }
    }

    @Test("a listener that wants to know who comes refuses strangers", arguments: ProtocolVersion.allCases)
    func notAnonymous(version: ProtocolVersion) async throws {
        try await withBroker(1, configure: { $0.listeners[0].allowsAnonymous = false }) { harness in
            let client = try await harness.open(version: version)
            #expect(try await client.connect("client").reason == .notAuthorized)
            try await client.expectClose()
            #expect(await harness.broker.statistics().connectionsRefused == [0x87: 1])
        }
    }

    @Test("connections above a listener's limit are closed, and there is room again when one goes", arguments: loopCounts)
    func connectionLimit(loops: Int) async throws {
        try await withBroker(loops, configure: { $0.listeners[0].maxConnections = 2 }) { harness in
            let first = try await harness.connect("a")
            _ = try await harness.connect("b")
            let third = try await harness.open()
            try await third.expectClose()
            await first.close()
            try await harness.wait(for: "room") { $0.connections == 1 }
            _ = try await harness.connect("c")
        }
    }

    @Test("a will that the server can't keep is refused")
    func impossibleWill() async throws {
        try await withBroker(1, configure: { configuration in
            configuration.sessions.maxQoS = 1
            configuration.retained.isAvailable = false
        }) { harness in
            let wills: [(Connect.Will, ReasonCode)] = [
                (Connect.Will(topic: "w", payload: [], qos: .exactlyOnce), .qosNotSupported),
                (Connect.Will(topic: "w", payload: [], retain: true), .retainNotSupported),
                (Connect.Will(topic: "$SYS/w", payload: []), .topicNameInvalid),
            ]
            for (will, reason) in wills {
                let client = try await harness.open()
                #expect(try await client.connect("client") { $0.will = will }.reason == reason)
                try await client.expectClose()
            }
        }
    }

    @Test("packets behind CONNECT in one segment are handled in order, wherever the session lives", arguments: loopCounts)
    func pipelined(loops: Int) async throws {
        try await withBroker(loops) { harness in
            for round in 0..<6 {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "pipe")
                connect.cleanStart = false
                connect.sessionExpirySeconds = 100
                client.send(
                    .connect(connect), .subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: "p", qos: .atLeastOnce)])),
                    .publish(message("p", "\(round)", qos: .atLeastOnce, id: 2)), .pingReq)
                let connAck = try await client.next()
                guard case .connAck(let answer) = connAck else { throw ScriptedClientError("\(connAck)", file: #fileID, line: #line) }
                #expect(answer.sessionPresent == (round > 0))
                try await client.expect(.subAck(SubAck(packetID: 1, reasons: [.grantedQoS1])))
                #expect(try await client.receive(1).first?.text == "\(round)")
                try await client.expect(.pubAck(Acknowledgement(packetID: 2)))
                try await client.expect(.pingResp)
                try await client.ping()  // the broker has PUBACK: nothing comes again in the next round
                await client.close()
            }
        }
    }

    @Test("reason strings are there unless the client asked for none")
    func problemInformation() async throws {
        try await withBroker(1) { harness in
            for wants in [true, false] {
                let client = try await harness.connect("client") { $0.requestProblemInformation = wants }
                client.send(.connect(Connect(protocolVersion: .v5, clientID: "client")))
                let end = try await client.next()
                guard case .disconnect(let disconnect) = end else { throw ScriptedClientError("\(end)", file: #fileID, line: #line) }
                #expect((disconnect.reasonString != nil) == wants)
                let refused = try await harness.open()
                let answer = try await refused.connect("client") {
                    $0.requestProblemInformation = wants
                    $0.will = Connect.Will(topic: "$SYS/x", payload: [])
                }
                #expect((answer.reasonString != nil) == wants)
            }
        }
    }

    @Test("data after DISCONNECT is nobody's")
    func afterDisconnect() async throws {
        try await withBroker(1) { harness in
            let watcher = try await harness.subscriber("watcher", "#")
            let client = try await harness.connect("client")
            client.send(.disconnect(Disconnect()), .publish(message("late", "x")))
            try await client.expectClose()
            try await watcher.ping()
            try await watcher.expectNothing()
        }
    }
}
