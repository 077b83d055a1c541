import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Security
import Testing

/// The same ACL file in Debian's Mosquitto and here: who receives what, who may publish what.
///
/// Debian 12 has Mosquitto 2.0.11, which puts %c and %u in also within a level, lets a value with a slash be several levels, and lets a
/// client named $SYS reach $-topics by %c. 2.1 does not, and it is 2.1 that is followed here; these cases are left out.
@Suite("Mosquitto's ACL files")
struct MosquittoACLTests {
    /// A Mosquitto with one ACL file, and an administrator that its last lines allow everything.
    private struct Mosquitto {
        let process: Tool
        let address: ScriptedClient.Address
        let directory: URL

        static func start(_ rules: String) async throws -> Mosquitto {
            let path = try Tool.path(of: "mosquitto", package: "mosquitto")
            let directory = FileManager.default.temporaryDirectory.appending(path: "mosquitto-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let administrator = "\nuser administrator\ntopic readwrite #\ntopic readwrite $dev/#\n"
            try Data((rules + administrator).utf8).write(to: directory.appending(path: "acl"))
            for _ in 0..<20 {
                let port = FreePort.next()
                let lines = ["listener \(port) 127.0.0.1", "allow_anonymous true", "acl_file \(directory.path)/acl", "user root"]
                try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: directory.appending(path: "conf"))
                let process = try Tool(path, ["-c", "\(directory.path)/conf"])
                let mosquitto = Mosquitto(process: process, address: .tcp(host: "127.0.0.1", port: port), directory: directory)
                if await mosquitto.answers() { return mosquitto }
                await mosquitto.stop(keepsFiles: true)
            }
            throw ScriptedClientError("mosquitto does not start with \(directory.path)/conf", file: #fileID, line: #line)
        }

        /// Whether it takes a file that holds these lines alone.
        static func loads(_ rules: String) async throws -> Bool {
            let path = try Tool.path(of: "mosquitto", package: "mosquitto")
            let directory = FileManager.default.temporaryDirectory.appending(path: "mosquitto-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            try Data(rules.utf8).write(to: directory.appending(path: "acl"))
            // It reads rules before it listens, and the listener can't be made: whether it came so far is in what it says.
            let lines = ["listener 18999 192.0.2.1", "acl_file \(directory.path)/acl", "user root", "allow_anonymous true"]
            try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: directory.appending(path: "conf"))
            let output = try await Tool(path, ["-c", "\(directory.path)/conf"]).end()
            #expect(output.exitCode != 0)
            return !output.errors.contains("Error opening acl file")
        }

        private func answers() async -> Bool {
            for _ in 0..<100 {
                if let client = try? await ScriptedClient.open(address),
                    (try? await client.connect(clientID: "ready", username: "administrator")) != nil
                {
                    await client.close()
                    return true
                }
                try? await Task.sleep(for: .milliseconds(20))
            }
            return false
        }

        func stop(keepsFiles: Bool = false) async {
            process.kill()
            _ = try? await process.end()
            if !keepsFiles { try? FileManager.default.removeItem(at: directory) }
        }

        func open(_ client: ACLClient) async throws -> ScriptedClient {
            let connection = try await ScriptedClient.open(address, version: .v5)
            try await connection.connect(clientID: client.clientID, username: client.username)
            return connection
        }
    }

    private static let everything = ["#", "$dev/#"]

    /// The payloads that have come, all those that were on the way when this was called.
    private func received(_ client: ScriptedClient) async throws -> Set<[UInt8]> {
        client.send(.pingReq)
        var payloads: Set<[UInt8]> = []
        while true {
            switch try await client.next() {
            case .pingResp: return payloads
            case .publish(let publish): payloads.insert(Array(publish.payload))
            default: break
            }
        }
    }

