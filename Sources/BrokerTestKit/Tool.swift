import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A program of somebody else, found in PATH: run with arguments, watched with a deadline.
package final class Tool: Sendable {
    package struct Output: Sendable {
        /// `nil`: it ended by a signal.
        package let exitCode: Int32?
        package let text: String
        package let errors: String
        package var lines: [String] { text.split(separator: "\n").map(String.init) }
        /// Both streams, one after the other.
        package var everything: String { text + errors }
    }

    private let name: String
    private let process: Mutex<Process>
    private let input: FileHandle?
    private let directory: URL

    /// - Throws: `ScriptedClientError` that says what to install when the program is missing.
    package static func path(of name: String, package: String) throws -> String {
        for directory in (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":") {
            let path = "\(directory)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw ScriptedClientError("\(name) is not in PATH: install \(package), or run scripts/setup", file: #fileID, line: #line)
    }

    /// - Parameter hasInput: Whether there will be something on standard input (`send`, `endInput`); otherwise it is empty.
    package init(_ path: String, _ arguments: [String], hasInput: Bool = false, environment: [String: String] = [:]) throws {
        name = URL(fileURLWithPath: path).lastPathComponent
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-tool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        if !environment.isEmpty { process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new } }
        if hasInput {
            // A program that has ended must not end the tests.
            signal(SIGPIPE, SIG_IGN)
            let pipe = Pipe()
            process.standardInput = pipe
            input = pipe.fileHandleForWriting
        } else {
            process.standardInput = FileHandle.nullDevice
            input = nil
        }
        process.standardOutput = try Self.file(directory.appendingPathComponent("out"))
        process.standardError = try Self.file(directory.appendingPathComponent("err"))
        try process.run()
        self.process = Mutex(process)
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: directory)
    }

    private static func file(_ url: URL) throws -> FileHandle {
        _ = FileManager.default.createFile(atPath: url.path, contents: nil)
        return try FileHandle(forWritingTo: url)
    }

    package var isRunning: Bool { process.withLock { $0.ending == nil } }
    package var processIdentifier: Int32 { process.withLock { $0.processIdentifier } }

    /// What it has said so far, on both streams.
    package var output: String { text("out") + text("err") }

    /// To its standard input, if it still listens.
    package func send(_ bytes: [UInt8]) { try? input?.write(contentsOf: Data(bytes)) }
    package func endInput() { try? input?.close() }

    /// Waits until it has said this, or has ended.
    ///
    /// - Returns: Whether it has said it.
    package func says(_ words: String, within time: Duration = .seconds(15)) async throws -> Bool {
        let deadline = ContinuousClock.now + time
        while !output.contains(words) {
            guard isRunning, ContinuousClock.now < deadline else { return output.contains(words) }
            try await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    /// Waits for its end.
    ///
    /// - Throws: `ScriptedClientError` with what it has said when it does not end in time; it is killed then.
    package func end(within time: Duration = .seconds(30)) async throws -> Output {
        let deadline = ContinuousClock.now + time
        while true {
            if let ending = process.withLock({ $0.ending }) {
                let code: Int32? = if case .exit(let code) = ending { code } else { nil }
                return Output(exitCode: code, text: text("out"), errors: text("err"))
            }
            guard ContinuousClock.now < deadline else {
                let place = try? String(contentsOfFile: "/proc/\(processIdentifier)/wchan", encoding: .utf8)
                kill()
                throw ScriptedClientError(
                    "\(name) did not end within \(time), it is in \(place ?? "?"): \(text("out")) \(text("err"))", file: #fileID, line: #line)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// SIGKILL, if it still runs.
    package func kill() { process.withLock { if $0.ending == nil { sendKill($0.processIdentifier) } } }

    private func text(_ file: String) -> String {
        guard let bytes = try? Data(contentsOf: directory.appendingPathComponent(file)) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Runs to its end, which must be exit code 0.
    @discardableResult
    package static func run(_ path: String, _ arguments: [String], file: String = #fileID, line: Int = #line) async throws -> Output {
        let output = try await Tool(path, arguments).end()
        guard output.exitCode == 0 else {
            throw ScriptedClientError(
                "\(path) \(arguments) ended with \(String(describing: output.exitCode)): \(output.text) \(output.errors)", file: file, line: line)
        }
        return output
    }
}

/// `kill(2)`, whose name the method above hides.
private func sendKill(_ process: Int32) { _ = kill(process, SIGKILL) }
