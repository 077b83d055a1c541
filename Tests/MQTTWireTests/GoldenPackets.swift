import MQTTModel
import MQTTWire
import Testing

/// Packets as the specifications print them, beside the values that they say. Every one is in its shortest form, so
/// that it is checked in both directions.
struct GoldenPacket: Sendable, CustomTestStringConvertible {
    let name: String
    let version: ProtocolVersion
    let peer: Peer
    let bytes: [UInt8]
    let packet: Packet

    init(_ name: String, _ version: ProtocolVersion, _ peer: Peer, _ text: String, _ packet: Packet) {
        self.name = name
        self.version = version
        self.peer = peer
        self.bytes = wire(text)
        self.packet = packet
    }

    var testDescription: String { "\(name), \(version)" }

    static let all: [GoldenPacket] = connects + publishes + subscriptions + rest

    private static let connects: [GoldenPacket] = [
        GoldenPacket(
            "CONNECT of a bridge", .v3_1, .client, "10 0F 00 06 'MQIsdp' 83 02 00 3C 00 01 'c'",
            .connect(Connect(.v3_1, "c") { $0.isBridge = true; $0.keepAliveSeconds = 60 })),
        GoldenPacket(
            // MQTT 3.1.1 figure 3.6: user name, password, will of QoS 1, clean session, keep alive 10
            "CONNECT with will and login", .v3_1_1, .client,
            "10 1A 00 04 'MQTT' 04 CE 00 0A 00 01 'c' 00 01 'w' 00 02 'hi' 00 01 'u' 00 01 'p'",
            .connect(fullConnect(.v3_1_1))),
        GoldenPacket(
            // MQTT 5.0 figure 3-6: the same and Session Expiry Interval 10
            "CONNECT with will and login", .v5, .client,
            "10 21 00 04 'MQTT' 05 CE 00 0A 05 11 00 00 00 0A 00 01 'c' 00 00 01 'w' 00 02 'hi' 00 01 'u' 00 01 'p'",
            .connect(
                { () -> Connect in
                    var connect = fullConnect(.v5)
                    connect.sessionExpirySeconds = 10
                    return connect
                }())),
        GoldenPacket(
            "CONNECT with every property", .v5, .client,
            """
            10 52 00 04 'MQTT' 05 6C 00 00 24
            11 FF FF FF FF 15 00 01 'm' 16 00 02 00 FF 17 00 19 01 21 00 0A 22 00 05 26 00 01 'k' 00 01 'v' 27 00 00 01 00
            00 00
            18 01 01 02 00 00 00 05 03 00 01 't' 08 00 01 'r' 09 00 01 00 18 00 00 00 07
            00 01 'w' 00 00 00 01 AA
            """,
            .connect(
                Connect(.v5, "") {
                    $0.cleanStart = false
                    $0.sessionExpirySeconds = 0xFFFF_FFFF
                    $0.authenticationMethod = "m"
                    $0.authenticationData = [0, 255]
                    $0.requestProblemInformation = false
                    $0.requestResponseInformation = true
                    $0.receiveMaximum = 10
                    $0.topicAliasMaximum = 5
                    $0.userProperties = [UserProperty("k", "v")]
                    $0.maximumPacketSize = 256
                    $0.password = [0xAA]
                    var will = Connect.Will(topic: "w", payload: [], qos: .atLeastOnce, retain: true)
                    will.delaySeconds = 7
                    will.expirySeconds = 5
                    will.properties = PublishProperties(
                        payloadIsUTF8: true, contentType: "t", responseTopic: "r", correlationData: [0])
                    $0.will = will
                })),
        GoldenPacket("CONNACK", .v3_1, .server, "20 02 00 00", .connAck(ConnAck())),
        GoldenPacket("CONNACK", .v3_1_1, .server, "20 02 01 00", .connAck(ConnAck(sessionPresent: true))),
        GoldenPacket("CONNACK, refused", .v3_1_1, .server, "20 02 00 05", .connAck(ConnAck(reason: .notAuthorized))),
        GoldenPacket("CONNACK", .v5, .server, "20 03 01 00 00", .connAck(ConnAck(sessionPresent: true))),
        GoldenPacket(
            "CONNACK with every property", .v5, .server,
            """
            20 3F 00 00 3C
            11 00 00 00 0A 12 00 01 'c' 13 00 3C 15 00 01 'm' 16 00 01 01 1A 00 01 'i' 1C 00 01 's' 1F 00 01 'r'
            21 00 14 22 00 05 24 01 25 00 26 00 01 'k' 00 01 'v' 27 00 00 01 00 28 00 29 00 2A 00
            """,
            .connAck(
                { () -> ConnAck in
                    var connAck = ConnAck()
                    connAck.sessionExpirySeconds = 10
                    connAck.assignedClientID = "c"
                    connAck.serverKeepAliveSeconds = 60
                    connAck.authenticationMethod = "m"
                    connAck.authenticationData = [1]
                    connAck.responseInformation = "i"
                    connAck.serverReference = "s"
                    connAck.reasonString = "r"
                    connAck.receiveMaximum = 20
                    connAck.topicAliasMaximum = 5
                    connAck.maximumQoS = .atLeastOnce
                    connAck.retainAvailable = false
                    connAck.userProperties = [UserProperty("k", "v")]
                    connAck.maximumPacketSize = 256
                    connAck.wildcardSubscriptionAvailable = false
                    connAck.subscriptionIdentifiersAvailable = false
                    connAck.sharedSubscriptionAvailable = false
                    return connAck
                }())),
    ]

