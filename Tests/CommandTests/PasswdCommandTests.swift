import ArgumentParser
import BrokerTestKit
import Foundation
import Security
import Testing

@testable import headwater_cli

@Suite struct PasswdCommandTests {
    /// Runs `headwater passwd` in this process, with a password from a file.
    static func run(_ arguments: [String]) throws {
        let command = try #require(try HeadwaterCommand.parseAsRoot(["passwd"] + arguments) as? PasswdCommand)
        try command.run()
    }

    static func set(_ directory: Directory, _ user: String, _ password: String, _ more: [String] = []) throws {
        try directory.write("secret", password + "\nsecond line")
        try run([directory.path("passwords"), user, "--password-file", directory.path("secret")] + more)
    }

    static func verdict(_ directory: Directory, _ user: String, _ password: String) throws -> PasswordVerdict {
        try PasswordFile.load(directory.path("passwords")).table.verify(Array(user.utf8), password: Array(password.utf8))
    }

    static let cheap = ["--kind", "pbkdf2", "--iterations", "10"]

    @Test(
        "a password on the command line is refused and not repeated",
        arguments: [["f", "u", "geheim"], ["-b", "f", "u", "geheim"], ["f", "u", "--password", "geheim"], ["f", "u", "-b", "geheim"]])
    func noPasswordArgument(arguments: [String]) {
        do {
            _ = try HeadwaterCommand.parseAsRoot(["passwd"] + arguments)
            Issue.record("accepted")
        } catch {
            #expect(HeadwaterCommand.exitCode(for: error).rawValue == 64)
            let text = HeadwaterCommand.fullMessage(for: error)
            #expect(text.contains("can be seen by every user") && !text.contains("geheim"))
        }
    }

