import ArgumentParser
import Foundation
import MQTTModel
import Security
import Testing

@testable import headwater_cli

@Suite struct AclCommandTests {
    @Test("each subcommand takes its files and options")
    func arguments() throws {
        let check = try #require(try HeadwaterCommand.parseAsRoot(["acl", "check", "a.acl", "b.acl"]) as? AclCheckCommand)
        #expect(check.files == ["a.acl", "b.acl"])
        let arguments = [
            "acl", "explain", "a.acl", "--user", "u", "--client", "c", "--topic", "t/x", "--access", "write", "--qos", "1", "--retain",
        ]
        let explain = try #require(try HeadwaterCommand.parseAsRoot(arguments) as? AclExplainCommand)
        #expect(explain.file == "a.acl" && explain.user == "u" && explain.client == "c" && explain.topic == "t/x")
        #expect(explain.access == .write && explain.qos == 1 && explain.retain && explain.tenant.isEmpty)
        let test = try #require(try HeadwaterCommand.parseAsRoot(["acl", "test", "a.acl", "a.expect"]) as? AclTestCommand)
        #expect(test.rules == "a.acl" && test.expectations == "a.expect")
    }

    @Test(
        "a wrong command line ends with 64",
        arguments: [
            ["acl", "check"], ["acl", "explain", "f"], ["acl", "explain", "f", "-t", "a/#"],
            ["acl", "explain", "f", "-t", "a", "--qos", "3"],
            ["acl", "explain", "f", "-t", "a", "--access", "look"], ["acl", "explain", "f", "-t", "a#", "--access", "subscribe"],
            ["acl", "test", "f"],
        ])
    func wrong(arguments: [String]) {
        do {
            _ = try HeadwaterCommand.parseAsRoot(arguments)
            #expect(Bool(false), "accepted")
        } catch {
            #expect(HeadwaterCommand.exitCode(for: error).rawValue == 64)
        }
    }

    private func run(_ arguments: [String]) async throws {
        var command = try #require(try HeadwaterCommand.parseAsRoot(arguments) as? any AsyncParsableCommand)
        try await command.run()
    }

    private func withFiles(_ texts: [String], _ body: ([String]) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "acl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let paths = texts.indices.map { directory.appending(path: "file\($0)").path }
        for (path, text) in zip(paths, texts) { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
        try await body(paths)
    }

    @Test("files that are wrong, or not there, end with 1, and good ones do not")
    func exitCodes() async throws {
        try await withFiles(["topic read a\n", "nonsense\n", "allow - c read a\n", "allow - c read b\n", "# none\n"]) { files in
            try await run(["acl", "check", files[0]])
            try await run(["acl", "explain", files[0], "-t", "a"])
            try await run(["acl", "test", files[0], files[2]])
            let failing = [
                ["check", files[0], files[1]], ["check", "/nonexistent"], ["check", "/tmp"], ["explain", files[1], "-t", "a"],
                ["test", files[0], files[3]],
                ["test", files[0], files[4]], ["test", files[0], files[1]], ["test", files[1], files[2]],
            ]
            for arguments in failing {
                let exit = await #expect(throws: ExitCode.self, "\(arguments)") { try await run(["acl"] + arguments) }
                #expect(exit == ExitCode(1))
            }
        }
    }

    @Test("an explanation says what decides, for reading and for writing")
    func explanation() throws {
        let policy = ACLPolicy(try ACLFile(Array("pattern read a/#\nuser u\ntopic write a/b\nallow read max-qos=1 s\n".utf8), name: "f"))
        let command = try #require(
            try HeadwaterCommand.parseAsRoot(["acl", "explain", "f", "-u", "u", "-i", "c", "-t", "a/b"]) as? AclExplainCommand)
        #expect(
            command.lines(policy) == [
                "read: allow by f:1", "  f:3: topic write a/b  [user u; matches, but is about the other access]",
                "  f:1: pattern read a/#  [everybody; decides]", "write: allow by f:3", "  f:3: topic write a/b  [user u; decides]",
                "  f:1: pattern read a/#  [everybody; matches, but is about the other access]",
            ])
        let subscribe = ["acl", "explain", "f", "-u", "u", "-t", "$share/g/s", "--access", "subscribe"]
        #expect(
            try #require(HeadwaterCommand.parseAsRoot(subscribe) as? AclExplainCommand).lines(policy) == [
                "subscribe: may have messages, at most QoS 1"
            ])
        let never = ["acl", "explain", "f", "-t", "b/#", "--access", "subscribe"]
        #expect(
            try #require(HeadwaterCommand.parseAsRoot(never) as? AclExplainCommand).lines(policy) == [
                "subscribe: no topic below the filter may be read"
            ])
    }

    @Test("a check counts rules and prints notes")
    func check() throws {
        let file = try ACLFile(Array("topic read\nuser u\ntopic a\ngroup g\nmember u\nallow read b\n".utf8), name: "f")
        let lines = AclCheckCommand.lines(file)
        #expect(lines.count == 2 && lines[0].hasPrefix("f:1: note: ") && lines[1] == "f: 3 rules, 1 user, 1 group")
        #expect(AclCheckCommand.lines(try ACLFile([], name: "f")) == ["f: no rules: everything is denied"])
    }
}
