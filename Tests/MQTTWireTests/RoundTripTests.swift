import MQTTModel
import MQTTWire
import Testing

@Suite("Round trips")
struct RoundTripTests {
    @Test("a packet that is encoded and decoded is the same packet", arguments: ProtocolVersion.allCases)
    func roundTrip(version: ProtocolVersion) throws {
        for seed in UInt64(1)...3_000 {
            var generator = PacketGenerator(seed: seed)
            let (packet, peer) = generator.packet(version)
            let bytes = encode(packet, version)
            let decoded = try decode(bytes, version, from: peer)
            // Swift compares text by canonical equivalence; the bytes say whether it is the very same.
            #expect(decoded == packet && encode(decoded, version) == bytes, "seed \(seed): \(packet)")
        }
    }
}
