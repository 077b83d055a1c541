import Foundation
import Testing

@testable import headwater_cli

@Suite("Giving up root's rights")
struct PrivilegesTests {
    private static let isRoot = geteuid() == 0

    /// The program of Tests/PrivilegesProbe; SwiftPM puts all programs into one directory.
    private static let probe: String = {
        let directory = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let candidates = [directory, CommandLine.arguments[0]].map { ($0 as NSString).deletingLastPathComponent }
        return candidates.map { $0 + "/privileges-probe" }.first { FileManager.default.isExecutableFile(atPath: $0) } ?? "privileges-probe"
    }()

    /// Runs the probe to its end, in a process that can lose its rights.
    private func run(_ arguments: [String]) throws -> (code: Int32, lines: [String]) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.probe)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output.split(separator: "\n").map(String.init))
    }

    @Test(
        "root becomes the user, in every thread, with its groups alone, without a way back and without core dumps",
        .enabled(if: isRoot, "needs root"))
    func drop() throws {
        let secret = FileManager.default.temporaryDirectory.appendingPathComponent("secret-\(UUID().uuidString)").path
        #expect(FileManager.default.createFile(atPath: secret, contents: Data("key".utf8), attributes: [.posixPermissions: 0o600]))
        defer { try? FileManager.default.removeItem(atPath: secret) }
        let nobody = try Privileges.account(user: "nobody")
        let (code, lines) = try run(["nobody", secret])
        #expect(code == 0)
        #expect(
            lines == [
                "dropped dropped", "user \(nobody.user) \(nobody.user) group \(nobody.group) \(nobody.group) groups 1", "root again false",
                "thread \(nobody.user) false", "core 0 0 dumpable 0 umask 63", "unreadable [\"\(secret)\"]",
            ])
    }

    @Test("another group than the user's own", .enabled(if: isRoot, "needs root"))
    func group() throws {
        let daemon = try Privileges.account(user: "nobody", group: "daemon").group
        let lines = try run(["nobody", "/etc/passwd", "daemon"]).lines
        #expect(lines.contains { $0.contains("group \(daemon) \(daemon)") })
        #expect(lines.last == "unreadable []")
    }

    @Test("who is not root stays who he is, and is told so", .enabled(if: !isRoot, "needs a user who is not root"))
    func notRoot() throws {
        #expect(try Privileges.drop(to: Privileges.account(user: "nobody")) == .notRoot)
    }

    @Test(
        "a user or group that does not exist, or is root, is refused, and the fault names it",
        arguments: [("no-such-user", nil), ("nobody", "no-such-group"), ("root", nil), ("nobody", "root")] as [(String, String?)])
    func unknown(user: String, group: String?) {
        #expect { _ = try Privileges.account(user: user, group: group) } throws: { "\($0)".contains(group ?? user) || "\($0)".contains(user) }
    }

    @Test("files that can't be read are named with the reason")
    func unreadable() {
        let missing = "/nonexistent/key.pem"
        let found = Privileges.unreadable(["/etc/passwd", missing])
        #expect(found.map(\.path) == [missing] && found.first?.reason == "No such file or directory")
    }
}