    /// Asks Mosquitto and the policy about every client, topic and access.
    ///
    /// - Returns: The number of questions, and of those that both allow.
    private func compare(_ rules: String, _ clients: [ACLClient], _ topics: [String]) async throws -> (asked: Int, allowed: Int) {
        let policy = ACLPolicy(try ACLFile(Array(rules.utf8), name: "acl"))
        let mosquitto = try await Mosquitto.start(rules)
        do {
            let administrator = try await mosquitto.open(ACLClient(username: "administrator", clientID: "administrator"))
            var connections: [ScriptedClient] = []
            for client in clients { connections.append(try await mosquitto.open(client)) }
            for connection in connections { for filter in Self.everything { try await connection.subscribe(filter) } }
            for (index, topic) in topics.enumerated() { try await administrator.publish(topic, payload: [UInt8(index)], qos: .atLeastOnce) }
            var read: [Set<[UInt8]>] = []
            for connection in connections {
                read.append(try await received(connection))
                try await connection.unsubscribe(Self.everything)
            }
            for filter in Self.everything { try await administrator.subscribe(filter) }
            for (number, connection) in connections.enumerated() {
                for (index, topic) in topics.enumerated() {
                    let reason = try await connection.publish(topic, payload: [UInt8(number), UInt8(index)], qos: .atLeastOnce)
                    #expect(
                        reason.isError == !policy.allows(clients[number], .write, topic), "\(clients[number]) \(topic): \(reason)\n\(rules)"
                    )
                }
            }
            let written = try await received(administrator)
            var allowed = 0
            for (number, client) in clients.enumerated() {
                for (index, topic) in topics.enumerated() {
                    let (reads, writes) = (read[number].contains([UInt8(index)]), written.contains([UInt8(number), UInt8(index)]))
                    #expect(policy.allows(client, .read, topic) == reads, "\(client) reads \(topic) in Mosquitto: \(reads)\n\(rules)")
                    #expect(policy.allows(client, .write, topic) == writes, "\(client) writes \(topic) in Mosquitto: \(writes)\n\(rules)")
                    allowed += (reads ? 1 : 0) + (writes ? 1 : 0)
                }
            }
            await mosquitto.stop()
            return (clients.count * topics.count * 2, allowed)
        } catch {
            await mosquitto.stop()
            throw error
        }
    }

    private static let clients = [
        ACLClient(username: nil, clientID: "c1"), ACLClient(username: nil, clientID: "c2"), ACLClient(username: "anna", clientID: "c3"),
        ACLClient(username: "bob", clientID: "c4"), ACLClient(username: "bob", clientID: "a"), ACLClient(username: "eve", clientID: "c5"),
        ACLClient(username: "c d", clientID: "c6"), ACLClient(username: "u+", clientID: "c7"), ACLClient(username: "anna", clientID: "c#"),
        ACLClient(username: "*", clientID: "anna"),
    ]

    @Test("each of the documented rules is the same in Mosquitto")
    func documented() async throws {
        let rules = """
            # Before the first user: clients without a username.
            topic read open/#
            topic write   open/in
            topic deny open/secret
            topic both
            topic read c d/#
            pattern readwrite clients/%c/#
            pattern read users/%u
            pattern deny users/anna
            pattern deny all/secret
            pattern read all/#
            pattern read pair/%u/%c/+
            user anna
            topic read all/secret
            topic deny all/hidden
            topic read all/hidden
            topic readwrite +/x
            topic read literal/%u
            user bob
            topic deny #
            user u+
            topic readwrite own/#
            user *
            topic read star
            user bob
            topic readwrite $dev/#
            user nobody

            user c d
            topic read deep/+/#\r
            topic read //
            """
        let topics = [
            "open", "open/a", "open/in", "open/secret", "both", "c d/e", "clients/c1/x", "clients/c2", "clients/anna/x", "clients/a/y",
            "users/anna",
            "users/bob", "users/eve", "all/secret", "all/hidden", "all/a/b", "pair/anna/c3/z", "pair/anna/cx/z", "pair/eve/c5/", "a/x",
            "/x",
            "literal/%u", "literal/anna", "own/u", "star", "$dev/a", "deep", "deep/a", "deep/a/b", "//", "/",
        ]
        let result = try await compare(rules, Self.clients, topics)
        #expect(result.asked == 620 && result.allowed > 40, "\(result)")
    }

