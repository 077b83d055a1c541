import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import NIOCore
import TLS
import TestAuthority

/// How a client of these tests gets to a listener.
struct Way: Sendable {
    let listener: String
    /// `nil`: plain TCP.
    var tls: TLSClientContext?
    /// Asked for by SNI.
    var serverName: String?
    /// Address of this machine to come from.
    var from: String?
    /// Threads of its own, for clients that measure.
    var group: (any EventLoopGroup)?
    var username: String?
    var password: [UInt8]?

    init(_ listener: String, tls: TLSClientContext? = nil) {
        self.listener = listener
        self.tls = tls
    }
}

extension Door {
    /// A client of this process that has sent nothing of MQTT.
    func open(_ way: Way) async throws -> ScriptedClient {
        try await ScriptedClient.open(.tcp(host: "127.0.0.1", port: port(way.listener)), from: way.from, group: way.group) { channel in
            guard let tls = way.tls else { return }
            guard let engine = tls.makeEngine(host: "localhost", serverName: way.serverName) else { throw DoorFault("no memory for TLS") }
            try channel.pipeline.syncOperations.addHandler(TLSHandler(engine: engine))
        }
    }

    /// CONNECT for a session that outlives the connection by ten minutes.
    func connect(_ client: ScriptedClient, _ clientID: String, _ way: Way, cleanStart: Bool) async throws -> ConnAck {
        try await client.connect(clientID, cleanStart: cleanStart) { connect in
            connect.username = way.username
            connect.password = way.password
            connect.sessionExpirySeconds = 600
        }
    }

    /// A client that is in.
    func client(_ clientID: String, _ way: Way, _ adjust: (inout Connect) -> Void = { _ in }) async throws -> ScriptedClient {
        let client = try await open(way)
        let answer = try await client.connect(clientID) { connect in
            connect.username = way.username
            connect.password = way.password
            adjust(&connect)
        }
        guard !answer.reason.isError else { throw DoorFault("\(clientID) was refused: \(answer.reason)") }
        return client
    }
}

extension TestFiles {
    /// The client's side of TLS, which trusts the site's authority.
    func clientTLS(_ pair: PairFiles? = nil) throws -> TLSClientContext {
        var configuration = TLSClientConfiguration()
        configuration.caFile = root
        if let pair { configuration.certificate = .init(chainFile: pair.certificate, keyFile: pair.key) }
        return try TLSClientContext(configuration)
    }
}

