import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct HostilePeerTests {
    let files = TestFiles()

    private func outcome(_ bytes: [UInt8], step: Int = .max) throws -> TLSError? {
        let engine = try #require(load(files.server()).makeEngine())
        var plaintext = ByteBuffer()
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + min(step, bytes.count))
            _ = bytes[at..<end].withUnsafeBytes { engine.receive($0, plaintext: &plaintext) }
            at = end
        }
        #expect(plaintext.readableBytes == 0)
        #expect(engine.phase != .open)
        return engine.failure
    }

    @Test("MQTT or HTTP in the clear is recognised by the first byte, and not answered", arguments: [1, .max])
    func plainText(step: Int) throws {
        let connect: [UInt8] = [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 0]
        for bytes in [connect, Array("GET / HTTP/1.1\r\n\r\n".utf8), [0], [0xff, 0xff, 0xff], [22, 77]] {
            let error = try #require(try outcome(bytes, step: step))
            #expect(error.reason == .plainText)
        }
    }

    @Test("an SSL 2.0 hello is an old protocol")
    func oldHello() throws {
        #expect(try outcome([0x80, 0x2e, 1, 3, 1]) ?? TLSError(.other) == TLSError(.unsupportedProtocol, "SSL 2.0"))
    }

    @Test("nothing is taken on the word of a ClientHello that claims to be long")
    func claimedLength() throws {
        #expect(try outcome([22, 3, 1, 0, 4, 1, 1, 0xff, 0xff])?.reason == .other)
        #expect(try outcome([22, 3, 1, 0, 3, 1, 0, 0])?.reason == .other)
        #expect(try outcome([22, 3, 1, 0xff, 0xff])?.reason == .other)
        #expect(try outcome([22, 3, 1, 0, 4, 2, 0, 0, 0])?.reason == .other)
    }

    @Test("nor on that of the second ClientHello, or of a message that isn't one in its place")
    func claimedLengthAgain() throws {
        for (bytes, isRefused) in [
            ([22, 3, 3, 0, 4, 1, 1, 0xff, 0xff], true), ([22, 3, 3, 0, 4, 11, 0, 0x10, 0], true), ([20, 3, 3, 0, 1, 1], false),
        ] {
            let pair = try EnginePair(files.server { $0.groups = "P-384" }, files.client { $0.groups = "X25519:P-384" })
            pair.client.start()
            var wire = ByteBuffer()
            pair.client.takeOutput(into: &wire)
            pair.deliver(wire, to: pair.server)
            #expect(pair.server.hasOutput && pair.server.phase == .handshaking)
            pair.deliver(ByteBuffer(bytes: bytes.map { UInt8($0) }), to: pair.server)
            #expect((pair.server.failure?.detail == "the ClientHello is malformed or too long") == isRefused)
        }
    }

    @Test("a hello that is rubbish inside is refused, whatever it is")
    func rubbish() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let count = Int.random(in: 4...300, using: &generator)
            var bytes: [UInt8] = [22, 3, 1, UInt8(count >> 8), UInt8(count & 255), 1, 0, UInt8((count - 4) >> 8), UInt8((count - 4) & 255)]
            bytes += (4..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(try outcome(bytes) != nil)
        }
    }

    @Test("a handshake with a changed byte anywhere never opens")
    func changedHello() throws {
        let server = try load(files.server())
        let client = try load(files.client())
        var hello = ByteBuffer()
        let first = try #require(client.makeEngine(host: "localhost"))
        first.start()
        first.takeOutput(into: &hello)
        for at in hello.readableBytesView.indices {
            let pair = try EnginePair(server, client)
            pair.client.start()
            var wire = ByteBuffer()
            pair.client.takeOutput(into: &wire)
            guard at < wire.writerIndex else { continue }
            wire.setInteger(wire.getInteger(at: at, as: UInt8.self)! ^ 0x11, at: at)
            pair.deliver(wire, to: pair.server)
            pair.run()
            #expect(!pair.isOpen || at == 2 || at == 1, "byte \(at)")
        }
    }

    @Test("a peer that goes in the middle of its handshake has closed early")
    func closedEarly() throws {
        let engine = try #require(load(files.server()).makeEngine())
        engine.connectionLost()
        #expect(engine.failure?.reason == .closedEarly)
        let pair = try EnginePair(files.server(), files.client())
        pair.run()
        pair.server.connectionLost()
        #expect(pair.server.failure == nil)
        #expect(pair.server.phase == .closedByPeer)
    }

    @Test("application data in the middle of a handshake is refused")
    func dataTooEarly() throws {
        let pair = try EnginePair(files.server(), files.client { $0.maximumVersion = .v1_2 })
        pair.client.start()
        var wire = ByteBuffer()
        pair.client.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.server)
        pair.deliver(ByteBuffer(bytes: [23, 3, 3, 0, 4, 1, 2, 3, 4]), to: pair.server)
        #expect(pair.server.phase == .failed)
        #expect(pair.atServer.readableBytes == 0)
    }

    @Test("random bytes after the handshake end the connection")
    func noise() throws {
        let server = try load(files.server())
        let client = try load(files.client())
        for type in [UInt8(0), 20, 21, 22, 23, 24, 255] {
            let pair = try EnginePair(server, client)
            pair.run()
            pair.deliver(ByteBuffer(bytes: [type, 3, 3, 0, 40] + [UInt8](repeating: type, count: 40)), to: pair.server)
            #expect(pair.server.phase == .failed, "record type \(type)")
        }
    }

    @Test("compression is not negotiated, and no cipher is weak")
    func protocolChecks() throws {
        let files = TestFiles()
        for (list, problem) in [("ECDHE+AES:eNULL:@SECLEVEL=0", "encrypts nothing"), ("ALL:aNULL:@SECLEVEL=0", "proves nothing")] {
            let error = #expect(throws: TLSConfigurationError.self) { try load(files.server { $0.cipherList = list }) }
            #expect(error?.problem.contains(problem) == true, "\(String(describing: error))")
        }
    }
}
