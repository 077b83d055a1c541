import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Security
import Synchronization
import TestAuthority
import Testing

/// What strangers can use up: descriptors, processors, memory, the log. The others go on, and nothing opens that was closed.
@Suite("Resources at the door", .serialized)
struct ResourceTests {
    /// Two clients that are in, and find out whether they are served.
    private struct Pair {
        let publisher: ScriptedClient
        let subscriber: ScriptedClient
        private let topic: String

        init(_ door: Door, _ way: Way, name: String = "pair") async throws {
            topic = "\(name)/t"
            subscriber = try await door.client("\(name)-subscriber", way)
            publisher = try await door.client("\(name)-publisher", way)
            try await subscriber.subscribe(topic, qos: .atLeastOnce)
        }

        /// Messages from one to the other, each with its acknowledgements.
        func exchange(_ count: Int, file: String = #fileID, line: Int = #line) async throws {
            for number in 0..<count {
                try await publisher.publish(topic, payload: Array("\(number)".utf8), qos: .atLeastOnce, file: file, line: line)
                let message = try await subscriber.messages(1, file: file, line: line)
                #expect(message.map { String(decoding: $0.payload, as: UTF8.self) } == ["\(number)"])
            }
        }
    }

    private static func hash(_ password: String, _ cost: PasswordCost = .sha512) throws -> String {
        guard let hash = PasswordHash.make(cost, password: Array(password.utf8)) else { throw DoorFault("no memory for a hash") }
        return hash.text
    }

