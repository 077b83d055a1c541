import NIOCore
import Testing

@testable import Transport

@Suite("WebSocket frames")
struct WebSocketCodecTests {
    private let numbers = (0..<300).map { UInt8(truncatingIfNeeded: $0) }

    @Test("the masked example of RFC 6455 section 5.7, as binary")
    func example() {
        var test = CodecUnderTest()
        #expect(test.receive([0x82, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]) == .ok)
        #expect(test.received == Array("Hello".utf8))
        #expect(test.replies.isEmpty)
    }

    @Test("a stream split at every byte is the same stream")
    func split() {
        let wire =
            ClientFrame.make(2, Array(numbers[..<7]), isFinal: false) + ClientFrame.ping([1, 2, 3])
            + ClientFrame.make(0, [], isFinal: false)
            + ClientFrame.make(0, Array(numbers[7..<200])) + ClientFrame.binary(Array(numbers[200...])) + ClientFrame.make(10, [9])
            + ClientFrame.close(1001, reason: Array("bye".utf8))
        let replies: [UInt8] = [0x8A, 3, 1, 2, 3, 0x88, 2, 0x03, 0xE9]
        for cut in 0...wire.count {
            var test = CodecUnderTest()
            if test.receive(wire[..<cut]) == .ok { test.receive(wire[cut...]) }
            #expect(test.received == numbers && test.replies == replies && test.outcome == .closed(.goingAway), "cut at \(cut)")
        }
        var test = CodecUnderTest()
        for byte in wire { test.receive([byte]) }
        #expect(test.received == numbers && test.replies == replies && test.outcome == .closed(.goingAway))
    }

    @Test("a mask fits at every alignment and every length", arguments: 0..<9)
    func masks(alignment: Int) {
        for count in 0..<40 {
            for cut in 0...count {
                let payload = Array(numbers[..<count])
                let frame = ClientFrame.make(2, payload, mask: [0x01, 0x80, 0xFF, 0x7E])
                // The frame begins at `alignment` within its memory, and is read in two parts.
                let memory = [UInt8](repeating: 0xEE, count: alignment) + frame
                var test = CodecUnderTest()
                let middle = alignment + 6 + cut
                memory.withUnsafeBytes { bytes in
                    for part in [bytes[alignment..<middle], bytes[middle...]] {
                        test.outcome = test.codec.receive(
                            UnsafeRawBufferPointer(rebasing: part), nowMilliseconds: 0, payload: &test.payload, replies: &test.replies)
                    }
                }
                #expect(test.received == payload && test.outcome == .ok, "\(count) bytes cut at \(cut)")
            }
        }
    }

