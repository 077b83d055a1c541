import BrokerTestKit
import Foundation
import MQTTModel
import TestAuthority
import Testing

/// Debian's HAProxy in front of the broker, with the PROXY protocol.
@Suite("HAProxy in front", .serialized)
struct HAProxyTests {
    /// A running HAProxy.
    private final class Proxy {
        let ports: [String: Int]
        private let process: Tool
        private let files: TestFiles

        /// - Parameter sections: `listen` sections by name, without their `bind` line's address: `{bind}` stands for it.
        init(_ files: TestFiles, _ sections: [(name: String, text: String)]) async throws {
            self.files = files
            var last = ""
            for _ in 0..<5 {
                let ports = Dictionary(uniqueKeysWithValues: (sections.map(\.name) + ["ready"]).map { ($0, FreePort.next()) })
                var text = """
                    global
                        maxconn 200
                    defaults
                        mode tcp
                        # A server that closes while the header is being sent would be asked again, and each refusal counted.
                        retries 0
                        timeout connect 5s
                        timeout client 30s
                        timeout server 30s
                    frontend ready
                        mode http
                        bind 127.0.0.1:\(ports["ready"] ?? 0)
                        http-request return status 200

                    """
                for section in sections {
                    text += "listen \(section.name)\n"
                    for line in section.text.split(separator: "\n") {
                        var line = line.replacingOccurrences(of: "{bind}", with: "bind 127.0.0.1:\(ports[section.name] ?? 0)")
                        for (name, port) in ports { line = line.replacingOccurrences(of: "{\(name)}", with: "127.0.0.1:\(port)") }
                        text += "    \(line)\n"
                    }
                }
                let path = files.write("haproxy.cfg", text)
                let process = try Tool(Self.executable(), ["-db", "-f", path])
                if try await Self.isReady(ports["ready"] ?? 0, process) {
                    self.ports = ports
                    self.process = process
                    return
                }
                last = process.output
                process.kill()
            }
            throw DoorFault("haproxy does not run; install haproxy, or run scripts/setup: \(last)")
        }

        private static func executable() throws -> String {
            // Debian has it where only root's PATH looks.
            FileManager.default.isExecutableFile(atPath: "/usr/sbin/haproxy")
                ? "/usr/sbin/haproxy" : try Tool.path(of: "haproxy", package: "haproxy")
        }

        private static func isReady(_ port: Int, _ process: Tool) async throws -> Bool {
            let deadline = ContinuousClock.now + .seconds(15)
            while process.isRunning, ContinuousClock.now < deadline {
                if let client = try? await ScriptedClient.open(.tcp(host: "127.0.0.1", port: port)) {
                    await client.close()
                    return process.isRunning
                }
                try await Task.sleep(for: .milliseconds(20))
            }
            return false
        }

        var output: String { process.output }
        func stop() { process.kill() }
        deinit { process.kill() }

        /// mosquitto_pub through a section, from another address than HAProxy's own.
        @discardableResult
        func publish(_ section: String, _ arguments: [String], topic: String = "t") async throws -> Tool.Output {
            try await Tool(
                Tool.path(of: "mosquitto_pub", package: "mosquitto-clients"),
                [
                    "-h", "localhost", "-p", "\(ports[section] ?? 0)", "-A", "127.0.0.5", "-q", "1", "-t", topic, "-m",
                    "through \(section)",
                ] + arguments
            ).end()
        }
    }

    private static let proxied = "proxy_protocol:\n  trusted: [127.0.0.1]\n"