/// A device that does not give up: it comes back when its connection ends, sends again what was not acknowledged, and answers
/// what it receives. Payloads are texts that name their sender.
actor TenantPeer {
    struct Outgoing: Sendable {
        let topic: String
        let text: String
        let qos: QoS
        var isRetained = false
    }

    private struct InFlight {
        var publish: Publish
        var isReleased = false
    }

    private let door: Door
    private let clientID: String
    private let way: Way
    private let filters: [Subscribe.Entry]
    private var client: ScriptedClient?
    private var unacknowledged: [InFlight] = []
    private var nextPacketID: UInt16 = 1
    /// QoS 2 messages received whose PUBREL has not come.
    private var unreleased: Set<UInt16> = []

    /// Texts in the order in which they came, repetitions included.
    private(set) var received: [String] = []
    /// Texts of QoS 1 and 2 that the broker has taken.
    private(set) var acknowledged: [String] = []
    /// Texts that the broker has refused, with its reason.
    private(set) var refused: [ReasonCode] = []
    private(set) var connects = 0

    private static let window = 20
    private static let patience = Duration.seconds(60)

    init(_ door: Door, _ clientID: String, _ way: Way, filters: [Subscribe.Entry] = []) {
        self.door = door
        self.clientID = clientID
        self.way = way
        self.filters = filters
    }

    /// Connects and subscribes. Later connections go on with the session.
    func begin() async throws { _ = try await connected() }

    private func connected() async throws -> ScriptedClient {
        if let client { return client }
        let deadline = ContinuousClock.now + Self.patience
        while true {
            do {
                let new = try await door.open(way)
                let answer = try await door.connect(new, clientID, way, cleanStart: connects == 0)
                guard !answer.reason.isError else { throw DoorFault("\(clientID) was refused: \(answer.reason)") }
                if connects > 0, !answer.sessionPresent { throw DoorFault("\(clientID) has lost its session") }
                if connects == 0, !filters.isEmpty {
                    let reasons = try await new.subscribe(filters)
                    guard reasons.allSatisfy({ !$0.isError }) else { throw DoorFault("\(clientID) may not subscribe: \(reasons)") }
                }
                connects += 1
                client = new
                for index in unacknowledged.indices {
                    let id = unacknowledged[index].publish.packetID
                    unacknowledged[index].publish.dup = true
                    new.send(
                        unacknowledged[index].isReleased ? .pubRel(Acknowledgement(packetID: id)) : .publish(unacknowledged[index].publish))
                }
                return new
            } catch let fault as DoorFault {
                throw fault
            } catch {
                // The broker is starting.
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Publishes in order, and returns when everything that has an acknowledgement has it.
    func publish(_ messages: [Outgoing]) async throws {
        var next = 0
        while next < messages.count || !unacknowledged.isEmpty {
            let client = try await connected()
            while next < messages.count, unacknowledged.count < Self.window {
                let message = messages[next]
                next += 1
                var publish = Publish(
                    topic: message.topic, payload: Array(message.text.utf8), qos: message.qos, retain: message.isRetained, packetID: 0)
                if message.qos != .atMostOnce {
                    publish.packetID = nextPacketID
                    nextPacketID = nextPacketID == .max ? 1 : nextPacketID + 1
                    unacknowledged.append(InFlight(publish: publish))
                }
                client.send(.publish(publish))
            }
            if !unacknowledged.isEmpty { try await turn(client) }
        }
        try await connected().ping()
    }

    /// Receives until `isEnough` says so.
    func receive(within time: Duration = .seconds(60), until isEnough: @Sendable ([String]) -> Bool) async throws {
        let deadline = ContinuousClock.now + time
        while !isEnough(received) {
            guard ContinuousClock.now < deadline else {
                throw DoorFault("\(clientID) has received \(received.count) messages, which is not enough")
            }
            try await turn(try await connected(), within: .milliseconds(500), maySayNothing: true)
        }
    }

    /// Receives until nothing has come for a while.
    func drain(silence: Duration = .milliseconds(400)) async throws {
        while try await turn(try await connected(), within: silence, maySayNothing: true) {}
    }

    func end() async {
        await client?.close()
        client = nil
    }

    /// - Returns: Whether anything happened.
    @discardableResult
    private func turn(_ client: ScriptedClient, within time: Duration = .seconds(60), maySayNothing: Bool = false) async throws -> Bool {
        switch try await client.arrival(within: time) {
        case .silence:
            guard maySayNothing else { throw DoorFault("\(clientID) waits for \(unacknowledged.count) acknowledgements") }
            return false
        case .closed: self.client = nil
        case .packet(.pubAck(let answer)): settled(answer)
        case .packet(.pubRec(let answer)):
            guard !answer.reason.isError else {
                settled(answer)
                break
            }
            if let index = unacknowledged.firstIndex(where: { $0.publish.packetID == answer.packetID }) {
                unacknowledged[index].isReleased = true
            }
            client.send(.pubRel(Acknowledgement(packetID: answer.packetID)))
        case .packet(.pubComp(let answer)): settled(answer)
        case .packet(.publish(let publish)): took(publish, client)
        case .packet(.pubRel(let answer)):
            unreleased.remove(answer.packetID)
            client.send(.pubComp(Acknowledgement(packetID: answer.packetID)))
        case .packet: break
        }
        return true
    }

    private func settled(_ answer: Acknowledgement) {
        guard let index = unacknowledged.firstIndex(where: { $0.publish.packetID == answer.packetID }) else { return }
        let done = unacknowledged.remove(at: index)
        // PUBREC was the acknowledgement; a broker that has got PUBREL before does not know the identifier any more.
        if answer.reason.isError, !done.isReleased {
            refused.append(answer.reason)
        } else {
            acknowledged.append(String(decoding: done.publish.payload, as: UTF8.self))
        }
    }

    private func took(_ publish: Publish, _ client: ScriptedClient) {
        let text = String(decoding: publish.payload, as: UTF8.self)
        switch publish.qos {
        case .atMostOnce: received.append(text)
        case .atLeastOnce:
            received.append(text)
            client.send(.pubAck(Acknowledgement(packetID: publish.packetID)))
        case .exactlyOnce:
            if unreleased.insert(publish.packetID).inserted { received.append(text) }
            client.send(.pubRec(Acknowledgement(packetID: publish.packetID)))
        }
    }
}