    private static let publishes: [GoldenPacket] = [
        GoldenPacket("PUBLISH QoS 0", .v3_1_1, .client, "30 07 00 03 'a/b' 'hi'", .publish(Publish(topic: "a/b", payload: [104, 105]))),
        GoldenPacket(
            // MQTT 3.1.1 figure 3.11: topic a/b, packet identifier 10
            "PUBLISH QoS 1", .v3_1_1, .client, "32 07 00 03 'a/b' 00 0A",
            .publish(Publish(topic: "a/b", payload: [], qos: .atLeastOnce, packetID: 10))),
        GoldenPacket(
            // MQTT 5.0 figure 3-9: topic a/b, packet identifier 10, no properties
            "PUBLISH QoS 2, DUP and RETAIN", .v5, .client, "3D 09 00 03 'a/b' 00 0A 00 FF",
            .publish(Publish(topic: "a/b", payload: [255], qos: .exactlyOnce, retain: true, dup: true, packetID: 10))),
        GoldenPacket(
            "PUBLISH by alias", .v5, .client, "30 06 00 00 03 23 00 07",
            .publish(Publish(topic: "", payload: []) { $0.topicAlias = 7 })),
        GoldenPacket(
            "PUBLISH with every property", .v5, .server,
            """
            30 30 00 01 't' 2B 01 01 02 00 00 00 05 03 00 01 'x' 08 00 01 'r' 09 00 02 00 FF 0B 01 0B FF FF FF 7F
            23 00 07 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 00 '!'
            """,
            .publish(
                Publish(topic: "t", payload: [33]) {
                    $0.expirySeconds = 5
                    $0.topicAlias = 7
                    $0.subscriptionIDs = [1, 268_435_455]
                    $0.properties = PublishProperties(
                        payloadIsUTF8: true, contentType: "x", responseTopic: "r", correlationData: [0, 255],
                        userProperties: [UserProperty("k", "v"), UserProperty("k", "")])
                })),
        GoldenPacket("PUBACK", .v3_1_1, .client, "40 02 00 0A", .pubAck(Acknowledgement(packetID: 10))),
        GoldenPacket("PUBREC", .v3_1_1, .client, "50 02 00 0A", .pubRec(Acknowledgement(packetID: 10))),
        GoldenPacket("PUBREL", .v3_1_1, .client, "62 02 00 0A", .pubRel(Acknowledgement(packetID: 10))),
        GoldenPacket("PUBCOMP", .v3_1_1, .client, "70 02 00 0A", .pubComp(Acknowledgement(packetID: 10))),
        GoldenPacket("PUBACK, success", .v5, .server, "40 02 00 0A", .pubAck(Acknowledgement(packetID: 10))),
        GoldenPacket(
            "PUBACK, no subscriber", .v5, .server, "40 03 00 0A 10",
            .pubAck(Acknowledgement(packetID: 10, reason: .noMatchingSubscribers))),
        GoldenPacket(
            "PUBREC with properties", .v5, .server, "50 0F FF FF 97 0B 1F 00 01 'r' 26 00 01 'k' 00 01 'v'",
            .pubRec(Acknowledgement(packetID: 65_535, reason: .quotaExceeded, "r"))),
        GoldenPacket(
            "PUBREL, not found", .v5, .client, "62 03 00 0A 92",
            .pubRel(Acknowledgement(packetID: 10, reason: .packetIdentifierNotFound))),
        GoldenPacket(
            "PUBCOMP with properties", .v5, .client, "70 0F 00 0A 00 0B 1F 00 01 'r' 26 00 01 'k' 00 01 'v'",
            .pubComp(Acknowledgement(packetID: 10, reason: .success, "r"))),
    ]

