import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// New files in force without a restart, and what becomes of those who are connected.
@Suite("reload at the door") struct ReloadTests {
    let files = TestFiles()

    @Test("a new certificate is shown after SIGHUP, and connections go on")
    func certificate() async throws {
        try await Door.with([.init("tls", "allow_anonymous: true\n" + files.tls())]) { door in
            let subscriber = try await door.subscriber("tls", files.trusting(), count: 1)
            files.pair("server", Site.authority.issue(Profile("renewed", names: "DNS:localhost,IP:127.0.0.1")))
            try await door.reload(isGood: true)
            let talk = try await door.openssl("tls", [])
            #expect(talk.isConnected && talk.text.contains("subject=CN = renewed"), "\(talk.text)")
            #expect(try await door.publish("tls", files.trusting()).exitCode == 0)
            #expect(try await subscriber.end().lines == ["t m"])
        }
    }

    @Test("files that change are read by themselves")
    func byItself() async throws {
        let passwords = files.write("passwords", Passwords.line("alice", "one"))
        let tls = Door.Listener("tls", "allow_anonymous: true\n" + files.tls())
        try await Door.with([.init("plain", "password_file: \(passwords)"), tls]) { door in
            files.write("passwords", Passwords.line("alice", "two"))
            files.pair("server", Site.authority.issue(Profile("renewed", names: "DNS:localhost,IP:127.0.0.1")))
            try await door.eventually("the new password") { try await door.login("plain", "alice", "two") == .success }
            #expect(try await door.openssl("tls", []).text.contains("subject=CN = renewed"))
            #expect(try await door.figure("headwater_reload_failures_total") == 0)
            #expect(door.log.contains("were read again"))
        }
    }

    @Test("a Kubernetes mount: the ..data link is swapped, and all of it is new at once")
    func kubernetes() async throws {
        let place = files.path("secret")
        func version(_ name: String, _ issued: Issued, _ password: String) throws {
            let directory = "\(place)/..\(name)"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try issued.pem.write(toFile: "\(directory)/tls.crt", atomically: false, encoding: .utf8)
            try issued.keyPEM.write(toFile: "\(directory)/tls.key", atomically: false, encoding: .utf8)
            try Passwords.line("alice", password).write(toFile: "\(directory)/passwords", atomically: false, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: "\(place)/..data_tmp", withDestinationPath: "..\(name)")
            guard rename("\(place)/..data_tmp", "\(place)/..data") == 0 else { throw DoorFault("rename") }
        }
        try version("2026_01", Site.server, "one")
        for name in ["tls.crt", "tls.key", "passwords"] {
            try FileManager.default.createSymbolicLink(atPath: "\(place)/\(name)", withDestinationPath: "..data/\(name)")
        }
        let options = "password_file: \(place)/passwords\ntls: {certificate: \(place)/tls.crt, key: \(place)/tls.key}"
        try await Door.with([.init("tls", options)]) { door in
            func login(_ password: String) async throws -> Bool {
                try await door.publish("tls", files.trusting() + ["-u", "alice", "-P", password]).exitCode == 0
            }
            #expect(try await login("one"))
            try version("2026_02", Site.authority.issue(Profile("second", names: "DNS:localhost,IP:127.0.0.1")), "two")
            try FileManager.default.removeItem(atPath: "\(place)/..2026_01")
            try await door.eventually("the second version") { try await login("two") }
            #expect(try await door.openssl("tls", [], connecting: false).text.contains("subject=CN = second"))
            #expect(try await !login("one"))
            #expect(try await door.figure("headwater_reload_failures_total") == 0)
        }
    }

    @Test("a client whose certificate was revoked is closed, and others stay")
    func revocation() async throws {
        let (first, second) = (Site.authority.issue(Profile("first")), Site.authority.issue(Profile("second")))
        let list = files.write("list.pem", Site.authority.list())
        let options = "identity: {username: cn, client_id: cn}\n" + files.mutualTLS("required", "crl_files: [\(list)]")
        try await Door.with([.init("tls", options)]) { door in
            let closed = try await door.subscriber("tls", files.trusting(files.pair("first", first)))
            let stays = try await door.subscriber("tls", files.trusting(files.pair("second", second)), count: 1)
            files.write("list.pem", Site.authority.list(revoking: [first]))
            try await door.reload(isGood: true)
            try await door.waits(for: "headwater_connections_revoked_total", toBe: 1)
            // It tries again, and again.
            try await door.eventually("the revoked client is refused") { try await door.failures("certificate_revoked") > 0 }
            try await door.waits(for: "headwater_connections", toBe: 1)
            #expect(try await door.publish("tls", files.trusting(files.pair("pump", Site.pump))).exitCode == 0)
            #expect(try await stays.end().lines == ["t m"])
            closed.kill()
        }
    }

