import BrokerTestKit
import Foundation
import Testing

/// A sound store with a backup of an earlier state, made once and copied for each case.
actor StoreTemplate {
    static let shared = StoreTemplate()

    struct Copy: Sendable {
        /// Holds the store and everything else of one case.
        let directory: URL
        var store: URL { directory.appendingPathComponent("store") }
        var log: String { (try? String(contentsOf: directory.appendingPathComponent("broker.log"), encoding: .utf8)) ?? "" }

        func bytes(_ name: String) -> [UInt8] {
            FileManager.default.contents(atPath: store.appendingPathComponent(name).path).map { Array($0) } ?? []
        }

        func write(_ bytes: [UInt8], _ name: String) throws { try Data(bytes).write(to: store.appendingPathComponent(name)) }

        /// Directories into which damaged environments have been put.
        var setAside: [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: store.path)) ?? []).filter { $0.hasPrefix("damaged-") }.sorted()
        }

        func remove() { try? FileManager.default.removeItem(at: directory) }
    }

    private var made: Task<URL, any Error>?

    func copy() async throws -> Copy {
        let made = made ?? Task { try await Self.make() }
        self.made = made
        let template = try await made.value
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-damage-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: template.appendingPathComponent("store"), to: directory.appendingPathComponent("store"))
        return Copy(directory: directory)
    }

    private static func make() async throws -> URL {
        let lives = try BrokerLives(CrashOptions(seed: 1, durability: .sync), name: "template")
        var process = try await lives.startReady()
        try await StoreContent.write(1...StoreContent.backedUp, to: process)
        _ = await process.terminate()
        // After an orderly end the file itself is a backup; `headwater db backup` has a test of its own.
        try FileManager.default.copyItem(atPath: "\(lives.store)/data.mdb", toPath: "\(lives.store)/backup.mdb")
        process = try await lives.startReady()
        try await StoreContent.write(StoreContent.backedUp + 1...StoreContent.all, to: process)
        _ = await process.terminate()
        for name in try FileManager.default.contentsOfDirectory(atPath: lives.store) where name.hasSuffix("lock") || name == "addresses" {
            try FileManager.default.removeItem(atPath: "\(lives.store)/\(name)")
        }
        return lives.directory
    }

    /// Removes the template of this test process.
    func remove() async {
        if let made, let directory = try? await made.value { try? FileManager.default.removeItem(at: directory) }
        made = nil
    }
}

/// Removes the template when the suite has ended.
struct TemplateRemoval: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        do {
            try await function()
        } catch {
            await StoreTemplate.shared.remove()
            throw error
        }
        await StoreTemplate.shared.remove()
    }
}

/// `headwater` with other arguments than `run`.
enum Program {
    static func run(_ arguments: [String]) async throws -> (ending: BrokerProcess.Ending, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try BrokerProcess.builtExecutable())
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("HEADWATER_") }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("program-\(UUID().uuidString)").path
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = FileHandle(forWritingAtPath: path)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = file
        process.standardError = file
        try process.run()
        let deadline = ContinuousClock.now + .seconds(60)
        while process.isRunning, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        try? file?.close()
        let output = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return (process.terminationReason == .exit ? .exit(process.terminationStatus) : .signal(process.terminationStatus), output)
    }
}
