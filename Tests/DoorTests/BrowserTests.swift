import BrokerTestKit
import Foundation
import MQTTModel
import TestAuthority
import Testing

/// A page in headless Chromium that speaks MQTT over WSS (Resources/page.html).
@Suite("A browser", .serialized)
struct BrowserTests {
    /// Where the page comes from.
    struct Origin: Sendable, CustomTestStringConvertible {
        let port = FreePort.next()
        /// What the listener allows, made of the page's port.
        let allowed: @Sendable (Int) -> [String]
        let testDescription: String

        init(_ description: String, _ allowed: @escaping @Sendable (Int) -> [String]) {
            testDescription = description
            self.allowed = allowed
        }
    }

    /// Opens the page of `http://app.test:port` in a browser.
    ///
    /// - Returns: What the page says has become of it.
    private func visit(_ door: Door, port: Int) async throws -> String {
        guard let script = Bundle.module.path(forResource: "page_server", ofType: "py", inDirectory: "Resources"),
            let page = Bundle.module.path(forResource: "page", ofType: "html", inDirectory: "Resources")
        else { throw DoorFault("the page is not among the resources") }
        let server = try Tool(
            Tool.path(of: "python3", package: "python3"),
            [script, page, "\(port)", "URL=wss://localhost:\(door.port("wss"))/mqtt", "NAME=page"])
        defer { server.kill() }
        guard try await server.says("ready") else { throw DoorFault("the page's server: \(server.output)") }
        let profile = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-browser-\(UUID().uuidString)").path
        let browser = try Tool(
            Tool.path(of: "chromium", package: "chromium"),
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                "--disable-background-networking", "--ignore-certificate-errors", "--user-data-dir=\(profile)",
                "--host-resolver-rules=MAP *.test 127.0.0.1", "http://app.test:\(port)/",
            ])
        defer {
            browser.kill()
            try? FileManager.default.removeItem(atPath: profile)
        }
        guard try await server.says("result ", within: .seconds(60)) else {
            throw DoorFault("the page said nothing: \(browser.output.suffix(3_000))")
        }
        return try await server.end().lines.last.map { String($0.dropFirst("result ".count)) } ?? ""
    }

    private func withDoor(_ origins: [String], _ body: (Door) async throws -> Void) async throws {
        let files = TestFiles()
        let list = origins.map { "\"\($0)\"" }.joined(separator: ", ")
        let options = "protocol: websocket\nallow_anonymous: true\nwebsocket:\n  path: /mqtt\n  origins: [\(list)]\n"
        try await Door.with([.init("wss", options + files.tls()), .init("plain", "allow_anonymous: true")]) { try await body($0) }
    }

    @Test(
        "a page connects over WSS, subscribes, publishes at QoS 1 and receives",
        arguments: [
            Origin("any origin") { _ in [] }, Origin("its origin in a list") { ["https://other.test", "http://app.test:\($0)"] },
        ])
    func works(origin: Origin) async throws {
        try await withDoor(origin.allowed(origin.port)) { door in
            let watcher = try await door.client("watcher", Way("plain"))
            try await watcher.subscribe("browser/#", qos: .atLeastOnce)
            #expect(try await visit(door, port: origin.port) == "acknowledged connected received subscribed")
            let message = try #require(try await watcher.messages(1).first)
            #expect(message.topic == "browser/page" && String(decoding: message.payload, as: UTF8.self) == "Grüße aus dem Browser")
        }
    }

    @Test(
        "a page of another origin is refused, however near its name comes",
        arguments: [
            Origin("another port") { ["http://app.test:\($0 - 1)"] },
            Origin("the allowed port is a prefix of the page's") { ["http://app.test:\($0 / 10)", "http://app.test"] },
            Origin("another scheme") { ["https://app.test:\($0)"] },
            Origin("the allowed name is the page's end or beginning") {
                ["http://pp.test:\($0)", "http://app.tes:\($0)", "http://app:\($0)"]
            },
        ])
    func refused(origin: Origin) async throws {
        try await withDoor(origin.allowed(origin.port)) { door in
            let result = try await visit(door, port: origin.port)
            #expect(result == "closed 1006 after nothing")
            let failures = try await door.figure("headwater_websocket_failures_total")
            #expect(failures == 1 && door.log.contains("why=\"WebSocket: "), "\(door.log)")
        }
    }
}
