import Foundation
import Testing

@testable import ConfigFile

/// A file of its own for a test, gone with the value.
final class TemporaryFile {
    let path: String

    init(_ contents: [UInt8]) throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString)").path
        try Data(contents).write(to: URL(fileURLWithPath: path))
    }
    convenience init(_ contents: String) throws { try self.init(Array(contents.utf8)) }

    deinit { unlink(path) }
}

@Suite struct FileTests {
    static func load(_ contents: [UInt8]) throws -> HeadwaterConfiguration {
        let file = try TemporaryFile(contents)
        return try HeadwaterConfiguration.load(file: file.path, environment: [:])
    }

    /// The one diagnostic, without the temporary name in front.
    static func refusal(_ contents: [UInt8]) throws -> String {
        let file = try TemporaryFile(contents)
        return try refusal(path: file.path)
    }

    static func refusal(path: String) throws -> String {
        do throws(ConfigurationError) {
            _ = try HeadwaterConfiguration.load(file: path, environment: [:])
        } catch {
            #expect(error.diagnostics.count == 1)
            return String(error.description.dropFirst(path.count))
        }
        Issue.record("\(path) was accepted")
        return ""
    }

    @Test(
        "an empty file is the default configuration",
        arguments: ["", "\n", "# nothing\n", "---\n", "\u{FEFF}", "~\n"])
    func empty(text: String) throws {
        let configuration = try Self.load(Array(text.utf8))
        #expect(configuration == (try HeadwaterConfiguration.load(file: nil, environment: [:])))
    }

    @Test("a byte order mark, CRLF and a missing last line end are accepted")
    func lineEnds() throws {
        let configuration = try Self.load([0xEF, 0xBB, 0xBF] + Array("log:\r\n  level: debug\r\n  format: json".utf8))
        #expect(configuration.log.level == .debug)
        #expect(configuration.log.format == .json)
    }

    @Test("lines count right after a byte order mark and CRLF")
    func lines() throws {
        #expect(
            try Self.refusal([0xEF, 0xBB, 0xBF] + Array("log:\r\n  lvel: debug\r\n".utf8))
                == ":2:3: unknown option \"lvel\" in log; did you mean \"level\"?")
    }

    @Test("what is not text is refused with its place")
    func binary() throws {
        #expect(try Self.refusal(Array("a: 1\nb: \0\n".utf8)) == ":2:4: holds a NUL byte; this is no text file")
        #expect(try Self.refusal(Array("a: 1\nbb: ".utf8) + [0xC3, 0x28]) == ":2:5: is not valid UTF-8 here; save the file as UTF-8")
        #expect(try Self.refusal(Array("a: ".utf8) + [0xED, 0xA0, 0x80]) == ":1:4: is not valid UTF-8 here; save the file as UTF-8")
        #expect(try Self.refusal([0xFF, 0xFE, 0x61, 0x00]) == ": is UTF-16; save it as UTF-8")
        #expect(try Self.refusal(Array("log: {level: \u{1}}\n".utf8)).contains("control characters are not allowed"))
    }

    @Test("what is no regular file is refused")
    func kinds() throws {
        #expect(try Self.refusal(path: "/nonexistent/headwater.yaml") == ": can't be opened: No such file or directory")
        #expect(try Self.refusal(path: "/") == ": is a directory, not a file")
        #expect(try Self.refusal(path: "/dev/null") == ": is not a regular file")
        let pipe = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString)").path
        #expect(mkfifo(pipe, 0o600) == 0)
        defer { unlink(pipe) }
        #expect(try Self.refusal(path: pipe) == ": is a named pipe (FIFO), not a regular file")
    }

    @Test("a file above 4 MiB is refused, one of 4 MiB is read")
    func size() throws {
        let comment = [UInt8](repeating: UInt8(ascii: "#"), count: 4 * 1024 * 1024)
        _ = try Self.load(comment)
        #expect(try Self.refusal(comment + [UInt8(ascii: "\n")]) == ": is larger than 4MiB, which no configuration needs")
    }

    @Test("the configurations that are delivered with the program are accepted", arguments: ["deploy/dev.yaml", "deploy/secured.yaml", "deploy/docker.yaml"])
    func delivered(path: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        _ = try HeadwaterConfiguration.load(file: root.appendingPathComponent(path).path, environment: [:])
    }
}
