import Logging
import MQTTModel
import MQTTWire
import PluginAPI

/// From a packet to the one place that handles it, and what happens when it is none.
extension BrokerLoop {
    @inline(__always)
    func received(_ frame: Frame, in bytes: UnsafeRawBufferPointer, on connection: ConnectionHandler) {
        counters.statistics.packetsReceived &+= 1
        if connection.phase == .connected {
            switch frame.type {
            case 3:
                let body = UnsafeRawBufferPointer(rebasing: bytes[frame.bodyStart..<frame.end])
                switch PublishFields.parse(
                    firstByte: frame.firstByte, body: body, version: connection.version, limits: decodeLimits, fromClient: true)
                {
                case .fields(let fields): receivedPublish(fields, on: connection)
                case .malformed(let error): malformed(error, on: connection)
                }
                return
            case 4, 5, 6, 7:
                let body = UnsafeRawBufferPointer(rebasing: bytes[frame.bodyStart..<frame.end])
                switch AcknowledgementFields.parse(
                    firstByte: frame.firstByte, body: body, version: connection.version, limits: decodeLimits, from: .client)
                {
                case .fields(let fields): receivedAcknowledgement(frame.type, fields, on: connection)
                case .malformed(let error): malformed(error, on: connection)
                }
                return
            default: break
            }
        }
        receivedOther(frame, in: bytes, on: connection)
    }

    @inline(never)
    private func receivedOther(_ frame: Frame, in bytes: UnsafeRawBufferPointer, on connection: ConnectionHandler) {
        let body = frame.body(in: bytes)
        if connection.phase == .awaitingConnect {
            // [MQTT-3.1.0-1] anything else first closes the connection, and a peer that is nobody gets no answer
            guard frame.type == 1 else {
                return refuseSilently(connection, "first packet is not CONNECT")
            }
            do throws(DecodeError) {
                guard
                    case .connect(let connect) = try decodePacket(
                        firstByte: frame.firstByte, body: body, version: .v5, limits: decodeLimits, from: .client)
                else { return }
                // If the connection moves to another loop, what came after CONNECT goes with it.
                received(connect, on: connection, unread: bytes[frame.end...])
            } catch {
                refuse(error, connectBody: body, on: connection)
            }
            return
        }
        let packet: Packet
        do throws(DecodeError) {
            packet = try decodePacket(
                firstByte: frame.firstByte, body: body, version: connection.version, limits: decodeLimits, from: .client)
        } catch {
            return malformed(error, on: connection)
        }
        switch (connection.phase, packet) {
        case (.exchanging, .auth(let auth)): receivedDuringExchange(auth, on: connection)
        case (.exchanging, .disconnect): refuseSilently(connection, "DISCONNECT before CONNACK")
        case (.connected, .subscribe(let subscribe)): received(subscribe, on: connection)
        case (.connected, .unsubscribe(let unsubscribe)): received(unsubscribe, on: connection)
        case (.connected, .pingReq):
            connection.send(.pingResp)
        case (.connected, .disconnect(let disconnect)): received(disconnect, on: connection)
        case (.connected, .auth(let auth)): receivedReauthentication(auth, on: connection)
        default:
            // [MQTT-3.1.0-2] a second CONNECT, and everything that has no business here
            protocolError(.protocolError, "packet type \(frame.type) out of order", on: connection)
        }
    }

    /// Bytes that are no packet.
    func malformed(_ error: DecodeError, on connection: ConnectionHandler) {
        guard connection.phase == .connected else {
            counters.statistics.protocolErrors[error.reasonCode.rawValue, default: 0] += 1
            return refuseSilently(connection, error.description)
        }
        protocolError(error.reasonCode, error.description, on: connection)
    }

    /// The client broke the protocol: DISCONNECT with the reason where there is one, and close [MQTT-4.13.1-1].
    func protocolError(_ code: ReasonCode, _ detail: String, on connection: ConnectionHandler) {
        counters.statistics.protocolErrors[code.rawValue, default: 0] += 1
        connection.close(DisconnectReason(cause: .protocolError, code: code), detail: detail)
    }

