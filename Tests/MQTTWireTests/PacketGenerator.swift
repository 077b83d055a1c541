import MQTTModel
import MQTTWire

/// Random numbers from a seed (SplitMix64), so that a failure can be had again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func bytes(upTo count: Int) -> [UInt8] { (0..<below(count + 1)).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

/// Random packets, each legal in its version.
struct PacketGenerator {
    var random: SeededGenerator
    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// A packet with the peer that may send it.
    mutating func packet(_ version: ProtocolVersion) -> (Packet, Peer) {
        let isV5 = version == .v5
        let either: Peer = random.chance(50) ? .client : .server
        switch random.below(isV5 ? 15 : 14) {
        case 0: return (.connect(connect(version)), .client)
        case 1: return (.connAck(connAck(version)), .server)
        case 2: return (.publish(publish(version, to: either == .client ? .server : .client)), either)
        case 3: return (.pubAck(acknowledgement(version, [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])), either)
        case 4: return (.pubRec(acknowledgement(version, [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])), either)
        case 5: return (.pubRel(acknowledgement(version, [0, 0x92])), either)
        case 6: return (.pubComp(acknowledgement(version, [0, 0x92])), either)
        case 7: return (.subscribe(subscribe(version)), .client)
        case 8:
            var subAck = SubAck(packetID: id(), reasons: reasons(isV5 ? [0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2] : [0, 1, 2, 0x80]))
            if isV5 { (subAck.reasonString, subAck.userProperties) = (maybe { $0.text() }, userProperties()) }
            return (.subAck(subAck), .server)
        case 9:
            var unsubscribe = Unsubscribe(packetID: id(), filters: (0...random.below(4)).map { _ in text(atLeast: 1) })
            if isV5 { unsubscribe.userProperties = userProperties() }
            return (.unsubscribe(unsubscribe), .client)
        case 10:
            var unsubAck = UnsubAck(packetID: id(), reasons: isV5 ? reasons([0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]) : [])
            if isV5 { (unsubAck.reasonString, unsubAck.userProperties) = (maybe { $0.text() }, userProperties()) }
            return (.unsubAck(unsubAck), .server)
        case 11: return (.pingReq, .client)
        case 12: return (.pingResp, .server)
        case 13: return disconnect(version, either)
        default:
            var auth = Auth(reason: .continueAuthentication, authenticationMethod: text(), authenticationData: maybe { $0.random.bytes(upTo: 20) })
            auth.reasonString = maybe { $0.text() }
            auth.userProperties = userProperties()
            return (.auth(auth), either)
        }
    }

    private mutating func disconnect(_ version: ProtocolVersion, _ either: Peer) -> (Packet, Peer) {
        var disconnect = Disconnect()
        guard version == .v5 else { return (.disconnect(disconnect), .client) }
        disconnect.reason = ReasonCode(rawValue: pick([0, 0x80, 0x81, 0x82, 0x83, 0x93, 0x94, 0x95]))
        if either == .client { disconnect.sessionExpirySeconds = maybe { UInt32(truncatingIfNeeded: $0.random.next()) } }
        disconnect.reasonString = maybe { $0.text() }
        disconnect.serverReference = maybe { $0.text() }
        disconnect.userProperties = userProperties()
        return (.disconnect(disconnect), either)
    }

    private mutating func connect(_ version: ProtocolVersion) -> Connect {
        var connect = Connect(protocolVersion: version, clientID: text())
        connect.isBridge = version != .v5 && random.chance(20)
        connect.cleanStart = random.chance(50)
        connect.keepAliveSeconds = UInt16(truncatingIfNeeded: random.next())
        connect.username = maybe { $0.text() }
        if version == .v5 || connect.username != nil { connect.password = maybe { $0.random.bytes(upTo: 30) } }
        if random.chance(50) {
            var will = Connect.Will(topic: topic(), payload: random.bytes(upTo: 200), qos: qos(), retain: random.chance(50))
            if version == .v5 {
                will.delaySeconds = random.chance(50) ? 0 : UInt32(truncatingIfNeeded: random.next())
                will.expirySeconds = maybe { UInt32(truncatingIfNeeded: $0.random.next()) }
                will.properties = publishProperties()
            }
            connect.will = will
        }
        guard version == .v5 else { return connect }
        connect.sessionExpirySeconds = maybe { UInt32(truncatingIfNeeded: $0.random.next()) }
        connect.receiveMaximum = maybe { $0.id() }
        connect.maximumPacketSize = maybe { UInt32($0.id()) }
        connect.topicAliasMaximum = random.chance(50) ? 0 : id()
        connect.requestResponseInformation = random.chance(50)
        connect.requestProblemInformation = random.chance(50)
        connect.userProperties = userProperties()
        if random.chance(50) {
            connect.authenticationMethod = text()
            connect.authenticationData = maybe { $0.random.bytes(upTo: 30) }
        }
        return connect
    }

