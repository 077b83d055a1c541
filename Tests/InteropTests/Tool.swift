import BrokerTestKit
import Foundation
import Synchronization

/// A program of somebody else, found in PATH: run with arguments, watched with a deadline.
final class Tool: Sendable {
    struct Output: Sendable {
        /// `nil`: it ended by a signal.
        let exitCode: Int32?
        let text: String
        let errors: String
        var lines: [String] { text.split(separator: "\n").map(String.init) }
    }

    private let name: String
    private let process: Mutex<Process>
    private let directory: URL

    /// - Throws: `ScriptedClientError` that says what to install when the program is missing.
    static func path(of name: String, package: String) throws -> String {
        for directory in (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":") {
            let path = "\(directory)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw ScriptedClientError("\(name) is not in PATH: install \(package), or run scripts/setup", file: #fileID, line: #line)
    }

    init(_ path: String, _ arguments: [String]) throws {
        name = URL(fileURLWithPath: path).lastPathComponent
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try Self.file(directory.appendingPathComponent("out"))
        process.standardError = try Self.file(directory.appendingPathComponent("err"))
        try process.run()
        self.process = Mutex(process)
    }

    private static func file(_ url: URL) throws -> FileHandle {
        _ = FileManager.default.createFile(atPath: url.path, contents: nil)
        return try FileHandle(forWritingTo: url)
    }

    /// Waits for its end.
    ///
    /// - Throws: `ScriptedClientError` with what it has said when it does not end in time; it is killed then.
    func end(within time: Duration = .seconds(30)) async throws -> Output {
        let deadline = ContinuousClock.now + time
        while process.withLock({ $0.isRunning }) {
            guard ContinuousClock.now < deadline else {
                kill()
                throw ScriptedClientError("\(name) did not end within \(time): \(text("out")) \(text("err"))", file: #fileID, line: #line)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        defer { try? FileManager.default.removeItem(at: directory) }
        let code = process.withLock { $0.terminationReason == .exit ? $0.terminationStatus : nil }
        return Output(exitCode: code, text: text("out"), errors: text("err"))
    }

    /// SIGKILL.
    func kill() { process.withLock { sendKill($0.processIdentifier) } }

    private func text(_ file: String) -> String {
        (try? String(contentsOf: directory.appendingPathComponent(file), encoding: .utf8)) ?? ""
    }

    /// Runs to its end, which must be exit code 0.
    static func run(_ path: String, _ arguments: [String], file: String = #fileID, line: Int = #line) async throws -> Output {
        let output = try await Tool(path, arguments).end()
        guard output.exitCode == 0 else {
            throw ScriptedClientError("\(path) \(arguments) ended with \(String(describing: output.exitCode)): \(output.text) \(output.errors)", file: file, line: line)
        }
        return output
    }
}

#if canImport(Glibc)
import Glibc
private func sendKill(_ process: Int32) { _ = Glibc.kill(process, SIGKILL) }
#elseif canImport(Musl)
import Musl
private func sendKill(_ process: Int32) { _ = Musl.kill(process, SIGKILL) }
#endif
