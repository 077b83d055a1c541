import Glibc

/// A state of the file to which it can return after a power cut, although commits don't wait for the disk.
///
/// With `isSyncing` false the system writes pages in any order, and after a power cut both meta pages may point to pages
/// that never arrived. LMDB never overwrites a page of a state that some reader holds. So, again and again:
/// 1. the writer, between two commits, begins a read transaction (the pin) and captures its meta page;
/// 2. on another thread the environment is synced, then the captured page is written to a side file;
/// 3. only then the pin of the checkpoint before is dropped. Its pages may be overwritten from here on.
///
/// A pin ends with its process, and commits of the next process may overwrite its pages. So whoever opens the environment
/// makes a new checkpoint before the first commit; and if the side file's boot ID isn't the current one, restores first.
package enum Checkpoint {
    /// The meta page of the state that `pin` sees. Between two commits only: the caller is the writer, and not writing.
    package static func capture(_ environment: Environment, pinnedBy pin: borrowing ReadTransaction) throws(LMDBError) -> Captured {
        let pageSize = environment.pageSize
        let transactionID = pin.id
        var page = [UInt8](repeating: 0, count: pageSize)
        let offset = off_t(transactionID & 1) * off_t(pageSize)
        let count = page.withUnsafeMutableBytes { pread(environment.fileDescriptor, $0.baseAddress, pageSize, offset) }
        guard count >= 0 else { throw LMDBError(errno, "read a meta page") }
        guard count == pageSize, let meta = CheckpointFile.meta(in: page), meta.transactionID == transactionID else {
            throw LMDBError(EBUSY, "capture transaction \(transactionID): its meta page is another one's already")
        }
        return Captured(transactionID: transactionID, page: page)
    }

    package struct Captured: Sendable {
        package let transactionID: UInt64
        let page: [UInt8]

        /// Puts it in the place of the side file before, whole or not at all. After the sync and not earlier.
        package func write(to path: String, bootID: String) throws(LMDBError) {
            try DurableFile.replace(path, with: CheckpointFile(bootID: bootID, transactionID: transactionID, page: page).encoded())
        }
    }

    package enum Reading: Sendable {
        case none
        case intact(CheckpointFile)
        case damaged(String)
    }

    /// Throws if the system refuses; a file with other bytes than were written is no error but a result.
    package static func read(path: String) throws(LMDBError) -> Reading {
        guard let bytes = try DurableFile.read(path) else { return .none }
        guard let file = CheckpointFile(decoding: bytes) else { return .damaged("\(path) isn't a checkpoint or has changed") }
        return .intact(file)
    }

    /// How the boot ID of a system begins that doesn't tell.
    package static let unknownBoot = "unknown-"

    /// Changes with each start of the system, not of the process. A system that doesn't tell gives a new one at each call,
    /// which is on the safe side: going back to a checkpoint is always right, only older.
    package static func currentBootID() -> String {
        // Plain calls of the C library, so that a test can put another file in the place of this one.
        let descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 {
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            let identifier = String(decoding: bytes.prefix(max(count, 0)).prefix { $0 > 0x20 }, as: UTF8.self)
            if !identifier.isEmpty { return identifier }
        }
        return "\(unknownBoot)\(UInt64.random(in: .min ... .max))"
    }
}
