import ArgumentParser
import ConfigFile
import Headwater
import NIOCore
import NIOPosix

/// `headwater health`: asks a running broker, for containers and scripts that have no curl.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask a running broker's HTTP whether it is well.",
        discussion: """
            Example: headwater health --address 127.0.0.1:9883 --path /readyz

            Exit codes: 0 the answer was 200; 1 it was not, or there was none.
            """)

    @Option(help: "HOST:PORT or unix:/PATH of the broker's HTTP.")
    var address = "127.0.0.1:9883"

    @Option(help: "/healthz, /readyz, /metrics or /status.")
    var path = "/healthz"

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "seconds"))
    var timeout = 5

    func validate() throws {
        if let fault = ListenerAddress.fault(in: address) { throw ValidationError("--address \(fault)") }
        if !path.hasPrefix("/") || path.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw ValidationError("--path begins with / and has no blanks")
        }
        if !(1...3_600).contains(timeout) { throw ValidationError("--timeout is a number from 1 to 3600") }
    }

    func run() async throws {
        let answer: String
        do {
            answer = try await exchange()
        } catch {
            StandardStreams.complain("no answer from \(address): \(error)")
            throw ExitCode(1)
        }
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let status = parts[0].split(separator: " ").dropFirst().first ?? "no status"
        if parts.count == 2 { _ = StandardStreams.write(Array(parts[1].utf8)) }
        guard status == "200" else {
            StandardStreams.complain("\(address)\(path) answered \(status)")
            throw ExitCode(1)
        }
    }

    private func exchange() async throws -> String {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connectTimeout(.seconds(Int64(timeout)))
        let wrap: @Sendable (any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> = { channel in
            channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
        }
        guard let address = ListenerAddress.parse(address) else { throw ExitCode(64) }  // validate() has read it
        let channel =
            switch address {
            case .unix(let path): try await bootstrap.connect(unixDomainSocketPath: path, channelInitializer: wrap)
            case .tcp(let host, let port): try await bootstrap.connect(host: host, port: port, channelInitializer: wrap)
            }
        let deadline = channel.channel.eventLoop.scheduleTask(in: .seconds(Int64(timeout))) { channel.channel.close(promise: nil) }
        defer { deadline.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            // HTTP/1.0: the end of the connection is the end of the answer.
            try await outbound.write(ByteBuffer(string: "GET \(path) HTTP/1.0\r\nHost: headwater\r\n\r\n"))
            var answer = ""
            for try await part in inbound { answer += String(buffer: part) }
            return answer
        }
    }
}
