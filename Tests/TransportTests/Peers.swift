import Foundation
import NIOCore
import NIOPosix
import Testing
import Transport

/// A program of somebody else, run with a deadline.
enum Program {
    struct Missing: Error, CustomStringConvertible { let description: String }

    /// A Python that can import `module`: Debian's own, where its packages put it, or the first in PATH.
    static func python(with module: String, package: String) throws -> String {
        for path in ["/usr/bin/python3", "python3"] where (try? run(path, ["-c", "import \(module)"]))?.code == 0 { return path }
        throw Missing(description: "no python3 can import \(module): install \(package), or run scripts/setup")
    }

    /// - Returns: `nil` as code: it was killed, or ended by a signal.
    static func run(_ path: String, _ arguments: [String], input: String? = nil, seconds: Double = 60) throws -> (
        code: Int32?, output: String
    ) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [path] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let stdin = Pipe()
        process.standardInput = input == nil ? FileHandle.nullDevice : stdin
        try process.run()
        if let input { stdin.fileHandleForWriting.write(Data(input.utf8)) }
        let deadline = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds, execute: deadline)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        deadline.cancel()
        return (process.terminationReason == .exit ? process.terminationStatus : nil, text)
    }
}

/// Bytes there, bytes back.
enum Exchange {
    /// Connects, sends, and reads until the server closes, at most for `seconds`.
    static func send(_ request: [UInt8], port: Int, seconds: Int64 = 10) async throws -> [UInt8] {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        let deadline = channel.channel.eventLoop.scheduleTask(in: .seconds(seconds)) { channel.channel.close(promise: nil) }
        defer { deadline.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            try? await outbound.write(ByteBuffer(bytes: request))
            var answer: [UInt8] = []
            do {
                for try await part in inbound { answer += part.readableBytesView }
            } catch {}
            return answer
        }
    }
}
