import Headwater
import Logging
import MQTTModel
import NIOCore
import NIOHTTP1
import NIOPosix
import PluginAPI
import Synchronization
import Testing

@testable import Admin

/// Says what it was asked; under `slow` it takes as long as one lets it.
private final class Mirror: BrokerPlugin {
    let name = "mirror"
    let asked = Atomic<Int>(0)
    let cancelled = Atomic<Int>(0)

    private final class NoHooks: LoopHooks {
        let interests: HookInterests = []
    }

    func makeLoopHooks(loop: Int) -> any LoopHooks { NoHooks() }

    func administer(_ request: PluginRequest) async -> PluginResponse {
        asked.add(1, ordering: .relaxed)
        if request.path == ["slow"] {
            do { try await Task.sleep(for: .seconds(50)) } catch { cancelled.add(1, ordering: .relaxed) }
        }
        let query = request.query.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ";")
        let body = String(decoding: request.body, as: UTF8.self)
        return PluginResponse(
            status: request.path == ["busy"] ? 409 : 200, body: "\(request.method.rawValue)|\(request.path.joined(separator: "|"))|\(query)|\(body)",
            contentType: "text/x-mirror")
    }
}

/// What plugins answer over HTTP, and what never gets to them.
@Suite(.timeLimit(.minutes(2))) struct PluginPagesTests {
    private func withMirror(_ body: (Int, Mirror) async throws -> Void) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let mirror = Mirror()
        let configuration = BrokerConfiguration(listeners: [ListenerConfiguration(name: "mqtt", address: .tcp(host: "127.0.0.1", port: 0))])
        let broker = Broker(configuration: configuration, plugins: [mirror], logger: logger)
        let server = AdminServer(
            configuration: AdminConfiguration(address: .tcp(host: "127.0.0.1", port: 0)), broker: broker, logger: logger)
        try await broker.start()
        try await server.start()
        guard case .tcp(_, let port)? = server.boundAddress else { throw HTTPExchange.Overdue() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(port, mirror)) } catch { result = .failure(error) }
        await server.stop()
        await broker.stop()
        try result.get()
    }

    /// - Returns: Status and body.
    private func send(
        _ line: String, _ headers: [String] = [], body: String = "", host: String? = "127.0.0.1", port: Int
    ) async throws -> (status: Int, body: String) {
        let lines = [line + " HTTP/1.1"] + (host.map { ["Host: \($0)"] } ?? []) + ["Connection: close"] + headers
        let answer = try await HTTPExchange.send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body, port: port)
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        return (Int(answer.dropFirst(9).prefix(3)) ?? 0, parts.count > 1 ? String(parts[1]) : "")
    }

    private static let json = "Content-Type: application/json"

    @Test("a plugin is given method, path, query and body, and its status is the answer's")
    func asked() async throws {
        try await withMirror { port, _ in
            let get = try await send("GET /plugins/mirror/a%20b//c%2Fd?x=1&y=%C3%A4&x=2", port: port)
            #expect(get.status == 200 && get.body == "GET|a b|c/d|x=2;y=ä|")
            let post = try await send("POST /plugins/mirror/do", [Self.json, "Content-Length: 7"], body: "{\"a\":1}", port: port)
            #expect(post.status == 200 && post.body == "POST|do||{\"a\":1}")
            let charset = try await send(
                "POST /plugins/mirror", ["content-type: Application/JSON; charset=utf-8", "Content-Length: 2"], body: "{}", port: port)
            #expect(charset.status == 200 && charset.body == "POST|||{}")
            #expect(try await send("GET /plugins/mirror/busy", port: port).status == 409)
            #expect(try await send("GET /plugins/other/a", port: port).status == 404)
            #expect(try await send("GET /plugins/", port: port).status == 400)
            #expect(try await send("GET /plugins/mirror/%zz", port: port).status == 400)
            #expect(try await send("GET /plugins/mirror/%ff", port: port).status == 400)
        }
    }

    @Test("what a page in an operator's browser could send does not get to the plugin")
    func crossSite() async throws {
        try await withMirror { port, mirror in
            // A form's POST, a fetch with its preflight, and a page that has brought its own name here.
            for type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"] {
                let form = try await send("POST /plugins/mirror/pause", ["Content-Type: \(type)", "Content-Length: 2"], body: "{}", port: port)
                #expect(form.status == 415, "\(type)")
            }
            #expect(try await send("POST /plugins/mirror/pause", ["Content-Length: 0"], port: port).status == 415)
            let origin = ["Origin: http://evil.example", Self.json, "Content-Length: 2"]
            #expect(try await send("POST /plugins/mirror/pause", origin, body: "{}", port: port).status == 403)
            #expect(try await send("POST /plugins/mirror/pause", ["Origin: null", Self.json, "Content-Length: 0"], port: port).status == 403)
            for site in ["cross-site", "same-site", "same-origin"] {
                #expect(try await send("GET /plugins/mirror", ["Sec-Fetch-Site: \(site)"], port: port).status == 403)
            }
            for method in ["OPTIONS", "PUT", "DELETE", "PATCH"] {
                #expect(try await send("\(method) /plugins/mirror/pause", [Self.json, "Content-Length: 0"], port: port).status == 405)
            }
            for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9883", "1.2.3.x", "127.1.evil.x"] {
                #expect(try await send("GET /plugins/mirror", host: host, port: port).status == 403, "\(host)")
            }
            #expect(try await send("GET /plugins/mirror", ["Host: localhost"], host: "evil.example", port: port).status != 200)
            #expect(mirror.asked.load(ordering: .relaxed) == 0)
            for host in ["localhost:9883", "127.0.0.1", "10.0.0.7:9883", "[::1]:9883", "LOCALHOST"] {
                #expect(try await send("GET /plugins/mirror", host: host, port: port).status == 200, "\(host)")
            }
        }
    }

    @Test("a body of more than 8 KiB is refused: by its length at once, without one when it gets there")
    func largeBody() async throws {
        try await withMirror { port, mirror in
            let announced = try await send("POST /plugins/mirror", [Self.json, "Content-Length: 8193"], port: port)
            #expect(announced.status == 413)
            let huge = try await send("POST /plugins/mirror", [Self.json, "Content-Length: 99999999999999999999"], port: port)
            #expect(huge.status == 413 || huge.status == 400)
            let chunked = try await send(
                "POST /plugins/mirror", [Self.json, "Transfer-Encoding: chunked"],
                body: "2100\r\n" + String(repeating: "x", count: 0x2100) + "\r\n", port: port)
            #expect(chunked.status == 413)
            #expect(mirror.asked.load(ordering: .relaxed) == 0)
            let most = try await send(
                "POST /plugins/mirror", [Self.json, "Content-Length: 8192"], body: String(repeating: " ", count: 8_192), port: port)
            #expect(most.status == 200)
        }
    }

    @Test("a plugin whose operator has gone is told")
    func gone() async throws {
        try await withMirror { port, mirror in
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get()
            try await channel.writeAndFlush(ByteBuffer(string: "GET /plugins/mirror/slow HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            let start = ContinuousClock.now
            while mirror.asked.load(ordering: .relaxed) == 0, ContinuousClock.now - start < .seconds(10) {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await channel.close()
            while mirror.cancelled.load(ordering: .relaxed) == 0, ContinuousClock.now - start < .seconds(20) {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(mirror.cancelled.load(ordering: .relaxed) == 1)
        }
    }

    @Test("only processes of this machine are answered")
    func otherMachines() async throws {
        func isFromHere(_ remote: String, _ local: String) throws -> Bool {
            AdminRequest.isFromHere(
                remote: try SocketAddress(ipAddress: remote, port: 1), local: try SocketAddress(ipAddress: local, port: 9_883))
        }
        #expect(try isFromHere("127.0.0.1", "127.0.0.1") && isFromHere("::1", "::1") && isFromHere("::ffff:127.0.0.1", "::ffff:127.0.0.1"))
        #expect(try isFromHere("10.0.0.7", "10.0.0.7"))
        #expect(try !isFromHere("10.0.0.8", "10.0.0.7") && !isFromHere("172.17.0.1", "172.17.0.2") && !isFromHere("fe80::1", "fe80::2"))
        let socket = try SocketAddress(unixDomainSocketPath: "/run/http.sock")
        #expect(AdminRequest.isFromHere(remote: socket, local: socket) && AdminRequest.isFromHere(remote: nil, local: socket))
        #expect(!AdminRequest.isFromHere(remote: nil, local: nil))
        let mirror = Mirror()
        let broker = Broker(
            configuration: BrokerConfiguration(listeners: []), plugins: [mirror], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let pages = PluginPages(broker: broker, address: .tcp(host: "0.0.0.0", port: 9_883))
        let request = AdminRequest(method: .GET, target: "/plugins/mirror", headers: ["Host": "10.0.0.7"], body: [], isFromHere: false)
        #expect(await pages.response(to: request).status == .forbidden && mirror.asked.load(ordering: .relaxed) == 0)
    }
}
