import MQTTModel

/// W3C Trace Context: the `traceparent` and `tracestate` that let a trace go on behind Kafka.
///
/// A publisher's are passed on unchanged when they are sound, so that the consumer's span has the publisher's as parent.
/// Unsound ones are left out: the specification has every reader discard them.
enum TraceContext {
    static let parentName = "traceparent"
    static let stateName = "tracestate"

    static func isTraceHeader(_ name: String) -> Bool { name == parentName || name == stateName }

    /// Whether a message with these properties carries a trace: one `traceparent`, and a sound one.
    static func isCarried(by properties: [UserProperty]) -> Bool {
        var parents = 0
        for property in properties where property.name == parentName {
            parents += 1
            guard isSound(parent: property.value) else { return false }
        }
        return parents == 1
    }

    /// Version 00 (section 3.2.2 of the specification), or a later one, which may have more fields behind.
    static func isSound(parent: String) -> Bool {
        let bytes = Array(parent.utf8)
        let dash = UInt8(ascii: "-")
        guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash else { return false }
        let version = bytes[0..<2], trace = bytes[3..<35], span = bytes[36..<52], flags = bytes[53..<55]
        guard (version + trace + span + flags).allSatisfy(isLowerHex), !version.elementsEqual("ff".utf8) else { return false }
        let isFirstVersion = version.elementsEqual("00".utf8)
        guard bytes.count == 55 || !isFirstVersion && bytes[55] == dash else { return false }
        return trace.contains { $0 != zero } && span.contains { $0 != zero }
    }

    /// What may pass as `tracestate`: its members are the tracing systems' business, but it is one line of ASCII.
    static func isSound(state: String) -> Bool { !state.isEmpty && state.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    /// A trace that begins here: random identifiers, sampled.
    static func newParent() -> String {
        "00-\(hex(.random(in: .min ... .max)))\(hex(.random(in: 1 ... .max)))-\(hex(.random(in: 1 ... .max)))-01"
    }

    private static let zero = UInt8(ascii: "0")

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        (zero...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
