import Foundation
import NIOCore
import NIOPosix
import Testing
import Transport

@Suite("Unix sockets")
struct UnixSocketTests {
    private let path = NSTemporaryDirectory() + "hw-\(UInt32.random(in: 0 ... .max)).sock"
    private var group: MultiThreadedEventLoopGroup { .singleton }

    private func open() async throws -> Listener {
        try await Listener.open(name: "unix", address: .unix(path: path), group: group) { _ in }
    }

    @Test("a socket that somebody listens on is not taken over")
    func running() async throws {
        let first = try await open()
        await #expect(throws: UnixSocketFile.Fault.self) { _ = try await open() }
        let client = try await ClientBootstrap(group: group).connect(unixDomainSocketPath: path).get()
        try await client.close()
        await first.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("a socket file that a crash has left is replaced")
    func leftOver() async throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        #expect(bound == 0)
        close(descriptor)
        #expect(FileManager.default.fileExists(atPath: path))
        let listener = try await open()
        await listener.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("a file that is no socket stays as it is")
    func otherFile() async throws {
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        await #expect(throws: UnixSocketFile.Fault.self) { _ = try await open() }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        try FileManager.default.removeItem(atPath: path)
    }

    @Test("at the end only the listener's own file is removed")
    func replaced() async throws {
        let listener = try await open()
        try FileManager.default.removeItem(atPath: path)
        try Data("new".utf8).write(to: URL(fileURLWithPath: path))
        await listener.close()
        #expect(FileManager.default.fileExists(atPath: path))
        try FileManager.default.removeItem(atPath: path)
    }
}
