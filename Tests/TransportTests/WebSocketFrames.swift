import NIOCore

@testable import Transport

/// Frames as a client makes them, right ones and wrong ones.
enum ClientFrame {
    static func make(
        _ opcode: UInt8, _ payload: [UInt8] = [], mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D], isFinal: Bool = true, reserved: UInt8 = 0
    ) -> [UInt8] {
        var frame: [UInt8] = [(isFinal ? 0x80 : 0) | reserved | opcode]
        let marker: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ..<126: frame.append(marker | UInt8(payload.count))
        case ...0xFFFF: frame += [marker | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: frame += [marker | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        guard let mask else { return frame + payload }
        frame += mask
        return frame + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    static func binary(_ payload: [UInt8]) -> [UInt8] { make(2, payload) }
    static func ping(_ payload: [UInt8] = []) -> [UInt8] { make(9, payload) }
    static func close(_ code: UInt16, reason: [UInt8] = []) -> [UInt8] { make(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + reason) }
}

/// A codec with what it has given so far.
struct CodecUnderTest {
    var codec: WebSocketCodec
    var payload = ByteBuffer()
    var replies: [UInt8] = []
    var outcome = WebSocketOutcome.ok
    var now: UInt64 = 1_000_000

    init(_ codec: WebSocketCodec = WebSocketCodec(maxFrameBytes: 1 << 20)) { self.codec = codec }

    @discardableResult
    mutating func receive(_ bytes: some Collection<UInt8>) -> WebSocketOutcome {
        outcome = Array(bytes).withUnsafeBytes { codec.receive($0, nowMilliseconds: now, payload: &payload, replies: &replies) }
        return outcome
    }

    var received: [UInt8] { Array(payload.readableBytesView) }
    var closeCode: UInt16? { if case .failed(let code, _) = outcome { code.rawValue } else { nil } }
}

/// Swift's own generator can't be seeded, and a failure that nobody can repeat is worth little.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) } }
}
