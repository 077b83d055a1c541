import MQTTModel
import MQTTWire

/// Packets instead of bytes: for the tests of this package, which see the codec.
extension ScriptedClient {
    /// Sends packets in one write, in the client's version.
    package func send(_ packets: Packet...) { send(packets) }

    package func send(_ packets: [Packet]) {
        var bytes: [UInt8] = []
        for packet in packets { encodePacket(packet, version: version, into: &bytes) }
        send(bytes: bytes)
    }

    /// The next packet, whatever it is.
    package func next(within time: Duration = patience, file: String = #fileID, line: Int = #line) async throws -> Packet {
        try await first("a packet", within: time, file: file, line: line) { $0 }
    }

    /// What came next, for clients that live on after their connection's end.
    package enum Arrival: Sendable {
        case packet(Packet)
        case closed
        /// Nothing within the time.
        case silence
    }

    /// The next packet, or that there is none.
    ///
    /// - Throws: `ScriptedClientError` only when the broker sends what is no packet.
    package func arrival(within time: Duration = patience, file: String = #fileID, line: Int = #line) async throws -> Arrival {
        switch try await reception(within: time, where: { _ in true }) {
        case .packet(let packet): return .packet(packet)
        case .closed: return .closed
        case .silence: return .silence
        case .damaged(let damage): throw ScriptedClientError("received \(damage)", file: file, line: line)
        }
    }

    /// The first packet that `choose` takes; others stay in their order.
    package func first<Chosen: Sendable>(
        _ what: String, within time: Duration = patience, file: String = #fileID, line: Int = #line,
        _ choose: @escaping @Sendable (Packet) -> Chosen?
    ) async throws -> Chosen {
        switch try await reception(within: time, where: { choose($0) != nil }) {
        case .packet(let packet):
            guard let chosen = choose(packet) else { throw ScriptedClientError("choice changed", file: file, line: line) }
            return chosen
        case .closed: throw ScriptedClientError("expected \(what), the connection was closed", file: file, line: line)
        case .silence: throw ScriptedClientError("expected \(what) within \(time)", file: file, line: line)
        case .damaged(let damage): throw ScriptedClientError("expected \(what), received \(damage)", file: file, line: line)
        }
    }

    /// The next packet must be this one.
    package func expect(_ packet: Packet, file: String = #fileID, line: Int = #line) async throws {
        let received = try await next(file: file, line: line)
        guard received == packet else { throw ScriptedClientError("expected \(packet), received \(received)", file: file, line: line) }
    }

    /// The next packet must be a PUBLISH.
    package func nextPublish(within time: Duration = patience, file: String = #fileID, line: Int = #line) async throws -> Publish {
        let packet = try await next(within: time, file: file, line: line)
        guard case .publish(let publish) = packet else {
            throw ScriptedClientError("expected PUBLISH, received \(packet)", file: file, line: line)
        }
        return publish
    }

    /// The end that the protocol has for a client that broke it: DISCONNECT with the reason and a close in MQTT 5, a
    /// close alone before.
    package func expectEnd(_ reason: ReasonCode, file: String = #fileID, line: Int = #line) async throws {
        if version == .v5 {
            let received = try await first("DISCONNECT", file: file, line: line) { packet -> ReasonCode? in
                if case .disconnect(let disconnect) = packet { disconnect.reason } else { nil }
            }
            guard received == reason else {
                throw ScriptedClientError("expected DISCONNECT \(reason), received \(received)", file: file, line: line)
            }
        }
        try await expectClose(discardingPackets: true, file: file, line: line)
    }

    // MARK: Exchanges

