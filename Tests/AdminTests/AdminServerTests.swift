import Foundation
import Headwater
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Admin

/// The server over real sockets, before a broker in this process.
@Suite(.timeLimit(.minutes(2))) struct AdminServerTests {
    static func withServer(store: String? = nil, _ body: (Int, Broker) async throws -> Void) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var configuration = BrokerConfiguration(listeners: [
            ListenerConfiguration(name: "mqtt\nforged", address: .tcp(host: "127.0.0.1", port: 0))
        ])
        configuration.store.directory = store
        let broker = Broker(configuration: configuration, logger: logger)
        let server = AdminServer(
            configuration: AdminConfiguration(address: .tcp(host: "127.0.0.1", port: 0)), broker: broker, logger: logger,
            status: { ["kafka main: 127.0.0.1:9092\nforged"] })
        try await broker.start()
        try await server.start()
        let address = try #require(server.boundAddress)
        guard case .tcp(_, let port) = address else { throw HTTPExchange.Overdue() }
        do {
            try await body(port, broker)
        } catch {
            await server.stop()
            await broker.stop()
            throw error
        }
        await server.stop()
        await broker.stop()
        #expect(server.boundAddress == nil)
    }

    @Test("/metrics is Prometheus text of a running broker")
    func metrics() async throws {
        try await Self.withServer { port, _ in
            let answer = try await HTTPExchange.get("/metrics?x=1", port: port)
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(answer.headers["content-length"] == "\(answer.body.utf8.count)")
            #expect(PrometheusTextTests.faults(answer.body) == [])
            #expect(answer.body.contains("\nheadwater_connections 0\n"))
        }
    }

    @Test("/healthz and /readyz say what the broker says")
    func health() async throws {
        try await Self.withServer { port, broker in
            #expect(try await HTTPExchange.get("/healthz", port: port).body == "ok\n")
            let answer = try await HTTPExchange.get("/readyz", port: port)
            #expect(broker.readiness().isEmpty == (answer.status == 200))
            #expect(answer.body == (answer.status == 200 ? "ready\n" : broker.readiness().map { "\($0)\n" }.joined()))
            await broker.stop()
            let stopped = try await HTTPExchange.get("/readyz", port: port)
            #expect(broker.readiness().isEmpty == (stopped.status == 200))
        }
    }

    @Test("/status lists what was given, and a name with a line end makes no line of its own")
    func status() async throws {
        try await Self.withServer { port, _ in
            let body = try await HTTPExchange.get("/status", port: port).body
            #expect(body.contains("kafka main: 127.0.0.1:9092 forged\n"))
            #expect(!body.split(separator: "\n").contains { $0.hasPrefix("forged") })
        }
    }

    @Test("a store has its figures, its line, and an alarm for what was found at the start")
    func store() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("admin-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try await Self.withServer(store: directory.path) { port, _ in
            let metrics = try await HTTPExchange.get("/metrics", port: port).body
            #expect(PrometheusTextTests.faults(metrics) == [])
            #expect(metrics.contains("\nheadwater_store_failed 0\n"))
            #expect(metrics.contains("\nheadwater_store_alarms 0\n"))
            #expect(metrics.contains("\nheadwater_dropped_total{reason=\"damaged\"} 0\n"))
            #expect(try await HTTPExchange.get("/readyz", port: port).body == "ready\n")
            #expect(try await HTTPExchange.get("/status", port: port).body.contains("\nstore: writable, "))
        }
        try Data("no checkpoint".utf8).write(to: directory.appendingPathComponent("checkpoint"))
        try await Self.withServer(store: directory.path) { port, _ in
            let ready = try await HTTPExchange.get("/readyz", port: port)
            #expect(ready.status == 200)
            #expect(ready.body.hasPrefix("ready\nalarm: "))
            #expect(try await HTTPExchange.get("/status", port: port).body.contains("\nalarm: "))
            #expect(try await HTTPExchange.get("/metrics", port: port).body.contains("\nheadwater_store_alarms 1\n"))
        }
    }

    @Test("a store that takes nothing makes the broker not ready, and the figures say so")
    func failedStore() {
        let answer = AdminPages.readiness(missing: ["store: can't be written: no space\nleft"], alarms: ["set aside"])
        #expect(answer.status == .serviceUnavailable)
        #expect(answer.body == "store: can't be written: no space left\nalarm: set aside\n")
        var statistics = BrokerStatistics()
        #expect(!BrokerMetrics.text(statistics, plugins: [], process: nil).contains("headwater_store_"))
        var store = StoreStatistics()
        (store.commits, store.operations, store.lastBatch, store.largestBatch) = (2, 30, 10, 20)
        (store.failure, store.failures, store.damagedRecords, store.alarms) = ("no space", 1, 3, ["a", "b"])
        (store.maxBytes, store.usedBytes, store.freeBytes) = (1_000, 500, 100)
        store.commitLatency.record(microseconds: 1_500)
        statistics.store = store
        let page = BrokerMetrics.text(statistics, plugins: [], process: nil)
        #expect(PrometheusTextTests.faults(page) == [])
        for line in [
            "commits_total 2", "operations_total 30", "batch_operations 10", "batch_operations_max 20", "failed 1", "failures_total 1",
            "damaged_records_total 3", "alarms 2", "map_bytes 1000", "used_bytes 500", "free_bytes 100", "commit_seconds_count 1",
            "commit_seconds_bucket{le=\"0.002\"} 1", "syncs_total 0", "sync_seconds_count 0",
        ] { #expect(page.contains("\nheadwater_store_\(line)\n"), "\(line)") }
        #expect(AdminPages.storeLine(store) == "store: takes nothing: no space, 400 bytes used of 1000, 2 transactions")
    }

    @Test("HEAD answers as GET does, without a body")
    func head() async throws {
        try await Self.withServer { port, _ in
            let answer = try await HTTPExchange.get("/healthz", method: "HEAD", port: port)
            #expect(answer.status == 200)
            #expect(answer.headers["content-length"] == "3")
            #expect(answer.body == "")
        }
    }

    @Test(
        "other methods are 405 with the allowed ones, everything else is 404",
        arguments: [
            ("POST", "/metrics", 405), ("DELETE", "/healthz", 405), ("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "//metrics", 404),
            ("GET", "/../../etc/passwd", 404), ("GET", "/healthz/../metrics", 404), ("GET", "/%6detrics", 404), ("GET", "*", 404),
            ("POST", "/nowhere", 404),
        ])
    func paths(method: String, path: String, status: Int) async throws {
        try await Self.withServer { port, _ in
            let answer = try await HTTPExchange.get(path, method: method, port: port)
            #expect(answer.status == status)
            #expect((answer.headers["allow"] == "GET, HEAD") == (status == 405))
        }
    }

    @Test("answers carry headers that keep a browser from doing anything with them")
    func securityHeaders() async throws {
        try await Self.withServer { port, _ in
            for path in ["/metrics", "/nowhere"] {
                let headers = try await HTTPExchange.get(path, port: port).headers
                #expect(headers["x-content-type-options"] == "nosniff")
                #expect(headers["content-security-policy"] == "default-src 'none'")
                #expect(headers["cache-control"] == "no-store")
            }
        }
    }

    @Test("requests sent in one go are answered in their order")
    func pipelining() async throws {
        try await Self.withServer { port, _ in
            let paths = (0..<200).map { $0 % 2 == 0 ? "/healthz" : "/nowhere\($0)" }
            var request = paths.map { "GET \($0) HTTP/1.1\r\nHost: test\r\n\r\n" }.joined()
            request += "GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
            let answer = try await HTTPExchange.send(request, port: port)
            let statuses = answer.split(separator: "HTTP/1.1 ").map { Int($0.prefix(3)) ?? 0 }
            #expect(statuses.dropLast() == paths.map { $0 == "/healthz" ? 200 : 404 }[...])
        }
    }

    @Test(
        "what is not HTTP, and a head without end, end the connection",
        arguments: [
            "\u{10}\u{0}MQTT\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nX: " + String(repeating: "x", count: 100_000),
            "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + String(repeating: "x", count: 100_000),
        ])
    func nonsense(request: String) async throws {
        try await Self.withServer { port, _ in
            let answer = try await HTTPExchange.send(request, port: port, seconds: 5)
            #expect(!answer.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test("a large head is refused with 431")
    func largeHead() async throws {
        try await Self.withServer { port, _ in
            let answer = try await HTTPExchange.send(
                "GET /metrics HTTP/1.1\r\nX: \(String(repeating: "x", count: 9_000))\r\n\r\n", port: port)
            #expect(answer.hasPrefix("HTTP/1.1 431 "))
        }
    }

    @Test("a client that says half a request and no more is let go")
    func slow() async throws {
        try await Self.withServer { port, _ in
            // Overdue is thrown if the server waits for longer than its ten seconds and a reserve.
            let answer = try await HTTPExchange.send("GET /metr", port: port, seconds: 30)
            #expect(answer == "")
        }
    }

    @Test("the sixty-fifth connection is closed, and its place is free again when another has gone")
    func connections() async throws {
        try await Self.withServer { port, _ in
            var open: [any Channel] = []
            for _ in 0..<64 {
                open.append(
                    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get())
            }
            #expect(try await HTTPExchange.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", port: port) == "")
            for channel in open { try? await channel.close() }  // on a slow machine the server may have let the first ones go
            var status = 0
            for _ in 0..<100 where status != 200 {
                if let answer = try? await HTTPExchange.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", port: port),
                    answer.hasPrefix("HTTP/1.1 200")
                {
                    status = 200
                }
            }
            #expect(status == 200)
        }
    }
}