    @Test("another authority closes the clients of the one before")
    func authority() async throws {
        let options = "identity: {username: cn}\n" + files.mutualTLS()
        try await Door.with([.init("tls", options)]) { door in
            let closed = try await door.subscriber("tls", files.trusting(files.pair("pump", Site.pump)))
            files.write("root.pem", Site.stranger.own.pem)
            try await door.reload(isGood: true)
            try await door.waits(for: "headwater_connections_revoked_total", toBe: 1)
            let guest = files.pair("guest", Site.stranger.issue(Profile("guest")))
            let root = files.write("site.pem", Site.authority.own.pem)
            #expect(try await door.publish("tls", ["--cafile", root] + guest.forMosquitto).exitCode == 0)
            closed.kill()
        }
    }

    @Test("a password that was changed or taken away closes its clients, and others stay")
    func passwords() async throws {
        let carol = Passwords.line("carol", "c")
        let path = files.write("passwords", Passwords.line("alice", "a") + Passwords.line("bob", "b") + carol)
        try await Door.with([.init("plain", "password_file: \(path)"), .init("open", "allow_anonymous: true")]) { door in
            let alice = try await door.member("plain", "alice", "a")
            let bob = try await door.member("plain", "bob", "b")
            let stays = try await door.member("plain", "carol", "c")
            let nobody = try await door.member("open", nil, nil)
            files.write("passwords", Passwords.line("alice", "new") + carol)
            try await door.reload(isGood: true)
            try await alice.expectEnd(.notAuthorized)
            try await bob.expectEnd(.notAuthorized)
            try await stays.subscribe("t")
            try await nobody.subscribe("t")
            #expect(try await door.figure("headwater_connections_revoked_total") == 2)
            #expect(try await door.login("plain", "alice", "new") == .success)
            #expect(try await door.login("plain", "bob", "b") == .badUserNameOrPassword)
            await stays.close()
            await nobody.close()
        }
    }

    @Test("a pre-shared key that was changed or taken away closes its clients, and others stay")
    func presharedKeys() async throws {
        let keys = (0..<3).map { String(repeating: "\($0 + 1)", count: 32) }
        let path = files.write("psk", "one:\(keys[0])\ntwo:\(keys[1])\nthree:\(keys[2])\n")
        try await Door.with([.init("psk", "identity: {username: psk}\ntls: {psk_file: \(path)}")]) { door in
            var clients: [Tool] = []
            for (name, key) in zip(["one", "two", "three"], keys) {
                let arguments = ["--psk", key, "--psk-identity", name, "-i", name]
                clients.append(try await door.subscriber("psk", arguments, count: name == "three" ? 1 : nil))
            }
            files.write("psk", "one:\(keys[1])\nthree:\(keys[2])\n")
            try await door.reload(isGood: true)
            try await door.waits(for: "headwater_connections_revoked_total", toBe: 2)
            #expect(try await door.publish("psk", ["--psk", keys[1], "--psk-identity", "one"]).exitCode == 0)
            #expect(try await clients[2].end().lines == ["t m"])
            clients.forEach { $0.kill() }
        }
    }