    @Test("the broker sees the client's own address with version 1 and version 2")
    func addresses() async throws {
        let files = TestFiles()
        let listeners: [Door.Listener] = [
            .init("one", Self.proxied + "  version: v1\nallow_anonymous: true"),
            .init("two", Self.proxied + "  version: v2\nallow_anonymous: true"),
            .init("either", Self.proxied + "  version: any\nallow_anonymous: true"), .init("plain", "allow_anonymous: true"),
        ]
        try await Door.with(listeners) { door in
            let proxy = try await Proxy(
                files,
                [
                    ("v1", "{bind}\nserver broker 127.0.0.1:\(door.port("one")) send-proxy"),
                    ("v2", "{bind}\nserver broker 127.0.0.1:\(door.port("two")) send-proxy-v2"),
                    ("v2crc", "{bind}\nserver broker 127.0.0.1:\(door.port("either")) send-proxy-v2 proxy-v2-options crc32c,unique-id"),
                    ("v1either", "{bind}\nserver broker 127.0.0.1:\(door.port("either")) send-proxy"),
                    // Each gets what it was not told to take.
                    ("v1two", "{bind}\nserver broker 127.0.0.1:\(door.port("two")) send-proxy"),
                    ("v2one", "{bind}\nserver broker 127.0.0.1:\(door.port("one")) send-proxy-v2"),
                ])
            let watcher = try await door.client("watcher", Way("plain"))
            try await watcher.subscribe("t", qos: .atLeastOnce)
            for section in ["v1", "v2", "v2crc", "v1either"] {
                let output = try await proxy.publish(section, ["-i", "by-\(section)"])
                #expect(output.exitCode == 0, "\(section): \(output.everything)")
                #expect(try await watcher.messages(1).map { String(decoding: $0.payload, as: UTF8.self) } == ["through \(section)"])
                #expect(door.lines(": connected ").contains { $0.contains("by-\(section)") && $0.contains("127.0.0.5:") }, "\(door.log)")
            }
            #expect(try await door.figure("headwater_proxy_failures_total") == 0)
            for section in ["v1two", "v2one"] { #expect(try await proxy.publish(section, []).exitCode != 0) }
            #expect(try await door.figure("headwater_proxy_failures_total") == 2)
        }
    }

    @Test("a client certificate that HAProxy has verified is the user name, by its common name")
    func commonName() async throws {
        let files = TestFiles()
        let rules = files.write("acl", "user pump-7\ntopic write pump/#\nuser anybody\ntopic write #\n")
        let pump = files.pair("pump", Site.pump)
        let stranger = files.pair("stranger", Site.stranger.issue(Profile("pump-7")))
        let server = files.pair("front", Site.server)
        let front = files.write(
            "front-bundle.pem",
            (try String(contentsOfFile: server.certificate, encoding: .utf8)) + (try String(contentsOfFile: server.key, encoding: .utf8)))
        let listeners: [Door.Listener] = [
            .init(
                "named", Self.proxied + "  version: v2\n  require_tls: true\nidentity:\n  username: cn\nacl_file: \(rules)\n"),
            .init("plain", "allow_anonymous: true"),
        ]
        try await Door.with(listeners, "limits:\n  max_half_open_per_address: 50") { door in
            let broker = "server broker 127.0.0.1:\(door.port("named"))"
            let bind = "{bind} ssl crt \(front) ca-file \(files.root) verify optional crt-ignore-err all ca-ignore-err all"
            let proxy = try await Proxy(
                files,
                [
                    ("tls", "\(bind)\n\(broker) send-proxy-v2-ssl-cn"),
                    // HAProxy is told not to say whose certificate it was, and nothing of TLS.
                    ("noname", "\(bind)\n\(broker) send-proxy-v2-ssl"), ("notls", "\(bind)\n\(broker) send-proxy-v2"),
                    ("clear", "{bind}\n\(broker) send-proxy-v2-ssl-cn"),
                ])
            let watcher = try await door.client("watcher", Way("plain"))
            try await watcher.subscribe("#", qos: .atLeastOnce)
            let trust = ["--cafile", files.root, "-V", "mqttv5"]
            let output = try await proxy.publish("tls", trust + pump.forMosquitto + ["-i", "the-pump", "-u", "anybody"], topic: "pump/1")
            #expect(output.exitCode == 0, "\(output.everything)")
            #expect(try await watcher.messages(1).map(\.topic) == ["pump/1"])
            #expect(door.lines(": connected ").contains { $0.contains("the-pump") && $0.contains("127.0.0.5:") }, "\(door.log)")
            // The rules are pump-7's, whatever the client calls itself.
            let forbidden = try await proxy.publish("tls", trust + pump.forMosquitto + ["-u", "anybody"], topic: "other/1")
            #expect(forbidden.everything.lowercased().contains("not authorized"), "\(forbidden.everything)")
            for (section, arguments, why) in [
                ("tls", trust, "no certificate"), ("tls", trust + stranger.forMosquitto, "a stranger's certificate"),
                ("noname", trust + pump.forMosquitto, "no name"), ("notls", trust + pump.forMosquitto, "nothing of TLS"),
                ("clear", [], "no TLS"),
            ] {
                let output = try await proxy.publish(section, arguments, topic: "pump/2")
                #expect(output.exitCode != 0, "\(why): \(output.everything)")
            }
            try await watcher.ping()
            try await watcher.expectNothing()
        }
    }

    @Test("who is not trusted, says nothing, or says it twice is closed")
    func refusals() async throws {
        let files = TestFiles()
        let listeners: [Door.Listener] = [
            .init("trusting", Self.proxied + "  version: any\nallow_anonymous: true"),
            .init("wary", "proxy_protocol:\n  version: any\n  trusted: [10.0.0.0/8, \"2001:db8::/32\"]\nallow_anonymous: true"),
            .init("plain", "allow_anonymous: true"),
            .init("plaintls", "allow_anonymous: true\n" + files.tls()),
        ]
        try await Door.with(listeners) { door in
            let proxy = try await Proxy(
                files,
                [
                    ("untrusted", "{bind}\nserver broker 127.0.0.1:\(door.port("wary")) send-proxy-v2"),
                    ("untrusted1", "{bind}\nserver broker 127.0.0.1:\(door.port("wary")) send-proxy"),
                    ("inner", "{bind}\nserver broker 127.0.0.1:\(door.port("trusting")) send-proxy-v2"),
                    ("twice", "{bind}\nserver inner {inner} send-proxy"), ("twice2", "{bind}\nserver inner {inner} send-proxy-v2"),
                    ("unasked", "{bind}\nserver broker 127.0.0.1:\(door.port("plain")) send-proxy"),
                    ("unasked2", "{bind}\nserver broker 127.0.0.1:\(door.port("plain")) send-proxy-v2"),
                    ("unaskedtls", "{bind}\nserver broker 127.0.0.1:\(door.port("plaintls")) send-proxy-v2"),
                ])
            #expect(try await proxy.publish("inner", []).exitCode == 0)
            for (section, failures) in [("untrusted", 1), ("untrusted1", 2), ("twice", 2), ("twice2", 2), ("unasked", 2), ("unasked2", 2)] {
                #expect(try await proxy.publish(section, []).exitCode != 0, "\(section)")
                #expect(try await door.figure("headwater_proxy_failures_total") == failures, "\(section)")
            }
            #expect(try await proxy.publish("unaskedtls", ["--cafile", files.root]).exitCode != 0)
            // Without a header: at once, when the first bytes are none; when time is up, if there are no bytes.
            #expect(try await door.publish("trusting", []).exitCode != 0)
            #expect(try await door.figure("headwater_proxy_failures_total") == 3)
            // From an address that is not trusted the best header is of no use.
            var way = Way("trusting")
            way.from = "127.0.0.9"
            let stranger = try await door.open(way)
            stranger.send(bytes: Array("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".utf8) + Door.connect("x"))
            try await stranger.expectClose()
            #expect(try await door.figure("headwater_proxy_failures_total") == 4)
            // At once, and not when the time for a CONNECT was up: what begins otherwise won't become one.
            #expect(door.lines("first packet is not CONNECT").count == 4 && door.lines("no complete CONNECT").isEmpty, "\(door.log)")
            // Everything was closed before anybody was in, but for the one that was right.
            #expect(door.lines(": connected ").count == 1, "\(door.log)")
        }
    }

    @Test("health checks are no clients and no failures")
    func health() async throws {
        let files = TestFiles()
        try await Door.with([.init("checked", Self.proxied + "  version: v2\nallow_anonymous: true")]) { door in
            let proxy = try await Proxy(
                files,
                [
                    (
                        "checked",
                        "{bind}\nserver broker 127.0.0.1:\(door.port("checked")) send-proxy-v2 check check-send-proxy inter 50 fall 2 rise 2"
                    ),
                    // HAProxy speaks MQTT itself here: CONNECT, and CONNACK must come back.
                    (
                        "mqtt",
                        """
                        {bind}
                        option tcp-check
                        tcp-check connect send-proxy
                        tcp-check send-binary 101000044d5154540402003c000468616370
                        tcp-check expect binary 20020000
                        server broker 127.0.0.1:\(door.port("checked")) send-proxy-v2 check inter 50 fall 2 rise 2
                        """
                    ),
                ])
            // Checks that say CONNECT are clients like any other; those that don't are nobody.
            let deadline = ContinuousClock.now + .seconds(15)
            func checks() -> Int { door.lines(": connected ").filter { $0.contains("client=hacp") }.count }
            while checks() < 5, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
            #expect(checks() >= 5, "\(door.log)")
            try await door.process.wait(for: "checks of both kinds") { $0["headwater_connections_accepted_total", default: 0] >= 20 }
            for section in ["checked", "mqtt"] { #expect(try await proxy.publish(section, []).exitCode == 0, "\(proxy.output)") }
            #expect(!proxy.output.contains("DOWN"), "\(proxy.output)")
            #expect(try await door.figure("headwater_proxy_failures_total") == 0)
            #expect(!door.log.contains("connection refused"), "\(door.log)")
        }
    }

    @Test("over WebSocket the address is in X-Forwarded-For, from a trusted proxy alone")
    func forwardedFor() async throws {
        let files = TestFiles()
        let options = "protocol: websocket\nallow_anonymous: true\nwebsocket:\n  path: /mqtt\n"
        let listeners: [Door.Listener] = [
            .init("trusting", options + "  trusted_proxies: [127.0.0.1]"), .init("wary", options + "  trusted_proxies: [10.0.0.1]"),
        ]
        try await Door.with(listeners) { door in
            let http = "mode http\noption forwardfor\ntimeout tunnel 30s\n{bind}\nserver broker"
            let proxy = try await Proxy(
                files,
                [
                    ("trusted", "\(http) 127.0.0.1:\(door.port("trusting"))"), ("untrusted", "\(http) 127.0.0.1:\(door.port("wary"))"),
                ])
            let python = "/usr/bin/python3"
            let script = """
                import sys, paho.mqtt.client as mqtt
                arguments = {"callback_api_version": mqtt.CallbackAPIVersion.VERSION1} if hasattr(mqtt, "CallbackAPIVersion") else {}
                client = mqtt.Client(client_id=sys.argv[2], transport="websockets", **arguments)
                client.ws_set_options(path="/mqtt", headers=lambda headers: {**headers, "X-Forwarded-For": "192.0.2.66"})
                client.on_connect = lambda client, *rest: client.disconnect()
                client.connect("127.0.0.1", int(sys.argv[1]), 60, bind_address="127.0.0.5")
                client.loop_forever()
                """
            for section in ["trusted", "untrusted"] {
                try await Tool.run(python, ["-c", script, "\(proxy.ports[section] ?? 0)", "by-\(section)"])
            }
            // The client wrote a line of its own in front of the proxy's; what the proxy saw counts.
            let trusted = try #require(door.lines(": connected ").first { $0.contains("by-trusted") })
            #expect(trusted.contains("127.0.0.5") && !trusted.contains("192.0.2.66"), "\(trusted)")
            let untrusted = try #require(door.lines(": connected ").first { $0.contains("by-untrusted") })
            #expect(untrusted.contains("127.0.0.1:") && !untrusted.contains("127.0.0.5"), "\(untrusted)")
        }
    }
}

extension Door {
    /// Lines of the log in which `words` stand.
    func lines(_ words: String) -> [String] { log.split(separator: "\n").filter { $0.contains(words) }.map(String.init) }
}
