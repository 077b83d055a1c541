/// A directory as a disk has it. Directory changes are taken to reach the disk in their order, as a journaling file system
/// has it, and surely only with a sync of a directory; nothing ties them to the data of the files that they name.
struct Disk {
    private enum DirectoryChange {
        case create(String, DiskFile)
        case rename(String, String)
        case remove(String)
        case makeDirectory(String)
    }

    /// Names that are surely on the disk.
    private var durable: [String: DiskFile]
    private var durableDirectories: Set<String>
    /// Names as the running program sees them.
    private var current: [String: DiskFile]
    private var pending: [(number: UInt64, change: DirectoryChange)] = []
    private var files: [UInt32: DiskFile] = [:]
    /// Each process counts its records from 1.
    private var lastNumber: UInt64 = 0

    /// - Parameter content: Files by path below the directory; all of it is on the disk.
    init(_ content: [String: [UInt8]], directories: Set<String> = []) {
        durable = content.mapValues { DiskFile($0) }
        current = durable
        durableDirectories = directories
    }

    /// Takes all that one process did, and is ready for the next: what that leaves unsynced stays so.
    mutating func takeLife(_ records: [DiskRecord]) {
        let base = lastNumber
        for var record in records {
            record.number += base
            switch record.kind {
            case .written, .sync, .directorySync: record.offset += base
            default: break
            }
            lastNumber = max(lastNumber, record.number, record.kind == .sync || record.kind == .directorySync ? record.offset : 0)
            take(record)
        }
        files = [:]
    }

    mutating func take(_ record: DiskRecord) {
        switch record.kind {
        case .exists:
            let file = current[record.path] ?? DiskFile()
            current[record.path] = file
            files[record.file] = file
        case .create:
            let file = DiskFile()
            files[record.file] = file
            change(.create(record.path, file), record)
        case .write: files[record.file]?.add(.write(offset: Int(record.offset), data: record.data), number: record.number)
        case .written: files[record.file]?.finished(record.offset, bytes: Int(record.aux), isDurable: record.isDurable)
        case .sync: files[record.file]?.synced(before: record.offset)
        case .truncate: files[record.file]?.add(.truncate(Int(record.offset)), number: record.number)
        case .rename:
            let names = record.path.split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
            if names.count == 2 { change(.rename(names[0], names[1]), record) }
        case .unlink, .removeDirectory: change(.remove(record.path), record)
        case .makeDirectory: if !record.path.isEmpty { change(.makeDirectory(record.path), record) }
        case .directorySync:
            for entry in pending where entry.number < record.offset { Self.apply(entry.change, &durable, &durableDirectories) }
            pending.removeAll { $0.number < record.offset }
        }
    }

    private mutating func change(_ change: DirectoryChange, _ record: DiskRecord) {
        var directories: Set<String> = []
        Self.apply(change, &current, &directories)
        pending.append((record.number, change))
    }

    /// The directory as a power cut leaves it.
    func afterCut(_ taste: CutTaste, _ random: inout SeededRandom) -> (files: [String: [UInt8]], directories: Set<String>) {
        var names = durable
        var directories = durableDirectories
        for entry in pending.prefix(taste.keepsAll ? pending.count : Int.random(in: 0...pending.count, using: &random)) {
            Self.apply(entry.change, &names, &directories)
        }
        var content: [String: [UInt8]] = [:]
        for name in names.keys.sorted() { content[name] = names[name]?.afterCut(taste, &random) }
        return (content, directories)
    }

    /// What a program would read now.
    var content: [String: [UInt8]] { current.mapValues(\.current) }

    private static func apply(_ change: DirectoryChange, _ names: inout [String: DiskFile], _ directories: inout Set<String>) {
        switch change {
        case .create(let name, let file): names[name] = file
        case .remove(let name):
            names[name] = nil
            directories.remove(name)
        case .makeDirectory(let name): directories.insert(name)
        case .rename(let from, let to):
            if let file = names.removeValue(forKey: from) { names[to] = file }
            if directories.remove(from) != nil { directories.insert(to) }
            for name in names.keys where name.hasPrefix(from + "/") {
                names[to + name.dropFirst(from.count)] = names.removeValue(forKey: name)
            }
        }
    }
}