    @Test("new rules hold at once: for live subscribers, queues, retained messages and wills")
    func rules() async throws {
        let before = "user alice\ntopic readwrite a/#\ntopic readwrite b/#\nuser bob\ntopic readwrite #\n"
        let path = files.write("acl", before)
        let passwords = files.write("passwords", Passwords.line("alice", "a") + Passwords.line("bob", "b"))
        try await Door.with([.init("plain", "password_file: \(passwords)\nacl_file: \(path)")]) { door in
            let bob = try await door.member("plain", "bob", "b", clientID: "bob")
            let alice = try await door.member("plain", "alice", "a", clientID: "alice")
            let sleeper = try await stored(door)
            let willed = try await door.member("plain", "alice", "a", clientID: "willed") {
                $0.will = Connect.Will(topic: "b/will", payload: Array("gone".utf8))
            }
            for client in [alice, sleeper] { try await client.subscribe("#", qos: .atLeastOnce) }
            try await sleeper.disconnect()
            try await bob.subscribe("b/will")
            for topic in ["a/live", "b/live"] { try await bob.publish(topic, payload: [1], qos: .atLeastOnce) }
            #expect(try await alice.messages(2).map(\.topic) == ["a/live", "b/live"])
            for topic in ["a/kept", "b/kept"] { try await bob.publish(topic, payload: [2], qos: .atLeastOnce, isRetained: true) }
            #expect(try await alice.messages(2).map(\.topic) == ["a/kept", "b/kept"])

            files.write("acl", "user alice\ntopic readwrite a/#\nuser bob\ntopic readwrite #\n")
            try await door.reload(isGood: true)
            for topic in ["b/live", "a/live"] { try await bob.publish(topic, payload: [3], qos: .atLeastOnce) }
            #expect(try await alice.messages(1).map(\.topic) == ["a/live"])
            #expect(try await alice.publish("b/x", payload: [4], qos: .atLeastOnce) == .notAuthorized)
            let late = try await door.member("plain", "alice", "a", clientID: "late")
            try await late.subscribe("+/kept", qos: .atLeastOnce)
            #expect(try await late.messages(1).map(\.topic) == ["a/kept"])
            try await late.expectNothing()
            let awake = try await stored(door)
            #expect(try await awake.messages(3).map(\.topic) == ["a/live", "a/kept", "a/live"])
            try await awake.expectNothing()
            await willed.close()
            try await bob.expectNothing(for: .milliseconds(400))

            files.write("acl", before)
            try await door.reload(isGood: true)
            try await bob.publish("b/live", payload: [5], qos: .atLeastOnce)
            #expect(try await alice.messages(1).map(\.topic) == ["b/live"])
            for client in [alice, bob, late, awake] { await client.close() }
        }
    }

    private func stored(_ door: Door) async throws -> ScriptedClient {
        try await door.member("plain", "alice", "a", clientID: "sleeper", cleanStart: false) { $0.sessionExpirySeconds = 300 }
    }

    @Test("200 reloads under load lose nothing and close nobody")
    func many() async throws {
        let rules = "user alice\ntopic readwrite #\n"
        let acl = files.write("acl", rules)
        let passwords = files.write("passwords", Passwords.line("alice", "a"))
        let options = "password_file: \(passwords)\nacl_file: \(acl)"
        try await Door.with([.init("plain", options), .init("tls", options + "\n" + files.tls())], isAlone: true) { door in
            let receiver = try await door.member("plain", "alice", "a", clientID: "receiver")
            try await receiver.subscribe("load/#", qos: .atLeastOnce)
            let sender = try await door.member("plain", "alice", "a", clientID: "sender")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<2_000 {
                        let text = Array("\(number)".utf8)
                        try await sender.publish("load/\(number % 7)", payload: text, qos: .atLeastOnce, packetID: UInt16(number + 1))
                    }
                }
                group.addTask {
                    let messages = try await receiver.messages(2_000, within: .seconds(60))
                    let numbers = messages.map { String(decoding: $0.payload, as: UTF8.self) }
                    #expect(numbers == (0..<2_000).map(String.init))
                }
                group.addTask {
                    for _ in 0..<10 {
                        let sent = try await door.publish("tls", files.trusting() + ["-u", "alice", "-P", "a"], topic: "other")
                        #expect(sent.exitCode == 0, "\(sent.errors)")
                    }
                }
                group.addTask {
                    for round in 0..<200 {
                        files.write("acl", rules + "user guest-\(round)\ntopic read x\n")
                        if round % 10 == 0 { files.pair("server", Site.server) }
                        try await door.reload(isGood: true)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await door.figure("headwater_reloads_total") >= 200)
            #expect(try await door.figure("headwater_connections_revoked_total") == 0)
            #expect(try await door.figure("headwater_messages_refused_total{reason=\"not_authorized\"}") == 0)
            let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(door.process.processIdentifier)/fd").count
            #expect(descriptors < 60, "reloads leave no descriptors open")
            await sender.close()
            await receiver.close()
        }
    }
}
