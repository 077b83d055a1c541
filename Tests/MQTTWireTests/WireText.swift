import MQTTModel
import MQTTWire

/// Bytes written as in the specification, hexadecimal, with quoted ASCII in between: `00 04 'MQTT' 05`. `len(…)` would be
/// one step too clever: lengths are written out, as they are what is tested.
func wire(_ text: String) -> [UInt8] {
    var out: [UInt8] = []
    for (index, part) in text.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
        if index % 2 == 1 {
            out += part.utf8
        } else {
            out += part.split(whereSeparator: \.isWhitespace).map { UInt8($0, radix: 16)! }  // a typing error in a test
        }
    }
    return out
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
}

/// A packet of `body` with its fixed header.
func framed(_ firstByte: UInt8, _ body: [UInt8]) -> [UInt8] {
    var length = [UInt8](repeating: 0, count: 4)
    let count = length.withUnsafeMutableBytes { VariableByteInteger.write(body.count, to: $0.baseAddress!) }
    return [firstByte] + length[..<count] + body
}

/// A property block with its length.
func block(_ content: [UInt8]) -> [UInt8] { Array(framed(0, content).dropFirst()) }

/// A string or binary field.
func field(_ content: [UInt8]) -> [UInt8] { [UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content }
func field(_ text: String) -> [UInt8] { field(Array(text.utf8)) }

/// Decodes bytes that are one packet, framing included.
func decode(
    _ bytes: [UInt8], _ version: ProtocolVersion = .v5, from peer: Peer = .client, limits: DecodeLimits = DecodeLimits()
) throws(DecodeError) -> Packet {
    let outcome: Result<Packet, DecodeError> = bytes.withUnsafeBytes { raw in
        do throws(DecodeError) {
            switch readFrame(raw, at: 0, maxPacketBytes: 300_000_000) {
            case .needMore: throw .truncated
            case .malformed(let error): throw error
            case .frame(let frame):
                if frame.end != raw.count { throw .trailingBytes }
                return .success(
                    try decodePacket(
                        firstByte: frame.firstByte, body: frame.body(in: raw), version: version, limits: limits, from: peer))
            }
        } catch {
            return .failure(error)
        }
    }
    return try outcome.get()
}

/// The error that `bytes` give, `nil` if they decode.
func refusal(
    _ bytes: [UInt8], _ version: ProtocolVersion = .v5, from peer: Peer = .client, limits: DecodeLimits = DecodeLimits()
) -> DecodeError? {
    do throws(DecodeError) {
        _ = try decode(bytes, version, from: peer, limits: limits)
        return nil
    } catch {
        return error
    }
}

func encode(_ packet: Packet, _ version: ProtocolVersion) -> [UInt8] {
    var out: [UInt8] = []
    encodePacket(packet, version: version, into: &out)
    return out
}
