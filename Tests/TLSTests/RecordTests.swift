import COpenSSL
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct RecordTests {
    let files = TestFiles()

    private func open(_ version: TLSVersion, cipher: String? = nil) throws -> EnginePair {
        let pair = try EnginePair(
            files.server(),
            files.client {
                $0.minimumVersion = version
                $0.maximumVersion = version
                $0.cipherList = cipher
            })
        pair.run()
        try #require(pair.isOpen)
        return pair
    }

    @Test("records split at every byte give the same plaintext", arguments: [TLSVersion.v1_2, .v1_3])
    func splits(version: TLSVersion) throws {
        let bytes = Array("first record".utf8)
        let more = Array("and a second".utf8)
        var length = 1
        var split = 0
        while split < length {
            let pair = try open(version)
            var wire = ByteBuffer()
            #expect(bytes.withUnsafeBytes { pair.client.seal($0, into: &wire) })
            #expect(more.withUnsafeBytes { pair.client.seal($0, into: &wire) })
            length = wire.readableBytes
            pair.deliver(wire.getSlice(at: 0, length: split)!, to: pair.server)
            pair.deliver(wire.getSlice(at: split, length: length - split)!, to: pair.server)
            #expect(Array(pair.atServer.readableBytesView) == bytes + more, "split at \(split)")
            split += version == .v1_3 ? 1 : 7
        }
    }

    @Test("megabytes arrive whole in both directions, in pieces of any size", arguments: [1_000, 16_384, 65_536, Int.max])
    func large(step: Int) throws {
        let pair = try open(.v1_3)
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        pair.send(bytes, toServer: true, step: step)
        pair.send(bytes, toServer: false, step: step)
        #expect(pair.atServer.readableBytesView.elementsEqual(bytes))
        #expect(pair.atClient.readableBytesView.elementsEqual(bytes))
    }

    @Test(
        "the capacity that sealing asks for is enough for every version and cipher",
        arguments: [
            (TLSVersion.v1_0, "ECDHE-ECDSA-AES256-SHA"), (.v1_2, "ECDHE-ECDSA-AES256-SHA384"), (.v1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
            (.v1_3, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ])
    func capacity(version: TLSVersion, cipher: String) throws {
        let pair = try EnginePair(
            files.server { $0.minimumVersion = .v1_0 },
            files.client {
                $0.minimumVersion = version
                $0.maximumVersion = version
                $0.cipherList = cipher + (version < .v1_2 ? ":@SECLEVEL=0" : "")
            })
        pair.run()
        try #require(pair.isOpen)
        for count in [1, 15, 16, 17, 255, 1_000, 16_383, 16_384, 16_385, 32_768, 100_000] {
            let bytes = [UInt8](repeating: 7, count: count)
            let room = pair.client.sealedCapacity(count)
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
            defer { block.deallocate() }
            let sealed = try #require(bytes.withUnsafeBytes { pair.client.seal($0, into: block) })
            #expect(sealed > count)
            #expect(!pair.client.hasOutput, "\(count) bytes spilled")
            pair.deliver(ByteBuffer(bytes: block[..<sealed]), to: pair.server)
        }
    }

    @Test("a peer's small maximum fragment is kept, and the capacity is still enough")
    func smallFragments() throws {
        let pair = try EnginePair(files.server(), files.client())
        SSL_set_tlsext_max_fragment_length(pair.client.ssl, 1)
        pair.run()
        try #require(pair.isOpen)
        let bytes = [UInt8](repeating: 7, count: 10_000)
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: pair.server.sealedCapacity(bytes.count), alignment: 1)
        defer { block.deallocate() }
        let sealed = try #require(bytes.withUnsafeBytes { pair.server.seal($0, into: block) })
        #expect(!pair.server.hasOutput)
        let first = try #require(RecordScanner.recordBytes(UnsafeRawBufferPointer(block)))
        #expect(first < 600)
        pair.deliver(ByteBuffer(bytes: block[..<sealed]), to: pair.client)
        #expect(pair.atClient.readableBytes == 10_000)
    }

    @Test("too small a block loses nothing: the rest is in the output, in order")
    func smallBlock() throws {
        let pair = try open(.v1_3)
        let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 20_000, alignment: 1)
        defer { block.deallocate() }
        let sealed = try #require(bytes.withUnsafeBytes { pair.client.seal($0, into: block) })
        var wire = ByteBuffer(bytes: block[..<sealed])
        pair.client.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.server)
        #expect(pair.atServer.readableBytesView.elementsEqual(bytes))
    }

    @Test("close_notify is heard, and the other direction stays open")
    func closing() throws {
        let pair = try open(.v1_3)
        pair.client.shutdown()
        #expect(pair.client.hasOutput)
        pair.run()
        #expect(pair.server.phase == .closedByPeer)
        #expect(pair.server.failure == nil)
        pair.send(Array("last words".utf8), toServer: false)
        #expect(String(buffer: pair.atClient) == "last words")
        var wire = ByteBuffer()
        #expect(!Array("more".utf8).withUnsafeBytes { pair.client.seal($0, into: &wire) })
    }

    @Test("data before close_notify in the same read is not lost")
    func dataThenClose() throws {
        let pair = try open(.v1_3)
        var wire = ByteBuffer()
        #expect(Array("DISCONNECT".utf8).withUnsafeBytes { pair.client.seal($0, into: &wire) })
        pair.client.shutdown()
        pair.client.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.server)
        #expect(String(buffer: pair.atServer) == "DISCONNECT")
        #expect(pair.server.phase == .closedByPeer)
    }

    @Test("a changed byte ends the connection, and what came before it is not lost", arguments: [TLSVersion.v1_2, .v1_3])
    func tampering(version: TLSVersion) throws {
        let pair = try open(version)
        var wire = ByteBuffer()
        #expect(Array("good".utf8).withUnsafeBytes { pair.client.seal($0, into: &wire) })
        let good = wire.readableBytes
        #expect(Array("bad".utf8).withUnsafeBytes { pair.client.seal($0, into: &wire) })
        wire.setInteger(wire.getInteger(at: good + 14, as: UInt8.self)! ^ 1, at: good + 14)
        pair.deliver(wire, to: pair.server)
        #expect(String(buffer: pair.atServer) == "good")
        #expect(pair.server.failure?.reason == .decryptError)
        #expect(pair.server.hasOutput)
        pair.run()
        #expect(pair.client.failure?.reason == .peerAlert)
    }

    @Test("keys are renewed when the peer asks, in both directions")
    func keyUpdate() throws {
        let pair = try open(.v1_3)
        for _ in 0..<200 {
            SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED)
            pair.send(Array("a".utf8), toServer: true)
            pair.send(Array("b".utf8), toServer: false)
        }
        #expect(pair.isOpen)
        #expect(pair.atServer.readableBytes == 200)
        #expect(pair.atClient.readableBytes == 200)
    }

    @Test("a flood of records without data ends the connection")
    func keyUpdateFlood() throws {
        let pair = try open(.v1_3)
        for _ in 0..<65 {
            SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED)
            SSL_do_handshake(pair.client.ssl)
            pair.run()
        }
        #expect(pair.server.failure?.reason == .other)
    }

    @Test("a TLS 1.2 client's renegotiation is refused")
    func renegotiation() throws {
        let pair = try open(.v1_2)
        #expect(headwater_tls_is_secure_renegotiation_supported(pair.server.ssl) == 1)
        SSL_clear_options(pair.client.ssl, UInt64(headwater_tls_options()))
        SSL_renegotiate(pair.client.ssl)
        SSL_do_handshake(pair.client.ssl)
        #expect(pair.client.hasOutput)
        pair.run()
        #expect(pair.completions == 2)
        #expect(pair.client.phase != .open || !pair.echoes())
    }

    @Test("an incomplete record is kept in as many bytes as have come, and nothing else")
    func scanner() {
        func whole(_ bytes: [UInt8]) -> [Int] {
            let found = bytes.withUnsafeBytes { RecordScanner.wholeRecords($0) }
            return [found.count, found.bytes]
        }
        #expect(whole([]) == [0, 0])
        #expect(whole([23, 3, 3, 0]) == [0, 0])
        #expect(whole([23, 3, 3, 0, 0]) == [1, 5])
        #expect(whole([23, 3, 3, 0, 2, 1]) == [0, 0])
        #expect(whole([23, 3, 3, 0, 1, 1, 23, 3, 3, 0, 0, 23]) == [2, 11])
        // Longer than allowed: ends at once.
        #expect(whole([23, 3, 3, 0xff, 0xff, 1]).first == 1)
    }
}