    private func received(_ disconnect: Disconnect, on connection: ConnectionHandler) {
        guard let session = connection.session else { return }
        if let seconds = disconnect.sessionExpirySeconds {
            // [MQTT-3.1.2-23]: a session that was to end with its connection can't be prolonged now
            if session.expirySeconds == 0, seconds != 0 {
                return protocolError(.protocolError, "session expiry interval raised from 0", on: connection)
            }
            session.expirySeconds = min(seconds, configuration.sessions.maxExpirySeconds)
        }
        if disconnect.reason == .normalDisconnection { session.extras?.will = nil }  // [MQTT-3.14.4-3]
        connection.close(DisconnectReason(cause: .client, code: disconnect.reason))
    }

    // MARK: Connections that are nobody yet

    func connectionBegan(_ connection: ConnectionHandler) {
        connections.insert(connection)
        connection.lastPacketMilliseconds = clock.monotonicMilliseconds
        counters.statistics.connections += 1
        if connection.extras?.transfer == nil {
            counters.statistics.connectionsAccepted += 1
            addTimer(
                .connectTimeout, slot: connection.slot, serial: connection.serial,
                afterMilliseconds: UInt64(configuration.limits.connectTimeoutSeconds) * 1000)
        }
    }

    /// A peer that does not come as far as a connection: a limit, a header, a handshake or an upgrade is in its way.
    func turnedAway(_ peerAddress: String, listener: ListenerProfile, why: String) {
        strangerLog.line(.notice, "connection refused", nowMilliseconds: MessageClock.now.monotonicMilliseconds, metadata: [
            "peer": "\(peerAddress)", "listener": "\(listener.configuration.name)", "why": "\(why)",
        ])
    }

    /// Frames that are none [RFC 6455 section 7.1.7]: the close frame with the reason is on its way.
    func webSocketFailed(_ connection: ConnectionHandler, _ why: String) {
        counters.statistics.webSocketFailures += 1
        strangerLog.line(.notice, "WebSocket failed", nowMilliseconds: clock.monotonicMilliseconds, metadata: [
            "peer": "\(connection.peer.address)", "listener": "\(connection.listener.configuration.name)", "why": "\(why)",
        ])
        // Not a protocol error of MQTT: behind the close frame there must be no DISCONNECT.
        doom(connection, DisconnectReason(cause: .connectionLost, code: .malformedPacket))
    }

    /// The channel has closed.
    func connectionGone(_ connection: ConnectionHandler) {
        connections.remove(connection)
        counters.statistics.connections -= 1
        if connection.pauses > 0 { counters.statistics.pausedPublishers -= 1 }
        connection.pauses = 0
    }

    func connectTimedOut(_ connection: ConnectionHandler) {
        guard connection.phase < .connected else { return }
        let what = connection.phase == .awaitingConnect ? "no complete CONNECT" : "the login was not decided"
        refuseSilently(connection, "\(what) within \(configuration.limits.connectTimeoutSeconds) s")
        connection.closeNow()
    }

    /// Closes a connection that is not worth an answer.
    func refuseSilently(_ connection: ConnectionHandler, _ why: String) {
        strangerLog.line(.notice, "connection refused", nowMilliseconds: clock.monotonicMilliseconds,
            metadata: ["peer": "\(connection.peer.address)", "listener": "\(connection.listener.configuration.name)", "why": "\(why)"])
        connection.beginClosing()
    }

    private static let lastLookPauseMilliseconds: UInt64 = 20

    func checkKeepAlive(_ connection: ConnectionHandler) {
        guard connection.phase == .connected, connection.keepAliveMilliseconds > 0 else { return }
        let now = clock.monotonicMilliseconds
        // What the broker chose not to read can't be held against the client, unless it is the client that does not read.
        if connection.pauses > (connection.isPausedForOutput ? 1 : 0) { connection.lastPacketMilliseconds = now }
        let deadline = connection.lastPacketMilliseconds + connection.keepAliveMilliseconds
        if now >= deadline, connection.lastLookMilliseconds != connection.lastPacketMilliseconds {
            // Its packets may be in the socket, where a loop that was kept busy has not looked yet. It does so before its next timer.
            connection.lastLookMilliseconds = connection.lastPacketMilliseconds
            addTimer(.keepAlive, slot: connection.slot, serial: connection.serial, afterMilliseconds: Self.lastLookPauseMilliseconds)
        } else if now >= deadline {
            connection.close(DisconnectReason(cause: .keepAliveTimeout, code: .keepAliveTimeout))
        } else {
            addTimer(.keepAlive, slot: connection.slot, serial: connection.serial, afterMilliseconds: deadline - now)
        }
    }
}
