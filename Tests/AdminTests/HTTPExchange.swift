import NIOCore
import NIOPosix

/// Bytes there, bytes back: no HTTP client stands between a test and what it wants to send.
enum HTTPExchange {
    struct Overdue: Error {}

    /// Connects, sends, and reads until the server closes.
    /// - Throws: `Overdue` when it is still open after `seconds`.
    static func send(_ request: String, port: Int, seconds: Int64 = 20) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        let overdue = channel.channel.eventLoop.scheduleTask(in: .seconds(seconds)) {
            channel.channel.close(promise: nil)
        }
        let answer = try await channel.executeThenClose { inbound, outbound in
            // A server that refuses what comes may close before all of it is sent.
            try? await outbound.write(ByteBuffer(string: request))
            var answer = ""
            do {
                for try await part in inbound { answer += String(buffer: part) }
            } catch {}
            return answer
        }
        var isOverdue = true
        overdue.cancel()
        overdue.futureResult.whenSuccess { _ in }
        isOverdue = (try? await overdue.futureResult.get()) != nil
        if isOverdue { throw Overdue() }
        return answer
    }

    /// A request that asks for the connection to be closed after it.
    static func get(_ path: String, method: String = "GET", port: Int) async throws -> (
        status: Int, headers: [String: String], body: String
    ) {
        let answer = try await send("\(method) \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", port: port)
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            headers[line[..<colon].lowercased()] = line[colon...].dropFirst().trimmingPrefix(while: \.isWhitespace).description
        }
        return (Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0, headers, parts.count > 1 ? String(parts[1]) : "")
    }
}
