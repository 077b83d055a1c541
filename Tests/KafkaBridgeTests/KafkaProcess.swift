import Foundation
import Testing

@testable import KafkaBridge

/// Tests/TestKafka as a process: a Kafka that isolates, fences, authenticates and encrypts, and that can be told to fail.
final class KafkaProcess {
    let bootstrapServers: String
    private let process = Process()
    private let commands = Pipe()
    private let answers = Pipe()

    /// - Parameter arguments: Those of `test-kafka`.
    init(_ arguments: [String] = []) throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        process.executableURL = tests.appending(path: "TestKafka/test-kafka")
        process.arguments = arguments
        process.standardInput = commands
        process.standardOutput = answers
        try process.run()
        bootstrapServers = Self.line(from: answers.fileHandleForReading)
        try #require(!bootstrapServers.isEmpty, "test-kafka did not start")
    }

    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Has a command carried out.
    @discardableResult
    func say(_ command: String) throws -> String {
        try commands.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8))
        let answer = Self.line(from: answers.fileHandleForReading)
        try #require(!answer.isEmpty && !answer.hasPrefix("error"), "\(command): \(answer)")
        return answer
    }

    /// Stops answering while the kernel goes on accepting, or goes on.
    func hang(_ isHanging: Bool) { kill(process.processIdentifier, isHanging ? SIGSTOP : SIGCONT) }

    private static func line(from handle: FileHandle) -> String {
        var bytes: [UInt8] = []
        while let byte = try? handle.read(upToCount: 1)?.first, byte != UInt8(ascii: "\n") { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