    private mutating func connAck(_ version: ProtocolVersion) -> ConnAck {
        guard version == .v5 else {
            let code = UInt8(random.below(6))
            return ConnAck(
                reason: ReasonCode(connectReturnCode: code) ?? .success, sessionPresent: code == 0 && version == .v3_1_1 && random.chance(50))
        }
        var connAck = ConnAck(reason: ReasonCode(rawValue: pick([0, 0, 0, 0x80, 0x84, 0x8A, 0x8C, 0x9D, 0x9F])))
        connAck.sessionPresent = connAck.reason == .success && random.chance(50)
        connAck.sessionExpirySeconds = maybe { UInt32(truncatingIfNeeded: $0.random.next()) }
        connAck.receiveMaximum = maybe { $0.id() }
        connAck.maximumQoS = qos()
        connAck.retainAvailable = random.chance(50)
        connAck.maximumPacketSize = maybe { UInt32($0.id()) }
        connAck.assignedClientID = maybe { $0.text() }
        connAck.topicAliasMaximum = random.chance(50) ? 0 : id()
        connAck.reasonString = maybe { $0.text() }
        connAck.userProperties = userProperties()
        connAck.wildcardSubscriptionAvailable = random.chance(50)
        connAck.subscriptionIdentifiersAvailable = random.chance(50)
        connAck.sharedSubscriptionAvailable = random.chance(50)
        connAck.serverKeepAliveSeconds = maybe { UInt16(truncatingIfNeeded: $0.random.next()) }
        connAck.responseInformation = maybe { $0.text() }
        connAck.serverReference = maybe { $0.text() }
        if random.chance(50) {
            connAck.authenticationMethod = text()
            connAck.authenticationData = maybe { $0.random.bytes(upTo: 30) }
        }
        return connAck
    }

    private mutating func publish(_ version: ProtocolVersion, to peer: Peer) -> Publish {
        let qos = qos()
        var publish = Publish(
            topic: topic(), payload: random.bytes(upTo: random.chance(90) ? 100 : 20_000), qos: qos, retain: random.chance(50),
            dup: qos != .atMostOnce && random.chance(50), packetID: qos == .atMostOnce ? 0 : id())
        guard version == .v5, random.chance(70) else { return publish }
        publish.properties = publishProperties()
        publish.expirySeconds = maybe { UInt32(truncatingIfNeeded: $0.random.next()) }
        if random.chance(30) {
            publish.topicAlias = id()
            if random.chance(50) { publish.topic = "" }
        }
        if peer == .client { publish.subscriptionIDs = (0..<random.below(4)).map { _ in subscriptionID() } }
        return publish
    }

    private mutating func subscribe(_ version: ProtocolVersion) -> Subscribe {
        let isV5 = version == .v5
        var subscribe = Subscribe(packetID: id(), entries: [])
        for _ in 0...random.below(5) {
            let filter = random.chance(20) ? "$share/g/" + text(atLeast: 1) : text(atLeast: 1)
            var entry = Subscribe.Entry(filter: filter, qos: qos())
            if isV5 {
                entry.noLocal = !filter.hasPrefix("$share/") && random.chance(50)
                entry.retainAsPublished = random.chance(50)
                entry.retainHandling = Subscribe.RetainHandling.allCases[random.below(3)]
            }
            subscribe.entries.append(entry)
        }
        if isV5 {
            subscribe.subscriptionID = maybe { $0.subscriptionID() }
            subscribe.userProperties = userProperties()
        }
        return subscribe
    }

    private mutating func acknowledgement(_ version: ProtocolVersion, _ codes: [UInt8]) -> Acknowledgement {
        var acknowledgement = Acknowledgement(packetID: id())
        guard version == .v5 else { return acknowledgement }
        acknowledgement.reason = ReasonCode(rawValue: pick(codes))
        acknowledgement.reasonString = maybe { $0.text() }
        acknowledgement.userProperties = userProperties()
        return acknowledgement
    }

    private mutating func publishProperties() -> PublishProperties {
        PublishProperties(
            payloadIsUTF8: maybe { $0.random.chance(50) }, contentType: maybe { $0.text() }, responseTopic: maybe { $0.topic() },
            correlationData: maybe { $0.random.bytes(upTo: 40) }, userProperties: userProperties())
    }

    private mutating func userProperties() -> [UserProperty] {
        random.chance(50) ? [] : (0..<random.below(4)).map { _ in UserProperty(text(), text()) }
    }

    private mutating func reasons(_ codes: [UInt8]) -> [ReasonCode] {
        (0...random.below(5)).map { _ in ReasonCode(rawValue: pick(codes)) }
    }

    private mutating func pick(_ codes: [UInt8]) -> UInt8 { codes[random.below(codes.count)] }
    private mutating func id() -> UInt16 { UInt16(1 + random.below(65_535)) }
    private mutating func subscriptionID() -> UInt32 { UInt32(1 + random.below(random.chance(50) ? 200 : 268_435_455)) }
    private mutating func qos() -> QoS { QoS.allCases[random.below(3)] }
    private mutating func maybe<Value>(_ make: (inout PacketGenerator) -> Value) -> Value? { random.chance(50) ? make(&self) : nil }

    /// Text of many kinds, wildcards included.
    private mutating func text(atLeast minimum: Int = 0) -> String {
        let pool: [Character] = ["a", "b", "/", "+", "#", "$", "é", "e\u{301}", "\u{FEFF}", "😀", "\u{1}", "\u{FFFF}", " ", "%", "\n"]
        return String((0..<(minimum + random.below(12))).map { _ in pool[random.below(pool.count)] })
    }

    private mutating func topic() -> String {
        text(atLeast: 1).replacing("+", with: "p").replacing("#", with: "h")
    }
}
