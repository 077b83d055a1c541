import MQTTModel
import MQTTSession
import MQTTWire
import NIOCore
import PluginAPI
import Storage

/// The way of a loop's changes into the store, and back: what was promised is told when it is a fact.
extension BrokerLoop {
    /// At the end of each tick, before the connections are flushed.
    func settleStore(_ ledger: StoreLedger) {
        guard ledger.submitted == nil, !ledger.isIdle else { return }
        if ledger.open.liveCount == 0 {
            stored(ledger.skip(), in: ledger)  // every receiver was faster than the disk
        } else if !ledger.hasFailed {
            if ledger.isUrgent || ledger.isDue || ledger.isLong || ledger.service.configuration.commitWindowMilliseconds == 0 || isStopping {
                submit(ledger)
            } else if !ledger.isWindowTimerSet {
                ledger.isWindowTimerSet = true
                addTimer(
                    .commitWindow, slot: 0, serial: ledger.open.number,
                    afterMilliseconds: UInt64(ledger.service.configuration.commitWindowMilliseconds))
            }
        }
    }

    func commitWindowPassed(_ number: UInt64) {
        guard let ledger else { return }
        ledger.isWindowTimerSet = false
        // The timer may be an earlier batch's: the open one waits a little shorter then.
        ledger.isDue = true
    }

    private func submit(_ ledger: StoreLedger) {
        let batch = ledger.submit()
        let node = nodes[index]
        ledger.service.store.writer.submit(batch) { report in
            node.eventLoop.execute { node.bound.value?.stored(report) }
        }
    }

    /// The writer has stored a batch.
    private func stored(_ report: StoreReport) {
        guard let ledger else { return }
        beginWork()
        for trim in report.trims { trimmed(trim) }
        stored(report.batch, in: ledger)
        if !ledger.waitingPublishers.isEmpty, !ledger.isOverfull { releaseStoreWaiters(ledger) }
    }

    private func stored(_ number: UInt64, in ledger: StoreLedger) {
        if ledger.stored(number) { tellComplete(ledger) }
        guard !ledger.waitingReaders.isEmpty else { return }
        let waiting = ledger.waitingReaders
        ledger.waitingReaders = []
        for reader in waiting {
            if reader.batch > ledger.stored {
                ledger.waitingReaders.append(reader)
            } else if let session = session(reader.session) {
                readOn(session)
            }
        }
    }

    private func tellComplete(_ ledger: StoreLedger) {
        while let entry = ledger.popComplete() {
            for connection in entry.connections { connection.stored(upTo: entry.number) }
            for continuation in entry.continuations { continuation() }
        }
    }

    /// A promise of this loop is kept wherever it had to be.
    func kept(_ purpose: StorePromise.Purpose) {
        beginWork()
        guard let ledger else { return }
        switch purpose {
        case .batch(let number):
            ledger.completed(number)
            tellComplete(ledger)
        case .publish(let token): completed(token, .fulfilled)
        case .sourced(let token): sourced.removeValue(forKey: token)?()
        case .will(let reference, let number):
            guard let session = session(reference) else {
                ledger.append(.endSession(number))
                return
            }
            session.extras?.leavingWill = nil
            save(session)
        }
    }

    // MARK: Too much at once, and disks that are full

    /// Publishers wait while more is to be stored than memory is for.
    func slowForStore(_ source: ConnectionReference?) {
        guard let ledger, ledger.isOverfull, let source, ledger.waitingPublishers.insert(source).inserted else { return }
        if Int(source.loop) == index { connections[source]?.pause() } else { write(.slow(source), to: Int(source.loop)) }
    }

    private func releaseStoreWaiters(_ ledger: StoreLedger) {
        for source in ledger.waitingPublishers {
            if Int(source.loop) == index { connections[source]?.unpause() } else { write(.resume(source), to: Int(source.loop)) }
        }
        ledger.waitingPublishers = []
    }

    /// The store's writer has failed or is full, or goes on.
    func storeChanged(_ condition: StoreCondition) {
        guard let ledger else { return }
        beginWork()
        ledger.hasFailed = condition == .failed
        ledger.isRefusing = condition != .writable
        if ledger.hasFailed { return refuseWaiting(ledger) }
        let acknowledgements = ledger.postponedAcknowledgements
        ledger.postponedAcknowledgements = []
        for (reference, type, packetID) in acknowledgements {
            guard let connection = connections[reference], connection.phase == .connected else { continue }
            receivedAcknowledgement(type, AcknowledgementFields(packetID: packetID, reason: .success), on: connection)
        }
        guard !ledger.isRefusing else { return }
        let publishers = ledger.postponed
        ledger.postponed = []
        for reference in publishers { connections[reference]?.unpause() }
    }

    /// Clients that wait for an acknowledgement are told that it does not come now, and can go on with what needs no store; what they
    /// sent is neither lost nor acknowledged, and they send it again.
    private func refuseWaiting(_ ledger: StoreLedger) {
        for connection in ledger.waitingConnections where connection.phase < .closing {
            connection.dropHeld()
            connection.close(
                DisconnectReason(cause: .administrative, code: .quotaExceeded), detail: "the store can't be written: nothing can be acknowledged")
        }
    }

    /// PUBREC and PUBREL that can't be stored now are answered when they can: until then everything else goes on.
    func postpone(_ type: UInt8, _ packetID: UInt16, on connection: ConnectionHandler) -> Bool {
        guard let ledger, ledger.hasFailed, connection.session?.stored != nil else { return false }
        ledger.postponedAcknowledgements.append((connection.reference, type, packetID))
        return true
    }

    /// At the end: nothing more comes, and everything goes to the writer.
    func drainStore(_ done: @escaping @Sendable () -> Void) {
        guard let ledger, !ledger.isSettled else { return done() }
        isStopping = true
        beginWork()
        ledger.isUrgent = true
        ledger.whenComplete(done)
    }
}