    /// Sends CONNECT and waits for CONNACK, which may be a refusal.
    @discardableResult
    package func connect(
        _ clientID: String, cleanStart: Bool = true, file: String = #fileID, line: Int = #line,
        _ adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ConnAck {
        var connect = Connect(protocolVersion: version, clientID: clientID)
        connect.cleanStart = cleanStart
        adjust(&connect)
        send(.connect(connect))
        return try await first("CONNACK", file: file, line: line) { packet in
            if case .connAck(let connAck) = packet { connAck } else { nil }
        }
    }

    /// Subscribes and waits for SUBACK.
    @discardableResult
    package func subscribe(
        _ entries: [Subscribe.Entry], identifier: UInt32? = nil, packetID: UInt16 = 60_000, file: String = #fileID, line: Int = #line
    ) async throws -> [ReasonCode] {
        var subscribe = Subscribe(packetID: packetID, entries: entries)
        subscribe.subscriptionID = identifier
        send(.subscribe(subscribe))
        return try await first("SUBACK \(packetID)", file: file, line: line) { packet in
            if case .subAck(let subAck) = packet, subAck.packetID == packetID { subAck.reasons } else { nil }
        }
    }

    @discardableResult
    package func unsubscribe(
        _ filters: [String], packetID: UInt16 = 60_001, file: String = #fileID, line: Int = #line
    ) async throws -> [ReasonCode] {
        send(.unsubscribe(Unsubscribe(packetID: packetID, filters: filters)))
        return try await first("UNSUBACK \(packetID)", file: file, line: line) { packet in
            if case .unsubAck(let unsubAck) = packet, unsubAck.packetID == packetID { unsubAck.reasons } else { nil }
        }
    }

    /// Publishes, and waits for the end of the exchange that the QoS has.
    ///
    /// - Returns: The reason code of PUBACK or PUBREC; Success at QoS 0, which has none.
    @discardableResult
    package func publish(_ publish: Publish, file: String = #fileID, line: Int = #line) async throws -> ReasonCode {
        send(.publish(publish))
        let id = publish.packetID
        switch publish.qos {
        case .atMostOnce: return .success
        case .atLeastOnce:
            return try await first("PUBACK \(id)", file: file, line: line) { packet in
                if case .pubAck(let answer) = packet, answer.packetID == id { answer.reason } else { nil }
            }
        case .exactlyOnce:
            let reason: ReasonCode = try await first("PUBREC \(id)", file: file, line: line) { packet in
                if case .pubRec(let answer) = packet, answer.packetID == id { answer.reason } else { nil }
            }
            if reason.isError { return reason }
            send(.pubRel(Acknowledgement(packetID: id)))
            _ = try await first("PUBCOMP \(id)", file: file, line: line) { packet -> Bool? in
                if case .pubComp(let answer) = packet, answer.packetID == id { true } else { nil }
            }
            return reason
        }
    }

    /// Receives `count` messages and completes their exchanges, other packets staying where they are.
    package func receive(
        _ count: Int, within time: Duration = patience, file: String = #fileID, line: Int = #line
    ) async throws -> [Publish] {
        var messages: [Publish] = []
        while messages.count < count {
            let message: Publish = try await first("message \(messages.count + 1) of \(count)", within: time, file: file, line: line) {
                if case .publish(let publish) = $0 { publish } else { nil }
            }
            messages.append(message)
            try await acknowledge(message, file: file, line: line)
        }
        return messages
    }

    /// PUBACK, or PUBREC, PUBREL and PUBCOMP, as the message's QoS has it.
    package func acknowledge(_ message: Publish, file: String = #fileID, line: Int = #line) async throws {
        let id = message.packetID
        switch message.qos {
        case .atMostOnce: break
        case .atLeastOnce: send(.pubAck(Acknowledgement(packetID: id)))
        case .exactlyOnce:
            send(.pubRec(Acknowledgement(packetID: id)))
            _ = try await first("PUBREL \(id)", file: file, line: line) { packet -> Bool? in
                if case .pubRel(let release) = packet, release.packetID == id { true } else { nil }
            }
            send(.pubComp(Acknowledgement(packetID: id)))
        }
    }

    /// PINGREQ and PINGRESP: the broker has handled everything that was sent before.
    package func ping(file: String = #fileID, line: Int = #line) async throws {
        send(.pingReq)
        _ = try await first("PINGRESP", file: file, line: line) { packet -> Bool? in packet == .pingResp ? true : nil }
    }

    /// DISCONNECT, and the broker's close.
    package func disconnect(
        _ reason: ReasonCode = .normalDisconnection, sessionExpirySeconds: UInt32? = nil, file: String = #fileID, line: Int = #line
    ) async throws {
        var disconnect = Disconnect(reason: reason)
        disconnect.sessionExpirySeconds = sessionExpirySeconds
        send(.disconnect(disconnect))
        try await expectClose(discardingPackets: true, file: file, line: line)
    }
}
