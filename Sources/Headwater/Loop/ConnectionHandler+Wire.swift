import NIOCore
import PluginAPI
import TLS
import Transport

/// Packets on their way through WebSocket frames and TLS records. One read and one write a turn, as without them.
extension ConnectionHandler {
    /// The first `count` bytes of the output leave.
    @inline(never)
    func flush(_ count: Int, through wire: Wire) {
        loop.sealed.clear()
        let isSealed = output.withBytes { bytes in
            wire.seal(UnsafeRawBufferPointer(rebasing: bytes[..<count]), frame: &loop.frame, into: &loop.sealed)
        }
        guard isSealed else { return failed() }
        loop.counters.statistics.bytesSent &+= count
        if let tenant { tenant._withUnsafeGuaranteedRef { $0.figures.bytesSent &+= count } }
        wrote(count)
        transmitSealed(through: wire)
    }

    /// Sends what has been sealed: one system call, and NIO takes over when the socket is full.
    private func transmitSealed(through wire: Wire) {
        let total = loop.sealed.readableBytes
        var written = 0
        // What NIO holds of handshakes and alerts must not be overtaken.
        if descriptor >= 0, bytesInChannel == 0, wire.tls?.hasBytesInChannel != true {
            let result = loop.sealed.withUnsafeReadableBytes { bytes in
                bytes.baseAddress.map { DirectSocket.write(descriptor, $0, count: total) } ?? .wrote(0)
            }
            switch result {
            case .wrote(let bytes): written = bytes
            case .wouldBlock: break
            case .failed: return failed()
            }
        }
        if written > 0 { progress &+= 1 }
        guard written < total, let context else { return }
        var rest = context.channel.allocator.buffer(capacity: total - written)
        loop.sealed.withUnsafeReadableBytes { _ = rest.writeBytes(UnsafeRawBufferPointer(rebasing: $0[written...])) }
        bytesInChannel += rest.readableBytes
        if let tls = wire.tls {
            guard let write = tls.writeSealed(rest) else { return failed() }
            watch(write)
        } else {
            watch(context.write(wrapOutboundOut(rest)))
        }
    }

    private func failed() {
        dropOutput()
        hasFailed = true
        loop.doom(self, DisconnectReason(cause: .connectionLost, code: .success))
    }

    // MARK: WebSocket

    /// Takes the payload of frames out of `buffer`, and answers what is no payload.
    func unframe(_ buffer: inout ByteBuffer, _ wire: Wire) {
        var payload = loop.unframed
        payload.clear()
        loop.unframed = ByteBuffer()
        loop.replies.removeAll(keepingCapacity: true)
        let wasClosed = wire.hasClosedWebSocket
        let outcome = buffer.withUnsafeReadableBytes {
            wire.webSocket?.receive($0, nowMilliseconds: loop.clock.monotonicMilliseconds, payload: &payload, replies: &loop.replies) ?? .ok
        }
        buffer = payload
        loop.unframed = payload
        if case .ok = outcome {} else { wire.hasClosedWebSocket = true }
        if !loop.replies.isEmpty, !hasFailed {
            flush()
            loop.sealed.clear()
            let isSealed = loop.replies.withUnsafeBytes { wire.encrypt($0, into: &loop.sealed) }
            if isSealed { transmitSealed(through: wire) } else { failed() }
        }
        switch outcome {
        case .ok: break
        case .closed:
            // [RFC 6455 7.1.4] what came before the close frame counts.
            loop.doom(self, DisconnectReason(cause: .connectionLost, code: .success))
        case .failed(_, let reason):
            // Behind our close frame there is nothing left to fail: paho answers it with one that has no mask.
            if !wasClosed { loop.webSocketFailed(self, reason) }
        }
    }

    /// The last words of the layers below the packets.
    func sayGoodbye(through wire: Wire) {
        loop.sealed.clear()
        var isSealed = true
        if wire.webSocket != nil, !wire.hasClosedWebSocket {
            wire.hasClosedWebSocket = true
            loop.replies.removeAll(keepingCapacity: true)
            wire.webSocket?.close(.normal, into: &loop.replies)
            isSealed = loop.replies.withUnsafeBytes { wire.encrypt($0, into: &loop.sealed) }
        }
        if isSealed, let tls = wire.tls {
            var closure = tls.takeCloseNotify()
            loop.sealed.writeBuffer(&closure)
        }
        if isSealed, loop.sealed.readableBytes > 0 { transmitSealed(through: wire) }
    }
}
