import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Files with a fault: refused whole at the start; at a reload what was before stays in force, and nothing opens.
@Suite("faulty files at the door") struct ReloadFaultTests {
    let files = TestFiles()
    private static let hash = PasswordLines.fixed
    private static let expired = Site.authority.issue(Profile("localhost").with { $0.notAfter = Int64(time(nil)) - 60 })

    /// What is wrong with a file, and what the log says of it after the file's name.
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        let file: String
        let put: @Sendable (String) throws -> Void
        let says: String
        var testDescription: String { "\(file): \(name)" }

        init(_ file: String, _ name: String, says: String, put: @escaping @Sendable (String) throws -> Void) {
            (self.file, self.name, self.says, self.put) = (file, name, says, put)
        }

        init(_ file: String, _ name: String, _ text: String, says: String) {
            self.init(file, name, [UInt8](text.utf8), says: says)
        }

        init(_ file: String, _ name: String, _ bytes: [UInt8], says: String) {
            self.init(file, name, says: says) { path in try Data(bytes).write(to: URL(fileURLWithPath: path), options: .atomic) }
        }
    }

    private struct Files: Sendable {
        let paths: [String: String]
        let listeners: [Door.Listener]
    }

    /// Two listeners that use every kind of file.
    private func site() -> Files {
        let pair = files.pair("server", Site.server)
        var paths = ["certificate": pair.certificate, "key": pair.key]
        paths["ca"] = files.write("ca.pem", Site.authority.own.pem)
        paths["crl"] = files.write("crl.pem", Site.authority.list())
        paths["passwords"] = files.write("passwords", Passwords.line("alice", "sesame"))
        paths["acl"] = files.write("acl", "topic readwrite open\nuser alice\ntopic readwrite mine\n")
        paths["psk"] = files.write("psk", "device-1:00112233445566778899aabbccddeeff\n")
        let plain = "password_file: \(paths["passwords"]!)\nacl_file: \(paths["acl"]!)"
        let tls =
            "allow_anonymous: true\ntls: {certificate: \(pair.certificate), key: \(pair.key), client_certificates: required, "
            + "ca_file: \(paths["ca"]!), crl_files: [\(paths["crl"]!)]}"
        return Files(
            paths: paths,
            listeners: [
                .init("plain", plain), .init("tls", tls), .init("psk", "identity: {username: psk}\ntls: {psk_file: \(paths["psk"]!)}"),
            ])
    }

    /// The door as it was: those get in who did, and nobody else.
    private func isAsBefore(_ door: Door, _ fault: String) async throws {
        let alice = try await door.member("plain", "alice", "sesame", clientID: "alice")
        #expect(try await alice.publish("mine", payload: [], qos: .atLeastOnce).isError == false, "\(fault)")
        #expect(try await alice.publish("other", payload: [], qos: .atLeastOnce) == .notAuthorized, "\(fault)")
        await alice.close()
        #expect(try await door.login("plain", nil, nil) == .notAuthorized, "\(fault)")
    }

    private func isAsBeforeOverTLS(_ door: Door, _ fault: String) async throws {
        let good = try await door.openssl("tls", files.pair("pump", Site.pump).forOpenSSL)
        #expect(good.isConnected && good.text.contains("subject=CN = localhost"), "\(fault): \(good.text)")
        #expect(try await !door.openssl("tls", [], connecting: false).isConnected, "\(fault)")
        let keyed = try await door.openssl("psk", ["-psk_identity", "device-1", "-psk", "00112233445566778899aabbccddeeff"])
        #expect(keyed.isConnected, "\(fault): \(keyed.text)")
    }

    private static let kinds: [Fault] = ["certificate", "key", "ca", "crl", "passwords", "acl", "psk"].flatMap { file in
        [
            Fault(file, "gone", says: ": ") { try FileManager.default.removeItem(atPath: $0) },
            Fault(file, "a directory", says: ": is ") { path in
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            },
            Fault(file, "a FIFO", says: ": is ") { path in
                try FileManager.default.removeItem(atPath: path)
                guard mkfifo(path, 0o600) == 0 else { throw DoorFault("mkfifo") }
            },
            Fault(file, "a link to itself", says: ": ") { path in
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path)
            },
            Fault(file, "noise", (0..<4_000).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ 7) }, says: ":"),
            Fault(file, "NULs", [UInt8](repeating: 0, count: 3_000), says: ":"),
            Fault(file, "one line of 1 MB", [UInt8](repeating: 0x41, count: 1 << 20), says: ":"),
        ]
    }

    private static let contents: [Fault] = [
        Fault("certificate", "empty", "", says: ": "),
        Fault("certificate", "of another key", Site.authority.issue(Profile("localhost")).pem, says: ""),
        Fault("certificate", "cut off", String(Site.server.pem.dropLast(60)), says: ": "),
        Fault("certificate", "expired", expired.pem, says: ""),
        Fault("key", "empty", "", says: ": "),
        Fault("key", "of another certificate", Site.authority.issue(Profile("localhost")).keyPEM, says: ""),
        Fault("key", "encrypted without a passphrase", Site.server.encryptedKeyPEM("secret"), says: ": "),
        Fault("ca", "empty", "", says: ": "),
        Fault("crl", "empty", "", says: ": "),
        Fault("crl", "a certificate", Site.authority.own.pem, says: ": "),
        Fault("passwords", "a line without a colon", Passwords.line("alice", "sesame") + "bob\n", says: ":2: "),
        Fault("passwords", "no hash", "bob:\n", says: ":1: "),
        Fault("passwords", "a user without a name", ":" + hash + "\n", says: ":1: "),
        Fault("passwords", "a user twice", "bob:\(hash)\n# again\nbob:\(hash)\n", says: ":3: "),
        Fault("passwords", "a plain password", "bob:sesame\n", says: ":1: "),
        Fault("passwords", "a crypt(3) hash", "bob:$6$saltsalt$Wz1ZqoXZ\n", says: ":1: "),
        Fault("passwords", "a name that is not UTF-8", [0x62, 0xC3, 0x28, 0x3A] + Array("\(hash)\n".utf8), says: ":1: "),
        Fault("passwords", "argon2 with 4 GiB", "bob:\(PasswordLines.argon2(memory: 4_194_304))\n", says: ":1: "),
        Fault("passwords", "argon2 with 2^32-1 passes", "bob:\(PasswordLines.argon2(passes: 4_294_967_295))\n", says: ":1: "),
        Fault("passwords", "PBKDF2 with 2^31 iterations", "bob:\(PasswordLines.pbkdf2(iterations: 2_147_483_648))\n", says: ":1: "),
        Fault("passwords", "PBKDF2 with no iterations", "bob:\(PasswordLines.pbkdf2(iterations: 0))\n", says: ":1: "),
        Fault("passwords", "a salt of 5 bytes", "bob:\(PasswordLines.pbkdf2(iterations: 101, saltBytes: 5))\n", says: ":1: "),
        Fault("acl", "an unknown word", "user alice\ntopic readwrite mine\ntopics read x\n", says: ":3: "),
        Fault("acl", "a filter that is none", "topic read a#\n", says: ":1: "),
        Fault("acl", "invalid UTF-8", Array("user alice\ntopic read ".utf8) + [0xC3, 0x28, 0x0A], says: ":2: "),
        Fault("psk", "an odd number of digits", "device-1:001\n", says: ":1: "),
        Fault("psk", "an identity twice", "a:0011\na:0022\n", says: ":2: "),
        Fault("psk", "no digits", "device-1:0x00112233\n", says: ":1: "),
    ]

    @Test("each faulty file alone is refused at a reload: the old set stays, the log says where, the metric is 1")
    func reloads() async throws {
        let site = site()
        try await Door.with(site.listeners) { door in
            for fault in Self.kinds + Self.contents {
                let path = try #require(site.paths[fault.file])
                let good = try Data(contentsOf: URL(fileURLWithPath: path))
                let known = door.log.utf8.count
                try fault.put(path)
                try await door.reload(isGood: false)
                // The metric is a moment before the log.
                var said = ""
                try await door.eventually("the log tells of \(fault.testDescription)") {
                    said = String(decoding: Array(door.log.utf8.dropFirst(known)), as: UTF8.self)
                    return said.contains("nothing was changed")
                }
                let faultLines = said.split(separator: "\n").filter { $0.contains("error") && $0.contains(path) }
                #expect(faultLines.contains { $0.contains(path + fault.says) }, "\(fault.testDescription): \(said)")
                #expect(!said.contains(Self.hash) && !said.contains("00112233445566778899aabbccddeeff"), "\(fault.testDescription)")
                try await isAsBefore(door, fault.testDescription)
                if fault.says == "" || fault.name == "gone" || fault.name == "noise" {
                    try await isAsBeforeOverTLS(door, fault.testDescription)
                }
                // A link or a directory in its place would be followed, or stand in the way.
                try FileManager.default.removeItem(atPath: path, ifThere: true)
                try good.write(to: URL(fileURLWithPath: path), options: .atomic)
                try await door.reload(isGood: true)
            }
            try await isAsBeforeOverTLS(door, "at the end")
            #expect(try await door.figure("headwater_connections_revoked_total") == 0)
        }
    }

    @Test("a broker does not start with a faulty file, and says where the fault is", arguments: [
        ("passwords", ":2: "), ("acl", ":3: "), ("psk", ":1: "), ("certificate", ""), ("crl", ""),
    ])
    func starts(file: String, says: String) async throws {
        let site = site()
        let fault = try #require(Self.contents.first { $0.file == file && $0.says == says || $0.file == file && says == "" })
        let path = try #require(site.paths[file])
        try fault.put(path)
        let log = try await Door.refused(site.listeners)
        #expect(log.contains(path + says), "\(log)")
    }

    @Test("several faults are told in one go")
    func several() async throws {
        let site = site()
        for (file, text) in [("passwords", "bob\neve\n"), ("acl", "topics\n"), ("psk", "a:0\n")] { files.write(file, text) }
        let log = try await Door.refused(site.listeners)
        for place in ["passwords:1: ", "passwords:2: ", "acl:1: ", "psk:1: "] { #expect(log.contains(place), "\(place): \(log)") }
    }

    @Test("files from other systems are read: CRLF, a BOM, no line end, comments; an empty rule file lets nobody do anything")
    func foreign() async throws {
        let site = site()
        try await Door.with(site.listeners) { door in
            let line = Passwords.line("alice", "sesame").trimmingCharacters(in: .newlines)
            files.write("passwords", "# users\r\n\r\n\(line)\r\n" + Passwords.line("bob", "b").trimmingCharacters(in: .newlines))
            files.write("acl", "user alice\r\ntopic readwrite mine")
            try await door.reload(isGood: true)
            try await isAsBefore(door, "CRLF")
            #expect(try await door.login("plain", "bob", "b") == .success)
            files.write("passwords", "\u{FEFF}\(line)\n")
            try await door.reload(isGood: true)
            #expect(try await door.login("plain", "alice", "sesame") == .success)
            files.write("acl", "")
            try await door.reload(isGood: true)
            let alice = try await door.member("plain", "alice", "sesame")
            #expect(try await alice.publish("mine", payload: [], qos: .atLeastOnce) == .notAuthorized)
            await alice.close()
        }
    }

    @Test("a reload that finds no descriptor left changes nothing and opens nothing")
    func descriptors() async throws {
        let site = site()
        try await Door.with(site.listeners, isAlone: true) { door in
            // Less than it has: every open(2) of the reload fails.
            let identifier = door.process.processIdentifier
            try await Tool.run(Tool.path(of: "prlimit", package: "util-linux"), ["--pid", "\(identifier)", "--nofile=3:"])
            door.process.send(signal: SIGHUP)
            #expect(try await door.logs("nothing was changed"))
            try await Tool.run(Tool.path(of: "prlimit", package: "util-linux"), ["--pid", "\(identifier)", "--nofile=1024:"])
            try await door.waits(for: "headwater_reload_failed", toBe: 1)
            try await isAsBefore(door, "no descriptors")
            try await isAsBeforeOverTLS(door, "no descriptors")
            try await door.reload(isGood: true)
        }
    }
}

extension FileManager {
    fileprivate func removeItem(atPath path: String, ifThere: Bool) throws {
        var facts = stat()
        if lstat(path, &facts) == 0 { try removeItem(atPath: path) }
    }
}

/// Hashes that are well-formed but for what they ask.
enum PasswordLines {
    static let fixed = Passwords.line("x", "never shown").dropFirst(2).trimmingCharacters(in: .newlines)

    private static func base64(_ count: Int, padded: Bool = true) -> String {
        let text = Data([UInt8](repeating: 7, count: count)).base64EncodedString()
        return padded ? text : text.replacingOccurrences(of: "=", with: "")
    }

    static func pbkdf2(iterations: Int, saltBytes: Int = 12) -> String { "$7$\(iterations)$\(base64(saltBytes))$\(base64(64))" }

    static func argon2(memory: Int = 47_104, passes: Int = 1) -> String {
        "$argon2id$v=19$m=\(memory),t=\(passes),p=1$\(base64(64, padded: false))$\(base64(64, padded: false))"
    }
}
