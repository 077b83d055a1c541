import Foundation
import MQTTModel
import MQTTWire
import Testing

/// Mutates legal packets and feeds them to every decoder. A trap ends the process: the seed printed at the start and given
/// as HEADWATER_FUZZ_SEED brings it back. HEADWATER_FUZZ_SECONDS says how long (default 5).
@Suite("Fuzz")
struct FuzzTests {
    @Test("mutated packets never trap, take bounded memory, and what decodes survives encoding")
    func mutants() {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["HEADWATER_FUZZ_SECONDS"].flatMap(Double.init) ?? 5
        let seed = environment["HEADWATER_FUZZ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        print("fuzz seed: \(seed)")
        var mutator = Mutator(seed: seed)
        let residentBefore = residentBytes()
        let end = ContinuousClock.now + .seconds(seconds)
        var rounds = 0
        while rounds % 64 != 0 || ContinuousClock.now < end {
            rounds += 1
            let input = mutator.next()
            if let fault = Self.fault(of: input) {
                Issue.record("seed \(seed), round \(rounds): \(fault): \(hex(input))")
                return
            }
        }
        #expect(rounds > 0)
        // Inputs are at most some 40 kB; a length believed would show as far more than this.
        #expect(residentBytes() - residentBefore < 200_000_000)
    }

    /// Lengths that lie, one for each place where a decoder could believe them. What the fuzzer finds is added here.
    @Test("lengths that lie are harmless", arguments: [
        "30 FF FF FF 7F", "82 FF FF FF 7F 00 01", "10 02 FF FF", "32 04 FF FF 00 01", "30 05 00 00 FF FF FF", "F0 02 18 FF",
    ])
    func lies(text: String) {
        #expect(Self.fault(of: wire(text)) == nil)
    }

    /// What is wrong with how `input` is treated; `nil` if nothing.
    static func fault(of input: [UInt8]) -> String? {
        input.withUnsafeBytes { raw in
            var offset = 0
            while true {
                switch readFrame(raw, at: offset, maxPacketBytes: 100_000) {
                case .malformed: return nil
                case .needMore(let totalBytes):
                    return totalBytes > 100_000 || (totalBytes != 0 && totalBytes <= raw.count - offset) ? "wrong needMore" : nil
                case .frame(let frame):
                    guard frame.end > offset + 1, frame.end <= raw.count, frame.bodyStart <= frame.end else { return "wrong frame" }
                    for version in ProtocolVersion.allCases {
                        for peer in Peer.allCases {
                            if let fault = fault(of: frame, in: raw, version, peer) { return "\(fault) (\(version), \(peer))" }
                        }
                    }
                    offset = frame.end
                }
            }
        }
    }

    private static func fault(of frame: Frame, in raw: UnsafeRawBufferPointer, _ version: ProtocolVersion, _ peer: Peer) -> String? {
        let body = frame.body(in: raw)
        let limits = DecodeLimits(maxUserProperties: 50, maxFiltersPerPacket: 50)
        var decoded: Packet?
        var error: DecodeError?
        do throws(DecodeError) {
            decoded = try decodePacket(firstByte: frame.firstByte, body: body, version: version, limits: limits, from: peer)
        } catch let thrown {
            error = thrown
            if !thrown.reasonCode.isError || thrown.description.isEmpty { return "error without a name" }
            if frame.type == 1 { _ = Connect.refusalVersion(thrown, body: body) }
        }
        if frame.type == 3, let fault = publishFault(frame, body, version, peer, limits, decoded, error) { return fault }
        if (4...7).contains(frame.type) {
            switch AcknowledgementFields.parse(firstByte: frame.firstByte, body: body, version: version, limits: limits, from: peer) {
            case .fields(let fields): if decoded?.acknowledgement?.packetID != fields.packetID { return "acknowledgements differ" }
            case .malformed(let other): if error != other { return "acknowledgement errors differ" }
            }
        }
        guard let decoded else { return nil }
        let encoded = encode(decoded, version)
        guard let again = try? decode(encoded, version, from: peer, limits: limits) else { return "does not decode again" }
        if again != decoded { return "decodes to another packet" }
        if encode(again, version) != encoded { return "encodes to other bytes" }
        return encoded.count > frame.end ? "encodes longer than it was" : nil
    }

    /// The form in place and the general form agree, and an image of the one decodes to the other.
    private static func publishFault(
        _ frame: Frame, _ body: UnsafeRawBufferPointer, _ version: ProtocolVersion, _ peer: Peer, _ limits: DecodeLimits,
        _ decoded: Packet?, _ error: DecodeError?
    ) -> String? {
        switch PublishFields.parse(firstByte: frame.firstByte, body: body, version: version, limits: limits, fromClient: peer == .client) {
        case .malformed(let other):
            return error == other ? nil : "PUBLISH errors differ"
        case .fields(let fields):
            _ = fields.payloadMatchesFormat()
            var travelling: [UInt8] = []
            PublishFields.travellingProperties(fields.properties, into: &travelling)
            if fields.propertiesTravelWhole != (travelling.count == fields.properties.count) { return "wrong propertiesTravelWhole" }
            guard case .publish(var expected)? = decoded else {
                // Only the topic's text, which the form in place leaves alone, may make the difference.
                return error == .invalidUTF8 || error == .topicNameInvalid ? nil : "PUBLISH forms differ"
            }
            let out = travelling.withUnsafeBytes { properties in
                let image = PublishImage(
                    isV5: version == .v5, firstByte: frame.firstByte, topic: fields.topic, packetID: fields.packetID,
                    expirySeconds: fields.expirySeconds, topicAlias: fields.topicAlias, properties: properties, payload: fields.payload)
                var out = [UInt8](repeating: 0, count: image.encodedSize)
                let written = out.withUnsafeMutableBytes { image.write(to: $0.baseAddress!) }
                return written == out.count ? out : []
            }
            expected.subscriptionIDs = []
            return (try? decode(out, version, from: peer, limits: limits)) == .publish(expected) ? nil : "image differs"
        }
    }

    private func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * 4096
    }
}