    private func descriptors(of process: Int32) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
    }

    private func reason(_ door: Door, _ way: Way, _ clientID: String = "asks") async throws -> ReasonCode {
        let client = try await door.open(way)
        let answer = try await client.connect(clientID) { connect in
            connect.username = way.username
            connect.password = way.password
        }
        await client.close()
        return answer.reason
    }

    @Test("without descriptors nobody loses anything, nothing opens, and it goes on when there are some")
    func descriptorsExhausted() async throws {
        let files = TestFiles()
        let line = "device:\(try Self.hash("right"))\n"
        let passwords = files.write("passwords", line)
        let rules = files.write("acl", "user device\ntopic readwrite pair/#\n")
        let options = "password_file: \(passwords)\nacl_file: \(rules)\n"
        let site = [Door.Listener("plain", options), .init("secure", options + files.tls())]
        try await Door.with(
            site,
            "limits:\n  connect_timeout: 60s\nlogins:\n  max_failures: 0\nstore:\n  directory: \(files.path("store"))\n  durability: commit"
        ) { door in
            var way = Way("plain")
            way.username = "device"
            way.password = Array("right".utf8)
            let pair = try await Pair(door, way)
            try await pair.exchange(5)
            let process = door.process.processIdentifier
            let limit = try descriptors(of: process) + 10
            try await Tool.run("/usr/bin/prlimit", ["--pid", "\(process)", "--nofile=\(limit):"])
            // Ten of them get a descriptor, on either listener; the rest wait in the kernel's queue.
            var crowd: [ScriptedClient] = []
            for number in 0..<60 { crowd.append(try await door.open(Way(number % 2 == 0 ? "plain" : "secure"))) }
            try await Self.until("all descriptors are taken") { try descriptors(of: process) >= limit }
            try await pair.exchange(50)
            // A reload finds that files can't be read, and changes nothing.
            files.write("passwords", line + "another:\(try Self.hash("right"))\n")
            door.process.send(signal: SIGHUP)
            #expect(try await door.logs("nothing was changed"))
            try await pair.exchange(50)
            #expect(door.process.isRunning)

            for client in crowd { await client.close() }
            try await Self.until("the crowd is gone") { try descriptors(of: process) < limit - 5 }
            // Files that could not be read have not let anybody in.
            #expect(try await reason(door, Way("plain")) == .notAuthorized)
            var wrong = way
            wrong.password = Array("wrong".utf8)
            #expect(try await reason(door, wrong) == .badUserNameOrPassword)
            #expect(try await reason(door, way) == .success)
            var overTLS = way
            overTLS = Way("secure", tls: try files.clientTLS())
            overTLS.username = way.username
            overTLS.password = way.password
            #expect(try await reason(door, overTLS) == .success)
            // And rules that could not be read still forbid.
            let client = try await door.client("forbidden", way)
            #expect(try await client.publish("elsewhere", payload: [1], qos: .atLeastOnce) == .notAuthorized)
            door.process.send(signal: SIGHUP)
            try await door.waits(for: "headwater_reload_failed", toBe: 0)
            var another = way
            another.username = "another"
            for _ in 0..<100 where try await reason(door, another) != .success { try await Task.sleep(for: .milliseconds(50)) }
            #expect(try await reason(door, another) == .success)
            try await pair.exchange(5)
            let figures = try await door.process.metrics()
            #expect(unaccountedDeliveries(figures) == 0)
            #expect(figures["headwater_reload_failures_total", default: 0] >= 1)
        }
    }

    @Test("a thousand logins at once cost no more memory than a few, and the others are served")
    func loginFlood() async throws {
        let files = TestFiles()
        let passwords = files.write("passwords", "device:\(try Self.hash("right", .argon2id))\n")
        let listeners: [Door.Listener] = [.init("guarded", "password_file: \(passwords)"), .init("open", "allow_anonymous: true")]
        let limits = "limits:\n  connect_timeout: 60s\n  hashing_threads: 1\n  max_waiting_logins: 20\nlogins:\n  max_failures: 0\n"
        try await Door.with(listeners, limits, isAlone: true) { door in
            let pair = try await Pair(door, Way("open"))
            try await pair.exchange(10)
            let before = door.process.residentBytes
            var way = Way("guarded")
            way.username = "device"
            way.password = Array("right".utf8)
            var crowd: [ScriptedClient] = []
            for _ in 0..<1_000 { crowd.append(try await door.open(way)) }
            for (number, client) in crowd.enumerated() {
                var connect = Connect(protocolVersion: .v5, clientID: "crowd-\(number)")
                connect.username = way.username
                connect.password = way.password
                client.send(.connect(connect))
            }
            let served = Task { try await pair.exchange(100) }
            var answers: [ReasonCode: Int] = [:]
            for client in crowd {
                let reason: ReasonCode = try await client.first("CONNACK", within: .seconds(60)) {
                    if case .connAck(let answer) = $0 { answer.reason } else { nil }
                }
                answers[reason, default: 0] += 1
            }
            try await served.value
            let highest = try Self.highestResidentBytes(of: door.process.processIdentifier)
            print("login flood: \(answers), resident \(before >> 20) MiB before, at most \(highest >> 20) MiB")
            #expect(Set(answers.keys) == [.success, .quotaExceeded])
            #expect(answers[.success, default: 0] >= 20 && answers[.quotaExceeded, default: 0] >= 500)
            // One hash takes 46 MiB, and there is one thread.
            #expect(highest - before < 160 << 20)
            for client in crowd { await client.close() }
            #expect(try await reason(door, way) == .success)
        }
    }

    @Test("strangers fill the log only slowly")
    func logFlood() async throws {
        let files = TestFiles()
        let passwords = files.write("passwords", "device:\(try Self.hash("right"))\n")
        let listeners: [Door.Listener] = [
            .init("plain", "allow_anonymous: false\npassword_file: \(passwords)"), .init("secure", "allow_anonymous: true\n" + files.tls()),
            .init("web", "protocol: websocket\nallow_anonymous: true"),
            .init("proxied", "allow_anonymous: true\nproxy_protocol:\n  version: any\n  trusted: [127.0.0.1]"),
        ]
        try await Door.with(listeners, "logins:\n  max_failures: 0", isAlone: true) { door in
            // MQTT 3.1.1, a user whose name breaks lines, another each time, as one and the same would have to wait.
            func login(_ number: Int) -> [UInt8] {
                [0x10, 29, 0, 4] + Array("MQTT".utf8) + [4, 0xC2, 0, 60, 0, 1, 0x78, 0, 8] + Array("evil\n\(100 + number)".utf8) + [0, 4]
                    + Array("pass".utf8)
            }
            let began = ContinuousClock.now
            for number in 0..<400 {
                let rubbish: [(String, [UInt8])] = [
                    ("plain", [0xF0, 0x00]), ("plain", login(number)), ("secure", Array("GET / HTTP/1.0\r\n\r\n".utf8)),
                    ("web", Array("MQTT\r\n\r\n".utf8)), ("proxied", [0x10, 0x00, 0x00]), ("plain", [0x10, 0xFF, 0xFF, 0xFF, 0xFF]),
                ]
                var round: [ScriptedClient] = []
                for (listener, bytes) in rubbish {
                    let client = try await door.open(Way(listener))
                    client.send(bytes: bytes)
                    round.append(client)
                }
                // A refused upgrade, and CONNACK of MQTT 3.1.1, are no packets of the client's version, which it says at once.
                for (index, client) in round.enumerated() {
                    do { try await client.expectClose(discardingPackets: true) } catch  where index == 1 || index == 3 {}
                    await client.close()
                }
            }
            let seconds = Int((ContinuousClock.now - began).components.seconds) + 1
            let lines = door.log.split(separator: "\n").count
            print("log flood: \(lines) lines for 2400 connections within \(seconds) s")
            // Two loops, each with 50 lines at once and 10 a second, and what was left out is told with the next line.
            #expect(lines <= 2 * (50 + 10 * seconds) * 2 + 50)
            #expect(door.log.contains("log lines left out"))
            #expect(door.log.split(separator: "\n").allSatisfy { $0.hasPrefix("20") }, "a line of the client's own making")
            let figures = try await door.process.metrics()
            #expect(figures.filter { $0.key.hasPrefix("headwater_logins_failed_total{") }.values.reduce(0, +) == 400)
            for name in ["websocket", "proxy"] { #expect(figures["headwater_\(name)_failures_total"] == 400, "\(name)") }
            #expect(figures["headwater_tls_handshake_failures_total{reason=\"plain_text\"}"] == 400)
            #expect(figures["headwater_connections"] == 0)
        }
    }

    @Test("one address has so many connections without CONNACK, and another is let in meanwhile")
    func halfOpenFlood() async throws {
        let files = TestFiles()
        let listeners: [Door.Listener] = [
            .init("plain", "allow_anonymous: true"), .init("secure", "allow_anonymous: true\n" + files.tls()),
        ]
        try await Door.with(listeners, "limits:\n  max_half_open_per_address: 30\n  connect_timeout: 4s") { door in
            var crowd: [ScriptedClient] = []
            for number in 0..<300 { crowd.append(try await door.open(Way(number % 2 == 0 ? "plain" : "secure"))) }
            try await door.waits(for: "headwater_connections_turned_away_total", toBe: 270)
            #expect(try await door.figure("headwater_tls_handshakes_under_way") <= 30)
            var elsewhere = Way("secure", tls: try files.clientTLS())
            elsewhere.from = "127.0.0.2"
            #expect(try await reason(door, elsewhere) == .success)
            await #expect(throws: (any Error).self) { try await reason(door, Way("plain")) }
            // Their time is up: the address may come again.
            try await door.process.wait(for: "an end of the handshakes", within: .seconds(20)) {
                $0["headwater_tls_handshakes_under_way"] == 0
            }
            for _ in 0..<200 {
                if (try? await reason(door, Way("plain"))) == .success { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await reason(door, Way("plain")) == .success)
            for client in crowd { await client.close() }
        }
    }

    @Test("silent handshakes of one address don't shut the door for the others")
    func silentHandshakes() async throws {
        let files = TestFiles()
        let listeners: [Door.Listener] = [
            .init("plain", "allow_anonymous: true"), .init("secure", "allow_anonymous: true\n" + files.tls()),
        ]
        try await Door.with(listeners, "limits:\n  max_handshakes: 100") { door in
            var crowd: [ScriptedClient] = []
            for _ in 0..<300 { crowd.append(try await door.open(Way("secure"))) }
            // A ClientHello, and nothing after it, is no better.
            for client in crowd.prefix(50) { client.send(bytes: [0x16, 0x03, 0x01, 0x02, 0x00]) }
            let began = ContinuousClock.now
            var elsewhere = Way("secure", tls: try files.clientTLS())
            elsewhere.from = "127.0.0.2"
            #expect(try await reason(door, elsewhere) == .success)
            #expect(try await reason(door, Way("plain")) == .success)
            // The handshake timeout is 10 s: who has to wait for it has been shut out.
            #expect(ContinuousClock.now - began < .seconds(8))
            for client in crowd { await client.close() }
        }
    }

    @Test("two thousand clients die at once, and each will is published once")
    func willStorm() async throws {
        let files = TestFiles()
        let listeners: [Door.Listener] = [
            .init("plain", "allow_anonymous: true"), .init("secure", "allow_anonymous: true\n" + files.tls()),
        ]
        try await Door.with(listeners, isAlone: true) { door in
            let count = 2_000
            let watcher = TenantPeer(door, "watcher", Way("plain"), filters: [.init(filter: "will/#", qos: .atLeastOnce)])
            try await watcher.begin()
            let pair = try await Pair(door, Way("plain"))
            let secure = Way("secure", tls: try files.clientTLS())
            let crowd = try await Crowd.gather(count) { number in
                try await door.client("dies-\(number)", number % 2 == 0 ? secure : Way("plain")) {
                    $0.will = Connect.Will(topic: "will/\(number)", payload: Array("\(number)".utf8), qos: .atLeastOnce)
                }
            }
            for client in crowd { await client.reset() }
            try await pair.exchange(50)
            try await watcher.receive(within: .seconds(90)) { $0.count >= count }
            try await watcher.drain()
            #expect(await watcher.received.count == count)
            #expect(await Set(watcher.received) == Set((0..<count).map(String.init)))
            let figures = try await door.process.wait(for: "an end") { $0["headwater_connections"] == 3 && unaccountedDeliveries($0) == 0 }
            #expect(figures["headwater_wills_published_total"] == Double(count))
        }
    }

    @Test("reloads while sessions are taken over lose nobody and nothing")
    func reloadDuringTakeover() async throws {
        let files = TestFiles()
        let passwords = files.write("passwords", "device:\(try Self.hash("right"))\n")
        let rules = files.write("acl", "user device\ntopic readwrite device/#\n")
        let options = "password_file: \(passwords)\nacl_file: \(rules)\n"
        try await Door.with([.init("plain", options), .init("secure", options + files.tls())]) { door in
            var way = Way("plain")
            way.username = "device"
            way.password = Array("right".utf8)
            var secure = way
            secure = Way("secure", tls: try files.clientTLS())
            secure.username = way.username
            secure.password = way.password
            let ways = [way, secure]
            let isDone = Flag()
            let reloads = Task {
                var count = 0
                while !isDone.isSet {
                    try await door.reload(isGood: true)
                    count += 1
                }
                return count
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { isDone.set() }
                for number in 0..<8 {
                    group.addTask {
                        var current: ScriptedClient?
                        for turn in 0..<30 {
                            let client = try await door.open(ways[turn % 2])
                            let answer = try await client.connect("device-\(number)", cleanStart: turn == 0) { connect in
                                connect.username = "device"
                                connect.password = Array("right".utf8)
                                connect.sessionExpirySeconds = 100
                            }
                            #expect(answer.reason == .success && answer.sessionPresent == (turn > 0))
                            if turn == 0 { try await client.subscribe("device/\(number)", qos: .atLeastOnce) }
                            if let current {
                                try await current.expectEnd(.sessionTakenOver)
                                await current.close()
                            }
                            #expect(try await client.publish("device/\(number)", payload: [UInt8(turn)], qos: .atLeastOnce) == .success)
                            #expect(try await client.messages(1).map(\.payload) == [[UInt8(turn)]])
                            // The acknowledgement is in, or the message would come again.
                            try await client.ping()
                            current = client
                        }
                    }
                }
                try await group.waitForAll()
            }
            let count = try await reloads.value
            print("reload during takeover: \(count) reloads, 240 logins")
            #expect(count >= 3)
            let figures = try await door.process.metrics()
            #expect(figures["headwater_takeovers_total"] == Double(8 * 29))
            #expect(figures["headwater_connections_revoked_total"] == 0)
            #expect(figures["headwater_reload_failures_total"] == 0)
            #expect(unaccountedDeliveries(figures) == 0)
        }
    }

    @Test("the page of metrics keeps its form whatever clients, tenants and listeners are called")
    func metricsForm() async throws {
        let files = TestFiles()
        let pair = files.pair("odd \"} 1 \\", Site.server)
        let tls = "tls:\n  certificate: '\(pair.certificate)'\n  key: '\(pair.key)'\n"
        let odd = "in\"} 1\\n{x=\"é"
        let listeners: [Door.Listener] = [
            .init("all", "allow_anonymous: true\ntenant:\n  from: username\n  pattern: \"%u@%t\""),
            .init(odd, "allow_anonymous: true\n" + tls),
        ]
        try await Door.with(listeners) { door in
            for (number, tenant) in ["a", "A.b-c_d", "a\"} 1", "a\nheadwater_up 1", "é", "{a=\"b\"}", "\\"].enumerated() {
                var way = Way("all")
                way.username = "x@\(tenant)"
                let client = try await door.open(way)
                let answer = try? await client.connect("client\"} \(number)\n#\\") { $0.username = way.username }
                #expect((answer?.reason == .success) == (number < 2), "\(tenant)")
            }
            _ = try await reason(door, Way(odd, tls: try files.clientTLS()), "<script>\"}\n")
            let page = try await door.process.page("/metrics")
            let body = try #require(page.range(of: "\r\n\r\n")).upperBound
            let faults = metricsFaults(in: String(page[body...]))
            #expect(faults.isEmpty, "\(faults)")
            #expect(page.contains("listener=\"in\\\"} 1\\\\n{x=\\\"é\""))
            #expect(page.contains("headwater_tenant_connections{tenant=\"A.b-c_d\"} 1"))
        }
    }

    // MARK: Looking closely

    private static func highestResidentBytes(of process: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }

    private static func until(_ claim: String, _ condition: () throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        while try !condition() {
            guard ContinuousClock.now < deadline else { throw DoorFault("\(claim) did not come true") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
