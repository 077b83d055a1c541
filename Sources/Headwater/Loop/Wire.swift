import NIOCore
import TLS
import Transport

/// What lies between a connection's packets and its socket where that is not nothing: WebSocket frames, TLS records, or both.
///
/// Owned by the connection. A connection that moves to another loop takes it along (`leave`).
final class Wire {
    let tls: TLSHandler?
    @exclusivity(unchecked) var webSocket: WebSocketCodec?
    /// The close handshake of the WebSocket has begun on our side.
    @exclusivity(unchecked) var hasClosedWebSocket = false
    /// The last words of these layers are said (`ConnectionHandler.finishClosing`).
    @exclusivity(unchecked) var hasSaidGoodbye = false

    init(tls: TLSHandler?, webSocket: WebSocketCodec?) {
        self.tls = tls
        self.webSocket = webSocket
    }

    /// Appends packets to `output` as they go to the socket.
    /// - Parameter frame: Room for a WebSocket frame on its way into a record.
    /// - Returns: `false`: TLS can't go on.
    func seal(_ packets: UnsafeRawBufferPointer, frame: inout ByteBuffer, into output: inout ByteBuffer) -> Bool {
        guard webSocket != nil else { return encrypt(packets, into: &output) }
        guard tls != nil else {
            output.writeWebSocketHeader(payloadCount: packets.count)
            output.writeBytes(packets)
            return true
        }
        frame.clear()
        frame.writeWebSocketHeader(payloadCount: packets.count)
        frame.writeBytes(packets)
        return frame.withUnsafeReadableBytes { encrypt($0, into: &output) }
    }

    /// Bytes that are framed already, or need no frame.
    func encrypt(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) -> Bool {
        guard let tls else {
            output.writeBytes(bytes)
            return true
        }
        guard let engine = tls.engine else { return false }
        // A session ticket that has waited for this.
        if engine.hasOutput { engine.takeOutput(into: &output) }
        return engine.seal(bytes, into: &output)
    }

    /// What the other loop needs to go on; `nil`: it can't leave now, bytes of TLS are still on their way.
    func detach() -> DetachedWire? {
        guard let tls else { return DetachedWire(tls: nil, webSocket: webSocket) }
        return tls.detach().map { DetachedWire(tls: $0, webSocket: webSocket) }
    }

    /// Who is at the other end, as far as TLS has proven it.
    var identity: PeerIdentity? { tls?.engine?.peerIdentity() }
}

/// A wire between two loops. Whoever has it is the only one.
struct DetachedWire: Sendable {
    let tls: DetachedTLSEngine?
    let webSocket: WebSocketCodec?
}

extension ByteBuffer {
    fileprivate mutating func writeWebSocketHeader(payloadCount: Int) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: WebSocketCodec.maxHeaderBytes) {
            WebSocketCodec.writeHeader(payloadCount: payloadCount, to: $0)
        }
    }
}
