import MQTTModel
import MQTTWire
import Synchronization

/// What `pub` says on its connection: PUBLISH, and the acknowledgements that follow from it.
final class Publisher: Sendable {
    private let session: ClientSession
    private let maxInflight: Int
    private let window: Mutex<PublishWindow?> = Mutex(nil)

    init(session: ClientSession, maxInflight: Int) {
        self.session = session
        self.maxInflight = maxInflight
    }

    /// Compares what is to be published with what the broker offers.
    func begin(_ connAck: ConnAck, _ publish: Publish) throws {
        if publish.qos > connAck.maximumQoS { throw ClientFault.notOffered("QoS \(publish.qos)") }
        if publish.retain, !connAck.retainAvailable { throw ClientFault.notOffered("retained messages") }
        let limit = min(maxInflight, connAck.receiveMaximum.map(Int.init) ?? 65_535)
        maxPacketBytes.withLock { $0 = connAck.maximumPacketSize.map { Int(clamping: $0) } }
        window.withLock { $0 = PublishWindow(limit: limit) }
    }

    private let maxPacketBytes = Mutex<Int?>(nil)

    func publish(_ message: Publish, _ writer: ClientSession.Writer) async throws {
        guard let window = window.withLock({ $0 }) else { return }
        var message = message
        if message.qos > .atMostOnce { message.packetID = try await window.admit() }
        // [MQTT-3.1.2-24] seen from the other side: larger than the receiver announced is never sent.
        if let limit = maxPacketBytes.withLock({ $0 }) {
            var bytes: [UInt8] = []
            guard encodePacket(.publish(message), version: session.connect.protocolVersion, into: &bytes, maxPacketBytes: limit) else {
                throw ClientFault.packetTooLarge
            }
        }
        try await session.send(.publish(message), writer)
        if let refusal = await window.refusal { throw ClientFault.publishRefused(refusal.code, refusal.text) }
    }

    /// Waits for all acknowledgements.
    func finish() async throws {
        guard let window = window.withLock({ $0 }) else { return }
        try await window.drained()
        if let refusal = await window.refusal { throw ClientFault.publishRefused(refusal.code, refusal.text) }
    }

    func received(_ packet: Packet, _ writer: ClientSession.Writer) async throws {
        guard let window = window.withLock({ $0 }) else { return }
        switch packet {
        case .pubAck(let ack), .pubComp(let ack):
            await window.answered(ack.packetID, ack.reason, ack.reasonString)
        case .pubRec(let ack):
            if ack.reason.isError {
                await window.answered(ack.packetID, ack.reason, ack.reasonString)
            } else {
                try await session.send(.pubRel(Acknowledgement(packetID: ack.packetID)), writer)
            }
        case .publish:
            // A kept session may have subscriptions from earlier; what comes for them stays unacknowledged and comes again.
            break
        default:
            throw ClientFault.unexpected(packet.type)
        }
    }
}
