import NIOCore
import Synchronization

/// One step of a handshake on its way through a thread that is no event loop's: the engine, and what has come from the peer.
///
/// `TLSHandler.beginStep` gives it out, whoever has claimed it runs it, once, and `TLSHandler.endStep` takes the engine back.
// @unchecked: between the two the one who has claimed it is the engine's only user; handing it over orders the accesses.
package final class HandshakeStep: @unchecked Sendable {
    let engine: TLSEngine
    private let ciphertext: [ByteBuffer]
    private let isClaimed = Atomic(false)

    // What came of it.
    private(set) var progress = TLSEngine.Progress.ok
    private(set) var plaintext = ByteBuffer()
    private(set) var identity: PeerIdentity?

    package init(_ engine: TLSEngine, ciphertext: [ByteBuffer]) {
        self.engine = engine
        self.ciphertext = ciphertext
    }

    /// - Returns: `false`: somebody else has it.
    package func claim() -> Bool { !isClaimed.exchange(true, ordering: .acquiringAndReleasing) }

    /// Does what there is to do with what has come. For the one who has claimed it.
    package func run() {
        for bytes in ciphertext where engine.phase <= .open {
            let made = bytes.withUnsafeReadableBytes { engine.receive($0, plaintext: &plaintext) }
            if progress != .handshakeCompleted { progress = made }
            if made == .handshakeCompleted { identity = engine.peerIdentity() }
        }
    }
}
