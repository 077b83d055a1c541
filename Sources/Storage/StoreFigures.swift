import LMDB

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What is in a store and how large it is: `headwater db stats`.
package struct StoreFigures: Sendable, Codable, Equatable {
    package struct Backlog: Sendable, Codable, Equatable {
        package var clientID: String
        package var tenant: String
        package var messages: Int
        package var bytes: Int

        package init(clientID: String, tenant: String, messages: Int, bytes: Int) {
            self.clientID = clientID
            self.tenant = tenant
            self.messages = messages
            self.bytes = bytes
        }
    }

    /// A queue of the outbox.
    package struct Outbox: Sendable, Codable, Equatable {
        package var name: String
        package var entries: Int
        package var bytes: Int

        package init(name: String, entries: Int, bytes: Int) {
            self.name = name
            self.entries = entries
            self.bytes = bytes
        }
    }

    package var directory: String
    /// "process 7"; `nil`: no broker runs on it.
    package var usedBy: String?
    package var format: Int?
    package var lastTransaction: UInt64
    package var sessions: Int
    package var subscriptions: Int
    package var queuedMessages: Int
    package var queuedBytes: Int
    /// Queues of ended sessions, which the broker has yet to remove.
    package var endedSessions: Int
    /// The longest queues.
    package var backlogs: [Backlog]
    /// By name.
    package var outboxes: [Outbox] = []
    package var retainedMessages: Int
    /// Long messages, which queues refer to.
    package var messagesStoredOnce: Int
    package var unfinishedExactlyOnce: Int
    package var fileBytes: Int
    /// What the file takes on the disk: pages that were never written take nothing.
    package var diskBytes: Int
    package var mapBytes: Int
    package var pageBytes: Int
    package var usedPages: Int
    package var freePages: Int
    /// Since the last synchronisation that the store can return to; `nil`: there is none, as with durability `sync`.
    package var checkpointAgeSeconds: Int?
    package var backupAgeSeconds: Int?
    package var unreadableRecords: Int
}

extension StoreMaintenance {
    /// - Parameter backlogs: How many of the longest queues.
    package func figures(backlogs: Int = 10) throws(StoreFault) -> StoreFigures {
        let user = StoreDirectory.user(of: directory)
        // LMDB would follow a damaged page out of its map; a broker has had the file checked.
        if user == nil { try files.verify() }
        var status = stat()
        guard stat(files.data, &status) == 0 else { throw files.fault("read", files.data) }
        var figures = try withReading { environment, transaction, databases throws(LMDBError) in
            try Self.figures(environment, transaction, databases, backlogs: backlogs)
        }
        figures.directory = directory
        figures.usedBy = user
        figures.fileBytes = Int(status.st_size)
        figures.diskBytes = Int(status.st_blocks) * 512
        figures.checkpointAgeSeconds = age(files.checkpoint)
        figures.backupAgeSeconds = age(files.backup)
        return figures
    }

    private static func figures(
        _ environment: Environment, _ transaction: borrowing ReadTransaction, _ databases: [String: Database], backlogs: Int
    ) throws(LMDBError) -> StoreFigures {
        let info = environment.info
        let freePages = try environment.freePages(in: transaction)
        func count(_ name: String) throws(LMDBError) -> Int { try transaction.count(in: databases[name]!) }
        var figures = StoreFigures(
            directory: "", usedBy: nil, format: nil, lastTransaction: transaction.id, sessions: try count("sessions"),
            subscriptions: try count("subscriptions"), queuedMessages: try count("queue"), queuedBytes: 0, endedSessions: 0, backlogs: [],
            retainedMessages: try count("retained"), messagesStoredOnce: try count("messages") / 2,
            unfinishedExactlyOnce: try count("inbound"), fileBytes: 0, diskBytes: 0, mapBytes: info.mapBytes,
            pageBytes: environment.pageSize, usedPages: info.lastPage + 1 - freePages, freePages: freePages, checkpointAgeSeconds: nil,
            backupAgeSeconds: nil, unreadableRecords: 0)
        try transaction.scan(databases["meta"]!, from: nil) { key, value throws(LMDBError) in
            var reader = SealedRecord.open(value, key: key).map { RecordReader($0) }
            figures.format = (try? reader?.integer(UInt32.self)).map(Int.init)
            return false
        }
        var longest: [(number: UInt64, counts: QueueCounts)] = []
        try transaction.scan(databases["counts"]!, from: nil) { key, value throws(LMDBError) in
            guard key.count == 8, let content = SealedRecord.open(value, key: key), let counts = try? QueueCounts(content) else {
                figures.unreadableRecords += 1
                return true
            }
            figures.queuedBytes += Int(clamping: counts.bytes)
            if try transaction.withValue(key, in: databases["sessions"]!, { _ throws(LMDBError) in true }) == nil {
                figures.endedSessions += 1
            }
            guard counts.messages > 0 else { return true }
            // Few enough to keep in order by hand, however many sessions there are.
            let place = longest.firstIndex { $0.counts.messages < counts.messages } ?? longest.count
            if place < backlogs {
                longest.insert((key.bigEndian(at: 0), counts), at: place)
                if longest.count > backlogs { longest.removeLast() }
            }
            return true
        }
        for (number, counts) in longest {
            let record = try Key.number(number) { key throws(LMDBError) in
                try transaction.withValue(key, in: databases["sessions"]!) { value throws(LMDBError) -> SessionRecord? in
                    SealedRecord.open(value, key: key).flatMap { try? SessionRecord(number: number, $0) }
                }
            }
            let session = record ?? nil
            figures.backlogs.append(
                StoreFigures.Backlog(
                    clientID: session?.clientID ?? "(ended session \(number))", tenant: session?.tenant ?? "",
                    messages: Int(clamping: counts.messages), bytes: Int(clamping: counts.bytes)))
        }
        if let outboxes = databases["outboxes"] {
            try transaction.scan(outboxes, from: nil) { key, value throws(LMDBError) in
                if let content = SealedRecord.open(value, key: key), let record = try? OutboxQueueRecord(content) {
                    figures.outboxes.append(
                        StoreFigures.Outbox(name: record.name, entries: Int(clamping: record.entries), bytes: Int(clamping: record.bytes)))
                } else {
                    figures.unreadableRecords += 1
                }
                return true
            }
            figures.outboxes.sort { $0.name < $1.name }
        }
        return figures
    }

    private func age(_ path: String) -> Int? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return max(0, time(nil) - status.st_mtim.tv_sec)
    }
}
