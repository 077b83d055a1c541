import ConfigFile
import Glibc
import Headwater
import NIOCore
import NIOPosix

/// One request to a running broker's HTTP, and its answer.
struct AdminExchange {
    struct Answer {
        let status: Int
        let body: [UInt8]
    }

    enum Fault: Error, CustomStringConvertible {
        /// Nobody is there.
        case noConnection(String)
        case overdue(seconds: Int)
        /// It ended before it was whole, or is no HTTP.
        case broken

        var description: String {
            switch self {
            case .noConnection(let reason): reason
            case .overdue(let seconds): "no answer within \(seconds) s"
            case .broken: "the answer broke off"
            }
        }
    }

    let address: ListenerConfiguration.Address
    var timeoutSeconds = 5

    func get(_ target: String) async throws(Fault) -> Answer { try await send("GET", target, headers: "", body: []) }

    func post(_ target: String, json body: [UInt8] = Array("{}".utf8)) async throws(Fault) -> Answer {
        try await send("POST", target, headers: "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n", body: body)
    }

    private func send(_ method: String, _ target: String, headers: String, body: [UInt8]) async throws(Fault) -> Answer {
        // HTTP/1.0: the end of the connection is the end of the answer.
        let request = Array("\(method) \(target) HTTP/1.0\r\nHost: localhost\r\n\(headers)\r\n".utf8) + body
        let answer: [UInt8]
        do {
            answer = try await exchange(request)
        } catch let fault as Fault {
            throw fault
        } catch {
            throw .noConnection(Self.reason(error))
        }
        guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8)) else { throw .broken }
        let lines = String(decoding: answer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { throw .broken }
        let content = answer[end.upperBound...]
        for line in lines where line.lowercased().hasPrefix("content-length:") {
            guard Int(line.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) == content.count else { throw .broken }
        }
        return Answer(status: status, body: Array(content))
    }

    /// The system's words, without those of every layer above it.
    private static func reason(_ error: any Error) -> String {
        if let failed = error as? NIOConnectionError, let first = failed.connectionErrors.first { return reason(first.error) }
        if let failed = error as? IOError { return String(cString: strerror(failed.errnoCode)) }
        return "\(error)"
    }

    private func exchange(_ request: [UInt8]) async throws -> [UInt8] {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(Int64(timeoutSeconds)))
        let wrap: @Sendable (any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> = { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
        }
        let channel =
            switch address {
            case .unix(let path): try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: wrap)
            case .tcp(let host, let port): try await bootstrap.connect(host: host, port: port, channelInitializer: wrap)
            }
        let deadline = channel.channel.eventLoop.scheduleTask(in: .seconds(Int64(timeoutSeconds))) { channel.channel.close(promise: nil) }
        defer { deadline.cancel() }
        let started = ContinuousClock.now
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: request))
            var answer: [UInt8] = []
            for try await part in inbound { answer += part.readableBytesView }
            if answer.isEmpty, ContinuousClock.now - started >= .seconds(timeoutSeconds) { throw Fault.overdue(seconds: timeoutSeconds) }
            return answer
        }
    }
}

extension Array where Element == UInt8 {
    fileprivate func firstRange(of wanted: [UInt8]) -> Range<Int>? {
        guard count >= wanted.count else { return nil }
        return (0...(count - wanted.count)).first { self[$0..<($0 + wanted.count)].elementsEqual(wanted) }.map { $0..<($0 + wanted.count) }
    }
}
