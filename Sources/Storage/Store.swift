import LMDB
import MQTTModel

/// The broker's store: one LMDB environment in one directory, one writer, one reader of queues.
package final class Store: Sendable {
    package let writer: StoreWriter
    package let reader: QueueReader
    package let outbox: Outbox
    package let directory: String
    /// What an operator must know: damage that was found at the start, and what was done about it.
    package let alarms: [String]
    let environment: StoreEnvironment
    private let lock: HeldDirectory

    private init(
        lock: HeldDirectory, environment: StoreEnvironment, alarms: [String], options: StoreOptions, observer: any StoreObserver,
        outbox: Outbox, state: StoredState
    ) {
        self.outbox = outbox
        self.lock = lock
        self.environment = environment
        self.alarms = alarms
        directory = lock.directory.path
        writer = StoreWriter(
            environment: environment, options: options, observer: observer, outbox: outbox, nextMessage: state.nextMessage,
            purges: state.orphans)
        reader = QueueReader(environment: environment, observer: observer)
    }

    /// Opens the store of a directory, which is made if need be, and reads what a broker must know before it takes connections.
    ///
    /// A damaged environment is set aside under a dated name; what takes its place is for `options.onDamage` to say.
    ///
    /// - Parameter tenantNumber: Gives a tenant's name its number in this process; 0 is the default tenant.
    /// - Throws: `StoreFault`, which says what to do.
    package static func open(
        path: String, options: StoreOptions, observer: any StoreObserver, tenantNumber: (String) -> UInt32 = { _ in 0 }
    ) throws(StoreFault) -> OpenStore {
        let lock: HeldDirectory
        do throws(StoreDirectory.Fault) {
            lock = HeldDirectory(try StoreDirectory(path: path))
        } catch {
            throw StoreFault.unusable(error.description)
        }
        let files = StoreFiles(directory: path)
        files.synchronize(path + "/..")  // the directory may be new
        var alarms: [String] = []
        files.rollBackAfterReboot(alarms: &alarms)
        do throws(StoreFault) {
            return try load(lock, files, options, observer, alarms, tenantNumber)
        } catch {
            guard case .damaged(let what) = error else { throw error }
            try files.replaceDamaged(what, policy: options.onDamage, alarms: &alarms)
            return try load(lock, files, options, observer, alarms, tenantNumber)
        }
    }

    private static func load(
        _ lock: HeldDirectory, _ files: StoreFiles, _ options: StoreOptions, _ observer: any StoreObserver, _ alarms: [String],
        _ tenantNumber: (String) -> UInt32
    ) throws(StoreFault) -> OpenStore {
        try files.verify()
        do {
            let environment = try StoreEnvironment(directory: files.directory, options: options)
            try StoreFormat.check(environment)
            let state = try StoredState(environment, tenantNumber: tenantNumber)
            let outbox = try Outbox(environment)
            let store = Store(
                lock: lock, environment: environment, alarms: alarms, options: options, observer: observer, outbox: outbox, state: state)
            try store.writer.start()
            FaultPoint.reach(.restored)
            return OpenStore(store: store, state: state)
        } catch let error as LMDBError {
            throw StoreFault(error)
        } catch let error as StoreFault {
            throw error
        } catch {
            throw StoreFault.unusable("\(error)")
        }
    }

    /// Stores what has been submitted, synchronises, and closes.
    /// - Returns: Whether everything is on the disk.
    package func close() async -> Bool {
        let isComplete = await writer.stop()
        await reader.stop()
        return isComplete
    }
}

/// A store, and what was in it.
package struct OpenStore: Sendable {
    package let store: Store
    package let state: StoredState
}

/// Why a store can't be opened. Wrong is the operator's directory, its disk, or its age.
package enum StoreFault: Error, Sendable, CustomStringConvertible {
    /// The directory can't be used: the text says why and what to do.
    case unusable(String)
    /// Bytes that no store of ours has written.
    case damaged(String)
    /// Damaged, and the configuration forbids to go on without it.
    case stopped(String)
    /// A later version has written it.
    case tooNew(String)

    init(_ error: LMDBError) {
        switch error.kind {
        case .corrupted, .panicked: self = .damaged(error.description)
        default: self = .unusable("the store can't be used: \(error)")
        }
    }

    package var description: String {
        switch self {
        case .unusable(let text), .damaged(let text), .stopped(let text), .tooNew(let text): text
        }
    }

    /// Whether starting again can't help: nobody should try before somebody has looked.
    package var isFinal: Bool {
        switch self {
        case .stopped, .tooNew: true
        case .unusable, .damaged: false
        }
    }
}