    @Test(
        "a wrong command line is refused with its reason",
        arguments: [
            ([], "file"), (["f"], "one of USER"), (["f", "u", "--batch"], "one of USER"),
            (["f", "--delete", "a", "--upgrade"], "one of USER"),
            (["f", "a:b"], "colon"), (["f", "#a"], "comment"), (["f", "--delete", ""], "empty"), (["f", "a\nb"], "control"),
            (["f", "u", "--kind", "md5"], "kind"), (["f", "u", "--kind", "sha512", "--iterations", "5"], "--iterations"),
            (["f", "u", "--kind", "pbkdf2", "--iterations", "5000001"], "5000000"), (["f", "u", "--iterations", "17"], "16"),
            (["f", "u", "--memory", "262145"], "262144"), (["f", "u", "--kind", "pbkdf2", "--memory", "8"], "--memory"),
            (["f", "--batch", "--password-file", "x"], "--password-file"),
        ] as [([String], String)])
    func wrong(arguments: [String], reason: String) {
        do {
            _ = try HeadwaterCommand.parseAsRoot(["passwd"] + arguments)
            Issue.record("accepted")
        } catch { #expect(HeadwaterCommand.fullMessage(for: error).contains(reason)) }
    }

    @Test("users are set, set anew, verified and deleted; the file is made with mode 0600")
    func life() throws {
        let directory = try Directory()
        try Self.set(directory, "alice", "wonder", ["--memory", "64", "--iterations", "2"])
        try Self.set(directory, "bob", "first", Self.cheap)
        try Self.set(directory, "bob", "second", ["--kind", "sha512"])
        #expect(try directory.mode("passwords") == 0o600)
        let text = try String(contentsOfFile: directory.path("passwords"), encoding: .utf8)
        #expect(
            text.hasPrefix("alice:$argon2id$v=19$m=64,t=2,p=1$") && text.contains("\nbob:$6$") && text.split(separator: "\n").count == 2)
        #expect(try Self.verdict(directory, "alice", "wonder") == .right && Self.verdict(directory, "bob", "first") == .wrong)
        try directory.write("secret", "second")
        try Self.run([directory.path("passwords"), "--verify", "bob", "--password-file", directory.path("secret")])
        for user in ["alice", "nobody"] {
            #expect(throws: ExitCode(1)) {
                try Self.run([directory.path("passwords"), "--verify", user, "--password-file", directory.path("secret")])
            }
        }
        try Self.run([directory.path("passwords"), "--delete", "alice"])
        #expect(throws: ExitCode(1)) { try Self.run([directory.path("passwords"), "--delete", "alice"]) }
        #expect(try PasswordFile.load(directory.path("passwords")).table.count == 1)
        #expect(try directory.names() == ["passwords", "secret"], "nothing is left behind")
    }

    @Test("mode and links stay when the file is replaced")
    func replacement() throws {
        let directory = try Directory()
        try Self.set(directory, "alice", "wonder", Self.cheap)
        try FileManager.default.moveItem(atPath: directory.path("passwords"), toPath: directory.path("real"))
        chmod(directory.path("real"), 0o640)
        #expect(symlink("real", directory.path("passwords")) == 0)
        if getuid() == 0 { #expect(chown(directory.path("real"), 1, 2) == 0) }
        try Self.set(directory, "bob", "builder", Self.cheap)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: directory.path("passwords")) == "real")
        #expect(try directory.mode("real") == 0o640)
        var now = stat()
        #expect(stat(directory.path("real"), &now) == 0)
        if getuid() == 0 { #expect(now.st_uid == 1 && now.st_gid == 2) }
        #expect(try Self.verdict(directory, "alice", "wonder") == .right && Self.verdict(directory, "bob", "builder") == .right)
    }

    @Test("a file that wouldn't be read is not written, and what can't be a password file isn't touched")
    func refusals() throws {
        let directory = try Directory()
        try directory.write("passwords", "alice:plain\n")
        #expect(throws: ExitCode(1)) { try Self.set(directory, "bob", "x", Self.cheap) }
        #expect(try String(contentsOfFile: directory.path("passwords"), encoding: .utf8) == "alice:plain\n")
        try Self.set(directory, "alice", "mended", Self.cheap)
        #expect(try Self.verdict(directory, "alice", "mended") == .right)
        try directory.write("empty", "")
        for arguments in [
            [directory.path, "--delete", "a"], [directory.path("none"), "--delete", "a"], [directory.path("none"), "--upgrade"],
            ["/dev/null", "--delete", "a"],
            [directory.path("none/none"), "a", "--password-file", directory.path("secret")],
            [directory.path("passwords"), "a", "--password-file", directory.path("empty")],
            [directory.path("passwords"), "a", "--password-file", directory.path("none")],
        ] { #expect(throws: ExitCode(1), "\(arguments)") { try Self.run(arguments) } }
        let fifo = directory.path("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        #expect(throws: ExitCode(1)) { try Self.run([fifo, "--delete", "a"]) }
        #expect(try !directory.names().contains { $0.contains(".new") })
    }

    @Test("a batch is taken whole or refused with every fault")
    func batch() throws {
        let entries = try PasswordInput.batch(Array("a:b\r\n\nc:d:e\nlast:x".utf8))
        #expect(entries.map { String(decoding: $0.user, as: UTF8.self) } == ["a", "c", "last"])
        #expect(entries.map { String(decoding: $0.password, as: UTF8.self) } == ["b", "d:e", "x"])
        let fault = #expect(throws: PasswdFault.self) { try PasswordInput.batch(Array("a:b\nsecretline\na:c\n:d\ne:\n#x:y\nf:\0".utf8)) }
        let lines = fault?.description.split(separator: "\n").map(String.init) ?? []
        #expect(lines.map { $0.prefix(8) }.dropLast() == ["stdin:2:", "stdin:3:", "stdin:4:", "stdin:5:", "stdin:6:", "stdin:7:"])
        #expect(fault?.description.contains("secretline") == false)
        #expect(throws: PasswdFault.self) { try PasswordInput.batch([]) }
    }

    @Test("programs that set passwords at the same time lose none")
    func atOnce() async throws {
        let directory = try Directory()
        for number in 0..<16 { try directory.write("secret-\(number)", "password \(number)") }
        let path = directory.path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<16 {
                group.addTask {
                    try Self.run([path + "/passwords", "user-\(number)", "--password-file", path + "/secret-\(number)"] + Self.cheap)
                }
            }
            try await group.waitForAll()
        }
        #expect(try PasswordFile.load(directory.path("passwords")).table.count == 16)
        withExtendedLifetime(directory) {}
    }

    @Test("Debian's Mosquitto lets in who is in a file of ours, and nobody else", .enabled(if: Mosquitto.isHere))
    func mosquitto() throws {
        let directory = try Directory()
        try Self.set(directory, "alice", "wönder land", ["--kind", "pbkdf2", "--iterations", "1000"])
        try Self.set(directory, "bob", "builder", ["--kind", "sha512"])
        let mosquitto = try Mosquitto(passwords: directory.path("passwords"), directory: directory)
        #expect(try mosquitto.letsIn("alice", "wönder land") && mosquitto.letsIn("bob", "builder"))
        #expect(try !mosquitto.letsIn("alice", "wonder") && !mosquitto.letsIn("eve", "builder"))
    }

    @Test("at a terminal the password is asked for twice and doesn't show", .enabled(if: PseudoTerminal.isHere))
    func terminal() throws {
        let directory = try Directory()
        let file = directory.path("passwords")
        let good = try PseudoTerminal.run(["passwd", file, "alice"] + Self.cheap, answers: ["gehe im", "gehe im"])
        #expect(good.status == 0 && good.output.contains("New password for alice: ") && good.output.contains("Again: "))
        let other = try PseudoTerminal.run(["passwd", file, "bob"], answers: ["gehe im", "gehe in"])
        #expect(other.status == 1 && other.output.contains("not the same"))
        let verified = try PseudoTerminal.run(["passwd", file, "--verify", "alice"], answers: ["gehe im"])
        #expect(verified.status == 0 && verified.output.contains("right"))
        for run in [good, other, verified] { #expect(!run.output.contains("gehe")) }
        #expect(try PasswordFile.load(file).table.count == 1)
    }

    /// A directory that is gone after the test.
    final class Directory {
        let path: String

        init() throws {
            path = NSTemporaryDirectory() + "headwater-passwd-\(UInt64.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func path(_ name: String) -> String { path + "/" + name }
        func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path(name))) }
        func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
        func mode(_ name: String) throws -> Int {
            try #require(try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int)
        }
    }

    /// Mosquitto with a password file, on a port of its own.
    final class Mosquitto {
        static let isHere = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"].allSatisfy {
            FileManager.default.isExecutableFile(atPath: $0)
        }
        private let process = Process()
        private let port = FreePort.next()

        init(passwords: String, directory: Directory) throws {
            chmod(directory.path, 0o755)
            chmod(passwords, 0o644)  // Mosquitto gives up root's rights before it reads
            try directory.write("mosquitto.conf", "listener \(port) 127.0.0.1\nallow_anonymous false\npassword_file \(passwords)\n")
            process.executableURL = URL(fileURLWithPath: "/usr/sbin/mosquitto")
            process.arguments = ["-c", directory.path("mosquitto.conf")]
            process.standardError = FileHandle.nullDevice
            try process.run()
            for _ in 0..<200 {
                if try status("nobody", "") != nil { return }
                usleep(50_000)
            }
        }

        deinit {
            kill(process.processIdentifier, SIGKILL)  // SIGTERM may be blocked: a child inherits the mask of the thread that starts it
            process.waitUntilExit()
        }

        func letsIn(_ user: String, _ password: String) throws -> Bool { try #require(try status(user, password)) == 0 }

        /// 0 for let in, 5 for not; `nil` where nobody answers.
        private func status(_ user: String, _ password: String) throws -> Int32? {
            let client = Process()
            client.executableURL = URL(fileURLWithPath: "/usr/bin/mosquitto_pub")
            client.arguments = ["-p", "\(port)", "-u", user, "-P", password, "-t", "a", "-m", "b"]
            client.standardError = FileHandle.nullDevice
            try client.run()
            client.waitUntilExit()
            return [0, 5].contains(client.terminationStatus) ? client.terminationStatus : nil
        }
    }

    /// The program at a terminal that Python's `pty` makes.
    enum PseudoTerminal {
        static let isHere = FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")

        static func run(_ arguments: [String], answers: [String]) throws -> (status: Int32, output: String) {
            let products = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
                .deletingLastPathComponent()
            let program = products.appending(path: "headwater").path
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            process.arguments = ["-c", script, "\(answers.count)"] + answers + [program] + arguments
            process.standardOutput = output
            try process.run()
            let bytes = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
        }

        private static let script = #"""
            import os, pty, select, sys
            count = int(sys.argv[1])
            answers, arguments = sys.argv[2:2 + count], sys.argv[2 + count:]
            pid, terminal = pty.fork()
            if pid == 0: os.execv(arguments[0], arguments)
            output, asked = b"", 0
            while select.select([terminal], [], [], 30)[0]:
                try: part = os.read(terminal, 1024)
                except OSError: break
                if not part: break
                output += part
                if output.endswith(b": ") and asked < count:
                    os.write(terminal, answers[asked].encode() + b"\n")
                    asked += 1
            sys.stdout.write(output.decode(errors="replace"))
            sys.stdout.flush()
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """#
    }
}
