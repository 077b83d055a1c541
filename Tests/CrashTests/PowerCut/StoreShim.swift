import BrokerTestKit
import Foundation

/// `storeshim.c` under one broker: its log, its control file and its boot identifier.
final class StoreShim: Sendable {
    /// Which calls fail.
    struct Calls: OptionSet, Sendable {
        let rawValue: Int32
        static let write = Calls(rawValue: 1)
        static let sync = Calls(rawValue: 2)
        static let truncate = Calls(rawValue: 4)
        static let create = Calls(rawValue: 8)
        /// The first write that fails takes 512 bytes all the same, as a disk does that fills up.
        static let short = Calls(rawValue: 16)
        static let all: Calls = [.write, .sync, .truncate, .create]
    }

    private let directory: URL
    private let store: String
    private let logPath: String
    private let controlPath: String
    private let bootPath: String
    /// What is to be set in the broker's environment.
    let environment: [String: String]

    /// - Parameters:
    ///   - store: The broker's store directory.
    ///   - directory: For the shim's own files.
    ///   - recordsWrites: Whether a power cut is planned; the log grows with everything that is written.
    init(store: String, directory: URL, recordsWrites: Bool) throws {
        self.store = store
        self.directory = directory
        logPath = directory.appendingPathComponent("writes.log").path
        controlPath = directory.appendingPathComponent("faults").path
        bootPath = directory.appendingPathComponent("boot_id").path
        var environment = [
            "LD_PRELOAD": try Self.library.get(), "STORESHIM_STORE": store, "STORESHIM_CONTROL": controlPath,
            "STORESHIM_BOOT_ID": bootPath,
        ]
        if recordsWrites { environment["STORESHIM_LOG"] = logPath }
        self.environment = environment
        try Data(count: Self.controlBytes).write(to: URL(fileURLWithPath: controlPath))
        try reboot()
    }

    /// The shared object, compiled once for all tests of the process.
    static let library: Result<String, any Error> = Result {
        guard let source = Bundle.module.url(forResource: "storeshim", withExtension: "c", subdirectory: "Resources") else {
            throw ScriptedClientError("storeshim.c is not among the test's resources", file: #fileID, line: #line)
        }
        // Beside the tests, where it goes with them.
        let output = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("storeshim.so")
        let gcc = Process()
        gcc.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        gcc.arguments = ["gcc", "-std=gnu11", "-Wall", "-O1", "-shared", "-fPIC", "-pthread", "-o", output.path, source.path, "-ldl"]
        let errors = Pipe()
        gcc.standardError = errors
        try gcc.run()
        let text = try errors.fileHandleForReading.readToEnd() ?? Data()
        gcc.waitUntilExit()
        guard gcc.terminationStatus == 0 else {
            throw ScriptedClientError("gcc: \(String(decoding: text, as: UTF8.self))", file: #fileID, line: #line)
        }
        return output.path
    }

    // MARK: Power cuts

    /// A broker that starts from now on sees another boot.
    func reboot() throws { try (UUID().uuidString.lowercased() + "\n").write(toFile: bootPath, atomically: true, encoding: .utf8) }

    /// What of the store is on the disk before a broker starts: all that is there.
    func baseline() throws -> Disk {
        let (files, directories) = try Self.read(store)
        return Disk(files, directories: directories)
    }

    /// The log so far.
    func records() throws -> [DiskRecord] {
        guard let log = FileManager.default.contents(atPath: logPath) else { return [] }
        return try DiskRecord.read(log)
    }

    /// Bytes of the log so far.
    var logBytes: Int {
        ((try? FileManager.default.attributesOfItem(atPath: logPath))?[.size] as? Int) ?? 0
    }

    func forgetRecords() throws {
        if FileManager.default.fileExists(atPath: logPath) { try FileManager.default.removeItem(atPath: logPath) }
    }

    /// Makes the store's directory what a power cut may have left of the disk. The broker must be dead.
    func cut(_ disk: Disk, _ random: inout SeededRandom) throws {
        let (files, directories) = disk.afterCut(CutTaste.any(&random), &random)
        // Shared memory means nothing after a cut, but the file may be there with anything in it.
        let locks = try FileManager.default.contentsOfDirectory(atPath: store).filter { $0.hasSuffix("-lock") && random.oneIn(2) }
        let kept = try locks.map { ($0, try Data(contentsOf: URL(fileURLWithPath: "\(store)/\($0)"))) }
        try FileManager.default.removeItem(atPath: store)
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for name in directories.sorted() {
            try FileManager.default.createDirectory(atPath: "\(store)/\(name)", withIntermediateDirectories: true)
        }
        for (name, content) in files.map({ ($0.key, Data($0.value)) }) + kept {
            let path = URL(fileURLWithPath: "\(store)/\(name)")
            // Where a file's name is on the disk and its directory's is not, nobody finds either.
            guard FileManager.default.fileExists(atPath: path.deletingLastPathComponent().path) else { continue }
            try content.write(to: path)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path.path)
        }
        try reboot()
    }

    private static func read(_ directory: String) throws -> (files: [String: [UInt8]], directories: Set<String>) {
        var files: [String: [UInt8]] = [:]
        var directories: Set<String> = []
        guard let names = FileManager.default.enumerator(atPath: directory) else { return (files, directories) }
        for case let name as String in names where !name.hasSuffix("-lock") {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: "\(directory)/\(name)", isDirectory: &isDirectory) else { continue }
            if isDirectory.boolValue {
                directories.insert(name)
            } else {
                files[name] = Array(try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
            }
        }
        return (files, directories)
    }

    // MARK: Faults

    private static let controlBytes = 32

    /// From the call after `passes` more on, these calls fail.
    func fail(_ calls: Calls, with error: Int32, after passes: Int = 0) throws {
        try writeControl(isArmed: true, error: error, calls: calls, passes: passes)
    }

    /// The broker is killed at one of these calls, before it is made.
    func kill(at calls: Calls, after passes: Int) throws { try writeControl(isArmed: true, error: -1, calls: calls, passes: passes) }

    /// All is well again.
    func heal() throws { try writeControl(isArmed: false, error: 0, calls: [], passes: 0) }

    /// How many calls have failed since `fail`.
    var failedCalls: Int {
        guard let bytes = FileManager.default.contents(atPath: controlPath), bytes.count >= Self.controlBytes else { return 0 }
        return bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 24, as: Int64.self)) }
    }

    private func writeControl(isArmed: Bool, error: Int32, calls: Calls, passes: Int) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: controlPath))
        defer { try? file.close() }
        func put(_ values: [Int32], at offset: UInt64) throws {
            try file.seek(toOffset: offset)
            try file.write(contentsOf: values.withUnsafeBytes { Data($0) })
        }
        // Disarmed while the rest changes: the broker reads it at any moment.
        try put([0], at: 0)
        if isArmed { try put([error, calls.rawValue, 0, Int32(passes), 0, 0, 0], at: 4) }
        if isArmed { try put([1], at: 0) }
    }
}
