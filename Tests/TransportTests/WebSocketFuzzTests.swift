import NIOCore
import Testing

@testable import Transport

@Suite("WebSocket frames by chance")
struct WebSocketFuzzTests {
    /// Runs `wire` through a codec in random pieces.
    private func run(_ wire: [UInt8], _ random: inout SeededGenerator) -> CodecUnderTest {
        var test = CodecUnderTest(WebSocketCodec(maxFrameBytes: 5_000, maxControlsPerSecond: 1_000))
        var rest = wire[...]
        while !rest.isEmpty, test.outcome == .ok {
            let count = Int.random(in: 1...max(1, min(rest.count, Bool.random(using: &random) ? 8 : 2_000)), using: &random)
            test.receive(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return test
    }

    @Test("random messages in random frames and pieces come out as they went in", arguments: 1...8)
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            var wire: [UInt8] = []
            var expected: [UInt8] = []
            var pongs: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let frames = Int.random(in: 1...4, using: &random)
                for frame in 0..<frames {
                    let payload = random.bytes(Int.random(in: 0...(Bool.random(using: &random) ? 30 : 700), using: &random))
                    expected += payload
                    wire += ClientFrame.make(frame == 0 ? 2 : 0, payload, mask: random.bytes(4), isFinal: frame == frames - 1)
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        let ping = random.bytes(Int.random(in: 0...125, using: &random))
                        wire += ClientFrame.make(9, ping, mask: random.bytes(4))
                        pongs += [0x8A, UInt8(ping.count)] + ping
                    }
                }
            }
            let test = run(wire, &random)
            #expect(test.outcome == .ok && test.received == expected && test.replies == pongs)
        }
    }

    @Test("random and damaged bytes neither crash it nor make it take memory", arguments: 1...8)
    func damaged(seed: UInt64) {
        var random = SeededGenerator(seed: seed &+ 1_000)
        for _ in 0..<2_000 {
            var wire: [UInt8]
            if Bool.random(using: &random) {
                wire = random.bytes(Int.random(in: 0...200, using: &random))
            } else {
                wire =
                    ClientFrame.make(2, random.bytes(40), isFinal: false) + ClientFrame.ping([1, 2])
                    + ClientFrame.make(0, random.bytes(300))
                    + ClientFrame.close(1000)
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    wire[Int.random(in: 0..<wire.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                wire.removeLast(Int.random(in: 0..<wire.count, using: &random))
            }
            let test = run(wire, &random)
            #expect(test.payload.readableBytes <= wire.count && test.payload.capacity <= 1024)
            #expect(test.replies.count <= wire.count + 4)
        }
    }
}