    @Test("each length has its own form of header, and both sides agree", arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20])
    func lengths(count: Int) {
        let payload = [UInt8](repeating: 0xA5, count: count)
        var test = CodecUnderTest()
        #expect(test.receive(ClientFrame.binary(payload)) == .ok)
        #expect(test.received == payload)
        var header: [UInt8] = []
        WebSocketCodec.header(payloadCount: count, into: &header)
        #expect(header == Array(ClientFrame.make(2, payload, mask: nil).prefix(header.count)))
        #expect(header.count == (count < 126 ? 2 : count < 65_536 ? 4 : 10))
    }

    // MARK: Faults

    /// A fault, and the code that the client is told.
    private static let faults: [(String, [UInt8], UInt16)] = [
        ("no mask", ClientFrame.make(2, [1], mask: nil), 1002),
        ("no mask on a ping", ClientFrame.make(9, [], mask: nil), 1002),
        ("RSV1", ClientFrame.make(2, [1], reserved: 0x40), 1002),
        ("RSV2", ClientFrame.make(2, [1], reserved: 0x20), 1002),
        ("RSV3 on a close", ClientFrame.make(8, [], reserved: 0x10), 1002),
        ("opcode 3", ClientFrame.make(3), 1002),
        ("opcode 7", ClientFrame.make(7), 1002),
        ("opcode 11", ClientFrame.make(11), 1002),
        ("opcode 15", ClientFrame.make(15), 1002),
        ("text", ClientFrame.make(1, Array("hi".utf8)), 1003),
        ("fragment of a text", ClientFrame.make(1, Array("hi".utf8), isFinal: false), 1003),
        ("ping of 126 bytes", ClientFrame.ping([UInt8](repeating: 0, count: 126)), 1002),
        ("close of 126 bytes", ClientFrame.make(8, [UInt8](repeating: 0, count: 126)), 1002),
        ("ping with a 64-bit length", [0x89, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], 1002),
        ("fragmented ping", ClientFrame.make(9, [], isFinal: false), 1002),
        ("fragmented close", ClientFrame.make(8, [], isFinal: false), 1002),
        ("continuation first", ClientFrame.make(0, [1]), 1002),
        ("continuation after a whole message", ClientFrame.binary([1]) + ClientFrame.make(0, [2]), 1002),
        ("new message inside a fragmented one", ClientFrame.make(2, [1], isFinal: false) + ClientFrame.binary([2]), 1002),
        ("length with its first bit set", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4], 1002),
        ("16-bit length of 125", [0x82, 0xFE, 0, 125, 1, 2, 3, 4], 1002),
        ("64-bit length of 65,535", [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4], 1002),
        ("frame of 2^40 bytes", [0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
        ("frame one byte above the limit", [0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4], 1009),
        ("close with half a code", ClientFrame.make(8, [3]), 1002),
        ("close with a code of ours", ClientFrame.close(1005), 1002),
        ("close with 1006", ClientFrame.close(1006), 1002),
        ("close with 1015", ClientFrame.close(1015), 1002),
        ("close with 999", ClientFrame.close(999), 1002),
        ("close with 1004", ClientFrame.close(1004), 1002),
        ("close with 2999", ClientFrame.close(2999), 1002),
        ("close with 5000", ClientFrame.close(5000), 1002),
        ("close whose reason is not UTF-8", ClientFrame.close(1000, reason: [0xC0, 0x80]), 1007),
    ]

    @Test("a fault ends the connection with its code, and costs no memory", arguments: faults)
    func fault(name: String, wire: [UInt8], code: UInt16) {
        for step in [wire.count, 1] {
            var test = CodecUnderTest()
            var rest = wire[...]
            while !rest.isEmpty, test.outcome == .ok {
                test.receive(rest.prefix(step))
                rest = rest.dropFirst(step)
            }
            #expect(test.closeCode == code, "\(name): \(test.outcome)")
            #expect(test.replies == [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)])
            #expect(test.payload.capacity <= 64)
            // What comes afterwards is nobody's.
            #expect(test.receive(ClientFrame.binary([7]) + ClientFrame.ping()) == .closed(WebSocketCloseCode(rawValue: code)))
            #expect(test.replies.count == 4 && !test.received.contains(7))
        }
    }

    @Test("a fault is told with its first two bytes, nothing more is awaited")
    func early() {
        var test = CodecUnderTest()
        test.receive([0xC2])
        #expect(test.closeCode == 1002)
        test = CodecUnderTest()
        test.receive([0x82, 0x05])
        #expect(test.closeCode == 1002)
    }

    @Test("payload before a fault is delivered")
    func before() {
        var test = CodecUnderTest()
        test.receive(ClientFrame.binary([1, 2, 3]) + ClientFrame.make(1))
        #expect(test.received == [1, 2, 3] && test.closeCode == 1003)
    }

    // MARK: Control frames

    @Test("a ping is answered with its payload, in the middle of a message as well")
    func ping() {
        var test = CodecUnderTest()
        let payload = Array(numbers[..<125])
        test.receive(ClientFrame.make(2, [1], isFinal: false) + ClientFrame.ping(payload) + ClientFrame.make(0, [2]))
        #expect(test.outcome == .ok && test.received == [1, 2] && test.replies == [0x8A, 125] + payload)
    }

    @Test("a flood of pings or pongs ends in 1008 after as many answers as a second has", arguments: [UInt8(9), 10])
    func flood(opcode: UInt8) {
        var test = CodecUnderTest(WebSocketCodec(maxFrameBytes: 100, maxControlsPerSecond: 20))
        test.receive((0..<20).flatMap { _ in ClientFrame.make(opcode, [1]) })
        #expect(test.outcome == .ok)
        test.now += 1000
        test.receive((0..<20).flatMap { _ in ClientFrame.make(opcode, [1]) })
        #expect(test.outcome == .ok)
        test.receive((0..<1000).flatMap { _ in ClientFrame.make(opcode, [1]) })
        #expect(test.closeCode == 1008)
        #expect(test.replies.count == (opcode == 9 ? 40 * 3 : 0) + 4)
    }

    @Test("endless empty fragments end in 1008; a few are let pass")
    func emptyFragments() {
        var test = CodecUnderTest()
        test.receive(ClientFrame.make(2, [], isFinal: false))
        for _ in 0..<5 {
            test.receive((0..<WebSocketCodec.maxEmptyFrames - 1).flatMap { _ in ClientFrame.make(0, [], isFinal: false) })
            test.receive(ClientFrame.make(0, [1], isFinal: false))
        }
        #expect(test.outcome == .ok && test.received == [1, 1, 1, 1, 1])
        test.receive((0...WebSocketCodec.maxEmptyFrames).flatMap { _ in ClientFrame.make(0, [], isFinal: false) })
        #expect(test.closeCode == 1008)
    }

    @Test("a flood of fragments of one byte is a stream of bytes, and takes no more memory than they need")
    func fragments() {
        var test = CodecUnderTest()
        test.receive(ClientFrame.make(2, [0], isFinal: false))
        let flood = (0..<1000).flatMap { _ in ClientFrame.make(0, [5], isFinal: false) }
        for _ in 0..<100 {
            test.receive(flood)
            #expect(test.payload.readableBytes <= 1001)
            test.payload.clear()
        }
        #expect(test.outcome == .ok && test.payload.capacity <= 4096)
    }

    @Test("a close is answered with its code", arguments: [1000, 1001, 1003, 1007, 1011, 3000, 4999] as [UInt16])
    func close(code: UInt16) {
        var test = CodecUnderTest()
        #expect(test.receive(ClientFrame.close(code, reason: Array("Grüße".utf8))) == .closed(WebSocketCloseCode(rawValue: code)))
        #expect(test.replies == [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)])
    }

    @Test("a close without a code is answered without one")
    func closeWithoutCode() {
        var test = CodecUnderTest()
        #expect(test.receive(ClientFrame.make(8)) == .closed(.noStatus))
        #expect(test.replies == [0x88, 0])
    }

    @Test("after our close frame nothing more is said: no second one, no pong, no answer to the client's")
    func closeFromHere() {
        var test = CodecUnderTest()
        test.codec.close(.goingAway, into: &test.replies)
        test.codec.close(.normal, into: &test.replies)
        #expect(test.replies == [0x88, 2, 0x03, 0xE9])
        #expect(test.receive(ClientFrame.ping([1]) + ClientFrame.binary([2])) == .ok)
        #expect(test.receive(ClientFrame.close(1001)) == .closed(.goingAway))
        #expect(test.replies.count == 4)
        test = CodecUnderTest()
        test.codec.close(.normal, into: &test.replies)
        test.receive(ClientFrame.make(1))
        #expect(test.closeCode == 1003 && test.replies.count == 4)
    }

    @Test("the codec of an idle connection is at most 40 bytes and holds nothing else")
    func memory() {
        #expect(MemoryLayout<WebSocketCodec>.size <= 40)
    }
}