    @Test(
        "a line that Mosquitto takes is taken here, and one that it refuses is refused or an extension",
        arguments: [
            ("topic a", false), ("topic read", false), ("topic", false), ("topic a b", false), ("topic read a b", false),
            ("topic  write   a ", false),
            ("  topic read a", false), ("\ttopic read a", false), ("topic\tread a", false), ("topic read \ta", false),
            ("Topic read a", false),
            ("topic perhaps a", false), ("topic read a#", false), ("topic read a/#/b", false), ("topic read +a", false),
            ("topic read a+/b", false),
            ("topic read #", false), ("topic /", false), ("topic deny $share/g/x", false), ("topic read a\r", false), ("pattern", false),
            ("pattern read x%u", false), ("pattern read a", false), ("user", false), ("user ", false), ("user a b", false),
            ("user *", false),
            ("# remark", false), ("  # remark", false), ("  ", false), ("", false), ("read a", false), ("include x", false),
            ("topic read " + String(repeating: "a/", count: 200), false), ("topic read " + String(repeating: "a/", count: 201), false),
            ("allow read a", true), ("deny read a", true), ("everyone", true), ("anonymous", true), ("group g", true),
            ("group g\nmember m", true),
            ("tenant t", true), ("allow write max-qos=1 retain=no reason=\"x\" a", true),
        ])
    func grammar(lines: String, isExtension: Bool) async throws {
        let isTakenHere = (try? ACLFile(Array(lines.utf8), name: "acl")) != nil
        #expect(try await Mosquitto.loads(lines) == (isTakenHere && !isExtension))
        #expect(isTakenHere || !isExtension)
    }

    @Test("random files are the same in Mosquitto")
    func random() async throws {
        var random = SystemRandomNumberGenerator()
        let levels = ["a", "b", "c1", "anna", "bob", "", "%c", "%u", "%t", "c d"]
        func filter() -> String {
            var parts = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                Int.random(in: 0..<4, using: &random) == 0 ? "+" : levels.randomElement()!
            }
            if Bool.random() { parts[parts.count - 1] = "#" }
            if Int.random(in: 0..<8, using: &random) == 0 { parts.insert("$dev", at: 0) }
            let filter = parts.joined(separator: "/")
            return filter.isEmpty || filter.hasPrefix(" ") ? "a" : filter
        }
        func topic() -> String {
            let topic = (0..<Int.random(in: 1...3, using: &random)).map { _ in (levels + ["a", "b", "x"]).randomElement()! }.joined(
                separator: "/")
            return (Int.random(in: 0..<8, using: &random) == 0 ? "$dev/" : "") + (topic.isEmpty ? "a" : topic)
        }
        var total = (asked: 0, allowed: 0)
        for _ in 0..<8 {
            let lines = (0..<Int.random(in: 4...24, using: &random)).map { _ in
                switch Int.random(in: 0..<10, using: &random) {
                case 0, 1: "user \(["anna", "bob", "c d", "u+"].randomElement()!)"
                case 2, 3, 4: "pattern \(["read", "write", "readwrite", "deny"].randomElement()!) \(filter())"
                default: "topic \(["read", "write", "readwrite", "deny"].randomElement()!) \(filter())"
                }
            }
            let topics = Array(Set((0..<24).map { _ in topic() }))
            let result = try await compare(lines.joined(separator: "\n"), Self.clients, topics)
            total = (total.asked + result.asked, total.allowed + result.allowed)
        }
        #expect(total.asked > 2_000 && total.allowed > 100, "\(total)")
    }
}

extension ACLPolicy {
    fileprivate func allows(_ client: ACLClient, _ access: ACLAccess, _ topic: String) -> Bool {
        Array(topic.utf8).withUnsafeBytes { check(principal(client), topic: $0, access: access).isAllowed }
    }
}
