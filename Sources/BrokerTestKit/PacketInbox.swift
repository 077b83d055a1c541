import DequeModule
import MQTTModel
import MQTTWire
import NIOCore

/// What a scripted client has received and nobody has asked for yet. Owned by the client's event loop.
///
/// Bytes become packets as they come, so that a test may wait for one packet and find the others, in order, later.
final class PacketInbox: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// What a wait ended with.
    enum Reception: Sendable {
        case packet(Packet)
        /// The broker closed the connection, and every packet before has been taken.
        case closed
        /// The time was up.
        case silence
        /// The broker sent what is no packet.
        case damaged(String)
    }

    private struct Wait {
        let number: Int
        let predicate: (Packet) -> Bool
        let promise: EventLoopPromise<Reception>
        let timeout: Scheduled<Void>
    }

    private let version: ProtocolVersion
    private var bytes: [UInt8] = []
    private var packets = Deque<Packet>()
    private var waits: [Wait] = []
    private var nextWait = 0
    private var isClosed = false
    private var damage: String?
    private(set) var receivedBytes = 0

    init(version: ProtocolVersion) { self.version = version }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        receivedBytes += buffer.readableBytes
        bytes.append(contentsOf: buffer.readableBytesView)
        takePackets()
        answerWaits()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        answerWaits()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// The first packet that `predicate` chooses; those before it stay.
    func take(where predicate: @escaping (Packet) -> Bool, within time: TimeAmount, on loop: any EventLoop) -> EventLoopFuture<Reception> {
        if let found = find(predicate) { return loop.makeSucceededFuture(found) }
        let promise = loop.makePromise(of: Reception.self)
        let number = nextWait
        nextWait += 1
        let timeout = loop.assumeIsolated().scheduleTask(in: time) { [self] in
            guard let index = waits.firstIndex(where: { $0.number == number }) else { return }
            waits.remove(at: index).promise.succeed(.silence)
        }
        waits.append(Wait(number: number, predicate: predicate, promise: promise, timeout: timeout))
        return promise.futureResult
    }

    private func find(_ predicate: (Packet) -> Bool) -> Reception? {
        if let index = packets.firstIndex(where: predicate) { return .packet(packets.remove(at: index)) }
        if let damage { return .damaged(damage) }
        return isClosed ? .closed : nil
    }

    private func answerWaits() {
        var index = 0
        while index < waits.count {
            guard let found = find(waits[index].predicate) else {
                index += 1
                continue
            }
            let wait = waits.remove(at: index)
            wait.timeout.cancel()
            wait.promise.succeed(found)
        }
    }

    private func takePackets() {
        guard damage == nil else { return }
        var offset = 0
        bytes.withUnsafeBytes { raw in
            while case .frame(let frame) = readFrame(raw, at: offset, maxPacketBytes: .max) {
                do throws(DecodeError) {
                    packets.append(
                        try decodePacket(
                            firstByte: frame.firstByte, body: frame.body(in: raw), version: version, limits: DecodeLimits(),
                            from: .server))
                } catch {
                    damage = "\(error) in packet type \(frame.type) of \(frame.end - offset) bytes"
                    return
                }
                offset = frame.end
            }
        }
        if offset > 0 { bytes.removeFirst(offset) }
    }
}