    private static let subscriptions: [GoldenPacket] = [
        GoldenPacket(
            // MQTT 3.1.1 figure 3.23: a/b with QoS 1, c/d with QoS 2
            "SUBSCRIBE", .v3_1_1, .client, "82 0E 00 0A 00 03 'a/b' 01 00 03 'c/d' 02",
            .subscribe(
                Subscribe(
                    packetID: 10,
                    entries: [.init(filter: "a/b", qos: .atLeastOnce), .init(filter: "c/d", qos: .exactlyOnce)]))),
        GoldenPacket(
            "SUBSCRIBE", .v5, .client, "82 1B 00 0A 0A 0B 80 01 26 00 01 'k' 00 01 'v' 00 03 'a/b' 1D 00 05 '$x/+#' 22",
            .subscribe(
                { () -> Subscribe in
                    var subscribe = Subscribe(
                        packetID: 10,
                        entries: [
                            .init(
                                filter: "a/b", qos: .atLeastOnce, noLocal: true, retainAsPublished: true,
                                retainHandling: .sendIfNew),
                            // Not a topic filter: SUBACK says so, the decoder does not.
                            .init(filter: "$x/+#", qos: .exactlyOnce, retainHandling: .doNotSend),
                        ])
                    subscribe.subscriptionID = 128
                    subscribe.userProperties = [UserProperty("k", "v")]
                    return subscribe
                }())),
        GoldenPacket(
            "SUBACK", .v3_1_1, .server, "90 05 00 0A 00 02 80",
            .subAck(SubAck(packetID: 10, reasons: [.grantedQoS0, .grantedQoS2, .unspecifiedError]))),
        GoldenPacket(
            "SUBACK", .v5, .server, "90 0A 00 0A 04 1F 00 01 'r' 00 02 8F",
            .subAck(
                { () -> SubAck in
                    var subAck = SubAck(packetID: 10, reasons: [.grantedQoS0, .grantedQoS2, .topicFilterInvalid])
                    subAck.reasonString = "r"
                    return subAck
                }())),
        GoldenPacket(
            // MQTT 3.1.1 figure 3.30
            "UNSUBSCRIBE", .v3_1_1, .client, "A2 0C 00 0A 00 03 'a/b' 00 03 'c/d'",
            .unsubscribe(Unsubscribe(packetID: 10, filters: ["a/b", "c/d"]))),
        GoldenPacket(
            "UNSUBSCRIBE", .v5, .client, "A2 0F 00 0A 07 26 00 01 'k' 00 01 'v' 00 03 'a/b'",
            .unsubscribe(
                { () -> Unsubscribe in
                    var unsubscribe = Unsubscribe(packetID: 10, filters: ["a/b"])
                    unsubscribe.userProperties = [UserProperty("k", "v")]
                    return unsubscribe
                }())),
        GoldenPacket("UNSUBACK", .v3_1_1, .server, "B0 02 00 0A", .unsubAck(UnsubAck(packetID: 10, reasons: []))),
        GoldenPacket(
            "UNSUBACK", .v5, .server, "B0 05 00 0A 00 00 11",
            .unsubAck(UnsubAck(packetID: 10, reasons: [.success, .noSubscriptionExisted]))),
    ]

    private static let rest: [GoldenPacket] = [
        GoldenPacket("PINGREQ", .v3_1, .client, "C0 00", .pingReq),
        GoldenPacket("PINGRESP", .v5, .server, "D0 00", .pingResp),
        GoldenPacket("DISCONNECT", .v3_1_1, .client, "E0 00", .disconnect(Disconnect())),
        GoldenPacket("DISCONNECT, normal", .v5, .client, "E0 00", .disconnect(Disconnect())),
        GoldenPacket("DISCONNECT with will", .v5, .client, "E0 01 04", .disconnect(Disconnect(reason: .disconnectWithWill))),
        GoldenPacket(
            "DISCONNECT with new expiry", .v5, .client, "E0 07 00 05 11 00 00 00 0A",
            .disconnect(
                { () -> Disconnect in
                    var disconnect = Disconnect()
                    disconnect.sessionExpirySeconds = 10
                    return disconnect
                }())),
        GoldenPacket(
            "DISCONNECT, server moved", .v5, .server, "E0 0A 9D 08 1C 00 01 's' 1F 00 01 'r'",
            .disconnect(
                { () -> Disconnect in
                    var disconnect = Disconnect(reason: .serverMoved, reasonString: "r")
                    disconnect.serverReference = "s"
                    return disconnect
                }())),
        GoldenPacket("AUTH, empty success", .v5, .server, "F0 00", .auth(Auth(reason: .success, authenticationMethod: nil))),
        GoldenPacket(
            "AUTH, continue", .v5, .client, "F0 0A 18 08 15 00 01 'm' 16 00 01 FF",
            .auth(Auth(reason: .continueAuthentication, authenticationMethod: "m", authenticationData: [255]))),
    ]

    private static func fullConnect(_ version: ProtocolVersion) -> Connect {
        Connect(version, "c") {
            $0.keepAliveSeconds = 10
            $0.username = "u"
            $0.password = [112]
            $0.will = Connect.Will(topic: "w", payload: [104, 105], qos: .atLeastOnce)
        }
    }
}

extension Connect {
    init(_ version: ProtocolVersion, _ clientID: String, _ set: (inout Connect) -> Void) {
        self.init(protocolVersion: version, clientID: clientID)
        set(&self)
    }
}

extension Publish {
    init(topic: String, payload: [UInt8], _ set: (inout Publish) -> Void) {
        self.init(topic: topic, payload: payload)
        set(&self)
    }
}

extension Acknowledgement {
    /// With the reason string and the user property k = v.
    init(packetID: UInt16, reason: ReasonCode, _ reasonString: String) {
        self.init(packetID: packetID, reason: reason)
        self.reasonString = reasonString
        userProperties = [UserProperty("k", "v")]
    }
}
