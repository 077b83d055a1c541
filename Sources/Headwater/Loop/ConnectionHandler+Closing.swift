import MQTTSession
import MQTTWire
import NIOCore
import PluginAPI
import Transport

/// The end of a connection, in order: last words, the end of the session's connection, and a peer that has time to read.
extension ConnectionHandler {
    /// Says DISCONNECT where the protocol has it, ends the session's connection, and closes when all is sent.
    ///
    /// Not to be called while a message is being routed: `BrokerLoop.doom` is for that.
    func close(_ reason: DisconnectReason, detail: String? = nil, ending: WillPlan.Ending = .other) {
        guard phase < .closing else { return }
        if phase == .connected, version == .v5, reason.cause != .client, reason.cause != .connectionLost {
            send(.disconnect(Disconnect(reason: reason.code, reasonString: wantsProblemInformation ? detail : nil)))
        }
        loop.connectionEnded(self, reason, detail: detail, ending: ending)
        beginClosing()
    }

    /// After the last packet: waits until it is written, then for the peer.
    func beginClosing() {
        guard phase < .closing else { return }
        flush()
        phase = .closing
        unread = nil
        if hasFailed {
            // Not at once: the caller may be taking the session over, and the end of a channel has the mailbox read.
            return loop.eventLoop.assumeIsolatedUnsafeUnchecked().execute { [self] in closeNow() }
        }
        if bytesInChannel == 0, output.isEmpty { finishClosing() }
        loop.addTimer(.closeLingering, slot: slot, serial: serial, afterMilliseconds: 2_000)
    }

    /// Closing at once would reset the connection if the peer has sent more, and the reset would eat what it was told.
    func finishClosing() {
        if let wire, !wire.hasSaidGoodbye, !hasFailed {
            wire.hasSaidGoodbye = true
            sayGoodbye(through: wire)
            // Comes again when NIO has written the rest.
            guard bytesInChannel == 0 else { return }
        }
        if descriptor >= 0 { DirectSocket.finishWriting(descriptor) }
        try? context?.channel.syncOptions?.setOption(.autoRead, value: true)
        context?.read()
    }

    /// The peer had its time, or there is none any more.
    func closeNow() { context?.close(promise: nil) }

    /// A second descriptor for another loop, and what lies between packets and socket; then this channel goes without a word.
    func leave() -> (descriptor: CInt, wire: DetachedWire?)? {
        guard descriptor >= 0 else { return nil }
        var detached: DetachedWire?
        if let wire {
            // What was answered in frames or records must be out.
            guard bytesInChannel == 0, let part = wire.detach() else { return nil }
            detached = part
        }
        let duplicate = DirectSocket.duplicate(descriptor)
        guard duplicate >= 0 else { return nil }
        phase = .gone
        unread = nil
        context?.close(promise: nil)
        return (duplicate, detached)
    }
}
