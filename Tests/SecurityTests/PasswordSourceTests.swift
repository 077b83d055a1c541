import Foundation
import Testing

@testable import Security

/// The file itself: what it is, who may read it, what happens meanwhile.
@Suite struct PasswordSourceTests {
    static func fault(_ path: String, maxBytes: Int = 1_000) -> String? {
        do throws(SecurityFault) {
            _ = try SecurityFile.read(path, maxBytes: maxBytes)
            return nil
        } catch {
            #expect(error.description.hasPrefix(path + ": "))
            return error.description
        }
    }

    @Test("directories, FIFOs, devices, sockets, missing files and circular links are refused at once")
    func kinds() throws {
        let directory = try TestDirectory()
        #expect(Self.fault(directory.path("none"))?.contains("no such file") == true)
        #expect(Self.fault(directory.path)?.contains("is a directory") == true)
        let fifo = directory.path("fifo")
        #expect(mkfifo(fifo, 0o600) == 0)
        #expect(Self.fault(fifo)?.contains("is a FIFO") == true)
        #expect(Self.fault("/dev/null")?.contains("is a device") == true)
        #expect(Self.fault("/dev/zero")?.contains("is a device") == true)
        #expect(symlink(directory.path("b"), directory.path("a")) == 0 && symlink(directory.path("a"), directory.path("b")) == 0)
        #expect(Self.fault(directory.path("a"))?.contains("in a circle") == true)
        #expect(Self.fault("")?.contains("path is empty") == true)
        #expect(Self.fault(directory.path("a\0b"))?.contains("NUL") == true)
    }

    @Test("a file larger than allowed is not read, and one of just that size is")
    func size() throws {
        let directory = try TestDirectory()
        try directory.write("f", [UInt8](repeating: 1, count: 1_001))
        #expect(Self.fault(directory.path("f"))?.contains("has 1001 bytes, more than the 1000") == true)
        try directory.write("f", [UInt8](repeating: 1, count: 1_000))
        #expect(Self.fault(directory.path("f")) == nil)
    }

    @Test("links are followed, through directories too, as Kubernetes mounts them")
    func links() throws {
        let directory = try TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.path("..2026_01"), withIntermediateDirectories: false)
        try directory.write("..2026_01/passwords", Array("alice:\(PasswordFileTests.hash)".utf8))
        #expect(symlink("..2026_01", directory.path("..data")) == 0 && symlink("..data/passwords", directory.path("passwords")) == 0)
        #expect(try PasswordFile.load(directory.path("passwords")).table.count == 1)
    }

    @Test("a file that others may read or change is loaded with a warning")
    func exposure() throws {
        let directory = try TestDirectory()
        try directory.write("p", Array("alice:\(PasswordFileTests.hash)".utf8))
        #expect(try PasswordFile.load(directory.path("p")).warnings.isEmpty)
        for (mode, word) in [(0o640, nil), (0o644, "file read"), (0o666, "file changed")] as [(mode_t, String?)] {
            #expect(chmod(directory.path("p"), mode) == 0)
            let warnings = try PasswordFile.load(directory.path("p")).warnings
            #expect(warnings.count == (word == nil ? 0 : 1))
            if let word { #expect(warnings[0].description.contains(word)) }
        }
    }

    @Test("a file that is written to while it is read is refused or read whole, never in part")
    func changing() async throws {
        let directory = try TestDirectory()
        let path = directory.path("p")
        try directory.write("p", [])
        let writer = Task.detached {
            for round in 0..<200 where !Task.isCancelled {
                let text = String(repeating: "user:hash \(round)\n", count: 2_000)
                try Data(text.utf8).write(to: URL(fileURLWithPath: path))  // in place, not by renaming
            }
        }
        for _ in 0..<200 {
            do throws(SecurityFault) {
                _ = try SecurityFile.read(path, maxBytes: 1 << 20)
            } catch {
                #expect(error.what.contains("while it was read"))
            }
        }
        writer.cancel()
        _ = try? await writer.value
    }

    @Test("a file that can't be read is refused", .enabled(if: getuid() != 0))
    func unreadable() throws {
        let directory = try TestDirectory()
        try directory.write("p", [])
        #expect(chmod(directory.path("p"), 0) == 0)
        #expect(Self.fault(directory.path("p"))?.contains("may not read it") == true)
    }
}

/// A directory that is gone after the test.
final class TestDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "headwater-security-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { path + "/" + name }

    /// A new file, mode 0600, or new contents of an old one.
    func write(_ name: String, _ bytes: [UInt8]) throws {
        let isNew = !FileManager.default.fileExists(atPath: path(name))
        try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
        if isNew { chmod(path(name), 0o600) }
    }
}

/// Programs of others.
enum Program {
    struct Failure: Error {
        let status: Int32
        let errors: String
    }

    static func path(_ name: String) -> String? {
        ["/usr/bin/", "/usr/sbin/", "/bin/"].map { $0 + name }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func exists(_ name: String) -> Bool { path(name) != nil }

    /// - Returns: What it prints.
    @discardableResult
    static func run(_ name: String, _ arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path(name) ?? name)
        process.arguments = arguments
        let (output, errors, standardInput) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = standardInput
        try process.run()
        try standardInput.fileHandleForWriting.write(contentsOf: Data(input))
        try standardInput.fileHandleForWriting.close()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(status: process.terminationStatus, errors: text) }
        return Array(bytes)
    }
}