extension Packet {
    fileprivate var acknowledgement: Acknowledgement? {
        switch self {
        case .pubAck(let value), .pubRec(let value), .pubRel(let value), .pubComp(let value): value
        default: nil
        }
    }
}

/// Makes damaged packets out of legal ones.
struct Mutator {
    private var generator: PacketGenerator
    init(seed: UInt64) { generator = PacketGenerator(seed: seed) }

    mutating func next() -> [UInt8] {
        var bytes = legal()
        for _ in 0..<(1 + generator.random.below(4)) { mutate(&bytes) }
        // Mostly with a length that fits, or few mutants would get past the framing.
        if generator.random.chance(70), bytes.count >= 2 {
            bytes = framed(bytes[0], Array(bytes.dropFirst(headerLength(bytes))))
        }
        if generator.random.chance(10) { bytes += legal() }
        return bytes
    }

    private mutating func legal() -> [UInt8] {
        if generator.random.chance(20) { return GoldenPacket.all[generator.random.below(GoldenPacket.all.count)].bytes }
        let version = ProtocolVersion.allCases[generator.random.below(3)]
        return encode(generator.packet(version).0, version)
    }

    private func headerLength(_ bytes: [UInt8]) -> Int {
        var length = 1
        while length < min(5, bytes.count), bytes[length] >= 0x80 { length += 1 }
        return min(length + 1, bytes.count)
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes = legal() }
        let index = generator.random.below(bytes.count)
        switch generator.random.below(9) {
        case 0: bytes[index] ^= 1 << UInt8(generator.random.below(8))
        case 1: bytes[index] = [0x00, 0x01, 0x7F, 0x80, 0xFF, 0x26, 0x23, 0x0B, 0xC0][generator.random.below(9)]
        case 2: bytes.removeSubrange(index...)
        case 3: bytes.remove(at: index)
        case 4: bytes.insert(UInt8(truncatingIfNeeded: generator.random.next()), at: index)
        case 5:  // a length field, as likely as not
            bytes[index] = bytes[index] &+ UInt8(truncatingIfNeeded: generator.random.below(5) - 2)
        case 6:  // a piece twice
            let piece = bytes[index..<min(bytes.count, index + 1 + generator.random.below(12))]
            bytes.insert(contentsOf: piece, at: index)
        case 7:  // the tail of another packet
            bytes.removeSubrange(index...)
            let other = legal()
            bytes += other.suffix(generator.random.below(other.count + 1))
        default: bytes.swapAt(index, generator.random.below(bytes.count))
        }
    }
}
