import MQTTModel
import MQTTSession
import PluginAPI

/// Bounded queues: what is dropped when they are full, and who is slowed before they are.
///
/// A connected receiver that falls behind slows its publishers by leaving their sockets unread, for as long as it makes
/// progress. One that has stopped slows them once, for a bounded time, and then loses messages by the policy: a dead
/// subscriber must not stop a plant.
extension BrokerLoop {
    /// - Returns: `false` if the message was dropped.
    func enqueue(_ delivery: Delivery, for session: Session, source: ConnectionReference?) -> Bool {
        let limits = configuration.sessions
        let bytes = delivery.queuedBytes
        func hasRoom() -> Bool {
            session.pending.hasRoom(
                for: bytes, maxCount: limits.maxQueuedMessages - (session.stored?.spooledCount ?? 0),
                maxBytes: limits.maxQueuedBytes - (session.stored?.spooledBytes ?? 0))
                && counters.statistics.queuedBytes + bytes <= maxQueuedBytes
        }
        if !hasRoom() {
            // Messages of several publishers can meet here in one tick: each of them is slowed, not the first alone.
            if session.connection != nil, !session.isStalled { congested(session, source: source) }
            switch limits.overflow {
            case .dropNewest: break
            case .dropOldest:
                while !hasRoom(), let oldest = session.pending.popFirst() {
                    unstore(oldest, of: session, isReleased: oldest.isReleased)
                    dequeued(oldest)
                    dropped(.queueFull, of: session)
                }
                while !hasRoom(), dropOldestSpooled(session) {}
            case .disconnect:
                if let connection = session.connection {
                    dropped(.slowConsumer, of: session)
                    doom(connection, DisconnectReason(cause: .slowConsumer, code: .quotaExceeded))
                    return false
                }
            }
            guard hasRoom() else {
                dropped(.queueFull, of: session)
                return false
            }
        }
        counters.statistics.queuedMessages += 1
        counters.statistics.queuedBytes += bytes
        if let part = session.stored, part.isSpooling {
            spool(delivery, for: session, part)
        } else {
            var delivery = delivery
            if let part = session.stored, isStored(session, delivery.qos) { store(&delivery, in: part, isUrgent: false) }
            session.pending.append(delivery)
            spoolIfBehind(session)
        }
        if session.connection != nil, !session.isStalled, session.pending.count > slowCount || session.pending.bytes > slowBytes {
            // A group passes a congested member over; only when it can't, the publisher is slowed.
            let isPassedOver = delivery.share != nil && session.extras?.isCongestionKnownToShares != true
            congested(session, source: isPassedOver ? nil : source)
        }
        return true
    }

    /// Bookkeeping for a message that leaves a queue.
    func dequeued(_ delivery: Delivery?) {
        guard let delivery else { return }
        counters.statistics.queuedMessages -= 1
        counters.statistics.queuedBytes -= delivery.queuedBytes
    }

    private func congested(_ session: Session, source: ConnectionReference?) {
        session.withExtras { extras in
            if !extras.isCongestionKnownToShares, !extras.shares.isEmpty {
                extras.isCongestionKnownToShares = true
                for share in extras.shares.values { tell(share, of: session, isCongested: true) }
            }
            guard let source, !extras.waitingPublishers.contains(source) else { return }
            if extras.waitingPublishers.isEmpty {
                extras.progressAtCongestion = session.connection?.progressMark ?? 0
                addTimer(
                    .stalledReceiver, slot: session.slot, serial: session.serial,
                    afterMilliseconds: UInt64(configuration.sessions.stalledReceiverMilliseconds))
            }
            extras.waitingPublishers.insert(source)
            if Int(source.loop) == index { connections[source]?.pause() } else { write(.slow(source), to: Int(source.loop)) }
        }
    }

    /// The queue has drained far enough, or the receiver is gone: its publishers go on.
    func relieve(_ session: Session) {
        guard let extras = session.extras else { return }
        if extras.isCongestionKnownToShares {
            extras.isCongestionKnownToShares = false
            for share in extras.shares.values { tell(share, of: session, isCongested: false) }
        }
        releasePublishers(of: extras)
    }

    private func releasePublishers(of extras: Session.Extras) {
        for source in extras.waitingPublishers {
            if Int(source.loop) == index { connections[source]?.unpause() } else { write(.resume(source), to: Int(source.loop)) }
        }
        extras.waitingPublishers = []
    }

    /// A receiver whose publishers wait: does it still read?
    func checkProgress(_ session: Session) {
        guard let extras = session.extras, !extras.waitingPublishers.isEmpty else { return }
        let progress = session.connection?.progressMark ?? 0
        if session.connection != nil, progress != extras.progressAtCongestion {
            extras.progressAtCongestion = progress
            addTimer(
                .stalledReceiver, slot: session.slot, serial: session.serial,
                afterMilliseconds: UInt64(configuration.sessions.stalledReceiverMilliseconds))
        } else {
            session.isStalled = true
            releasePublishers(of: extras)  // its groups go on passing it over
        }
    }
}
