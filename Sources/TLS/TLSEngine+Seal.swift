import COpenSSL
import NIOCore

/// What goes out: plaintext that is sealed, and what the protocol says itself.
extension TLSEngine {
    /// Room that `seal` needs for `count` bytes of plaintext.
    package func sealedCapacity(_ count: Int) -> Int {
        // Header, IV, padding and MAC of a record are at most 117 bytes in any version; TLS 1.0 may put an empty record in front; a
        // KeyUpdate may go along.
        count + (count / fragmentBytes + 2) * 256
    }

    /// Encrypts: the bytes go to the peer in this order, behind what `takeOutput` has given before.
    /// - Parameter block: At least `sealedCapacity(plaintext.count)` bytes.
    /// - Returns: Bytes written to `block`; `nil` if the connection isn't open (any more).
    package func seal(_ plaintext: UnsafeRawBufferPointer, into block: UnsafeMutableRawBufferPointer) -> Int? {
        guard hasOpened, phase != .failed else { return nil }
        guard !plaintext.isEmpty else { return 0 }
        let bytes = bytes
        bytes.pointee.output = block.baseAddress?.assumingMemoryBound(to: UInt8.self)
        bytes.pointee.outputCapacity = block.count
        bytes.pointee.outputCount = 0
        if bytes.pointee.pendingCount > 0 { movePendingToOutput() }
        var isSealed = true
        var rest = plaintext
        while isSealed, !rest.isEmpty {
            let count = Int32(clamping: rest.count)
            isSealed = SSL_write(ssl, rest.baseAddress, count) == count
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...])
        }
        let count = bytes.pointee.outputCount
        bytes.pointee.output = nil
        bytes.pointee.outputCapacity = 0
        bytes.pointee.outputCount = 0
        if !isSealed {
            _ = fail(TLSError.fromErrorQueue(ssl, usedPSK: false, refusedPSK: false))
            return nil
        }
        return count
    }

    /// Encrypts and appends.
    /// - Returns: Whether the connection is open.
    package func seal(_ plaintext: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) -> Bool {
        var isSealed = true
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: sealedCapacity(plaintext.count) + bytes.pointee.pendingCount) { room in
            guard let count = seal(plaintext, into: room) else {
                isSealed = false
                return 0
            }
            return count
        }
        if isSealed { takeOutput(into: &buffer) }
        return isSealed
    }

    private func movePendingToOutput() {
        let count = bytes.pointee.pendingCount
        guard count <= bytes.pointee.outputCapacity, let output = bytes.pointee.output, let pending = bytes.pointee.pending else { return }
        output.update(from: pending, count: count)
        bytes.pointee.outputCount = count
        headwater_tls_drop_pending(bytes, count)
    }

    /// There are bytes of the protocol itself to send: handshake messages, tickets, alerts.
    package var hasOutput: Bool { bytes.pointee.pendingCount > 0 }

    /// Appends the bytes that `hasOutput` speaks of.
    package func takeOutput(into buffer: inout ByteBuffer) {
        let count = bytes.pointee.pendingCount
        guard count > 0 else { return }
        buffer.writeBytes(UnsafeRawBufferPointer(start: bytes.pointee.pending, count: count))
        headwater_tls_drop_pending(bytes, count)
    }

    /// Says that nothing more goes out (close_notify); its bytes are then in the output. Nothing can be sealed afterwards.
    package func shutdown() {
        guard hasOpened, phase != .failed, SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN == 0 else { return }
        SSL_shutdown(ssl)
        ERR_clear_error()
    }
}
