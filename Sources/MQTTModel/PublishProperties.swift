/// A name and value from a User Property (MQTT 5.0 section 3.3.2.3.7). Names may repeat; order is kept.
public struct UserProperty: Hashable, Sendable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The properties of a PUBLISH that a server hands on to subscribers (MQTT 5.0 section 3.3.2.3). Topic alias and
/// subscription identifiers belong to one connection, the message expiry interval to the message itself.
public struct PublishProperties: Hashable, Sendable {
    /// Payload Format Indicator 1: the payload is UTF-8 text.
    public var payloadIsUTF8: Bool?
    public var contentType: String?
    public var responseTopic: String?
    public var correlationData: [UInt8]?
    public var userProperties: [UserProperty]

    public init(
        payloadIsUTF8: Bool? = nil, contentType: String? = nil, responseTopic: String? = nil,
        correlationData: [UInt8]? = nil, userProperties: [UserProperty] = []
    ) {
        self.payloadIsUTF8 = payloadIsUTF8
        self.contentType = contentType
        self.responseTopic = responseTopic
        self.correlationData = correlationData
        self.userProperties = userProperties
    }

    public var isEmpty: Bool { self == PublishProperties() }

    /// Reads the wire form (identifier, value, …; without the length in front).
    ///
    /// The bytes come from a PUBLISH whose properties have been checked, or from `encoded`. Reading stops at the first
    /// byte that is none of these properties, so that damaged bytes give fewer properties and never a trap.
    public init(encoded bytes: UnsafeRawBufferPointer) {
        self.init()
        var index = 0
        func field() -> UnsafeRawBufferPointer? {
            guard index + 2 <= bytes.count else { return nil }
            let length = Int(bytes[index]) << 8 | Int(bytes[index + 1])
            guard index + 2 + length <= bytes.count else { return nil }
            defer { index += 2 + length }
            return UnsafeRawBufferPointer(rebasing: bytes[(index + 2)..<(index + 2 + length)])
        }
        while index < bytes.count {
            let identifier = bytes[index]
            index += 1
            switch identifier {
            case 0x01:
                guard index < bytes.count else { return }
                payloadIsUTF8 = bytes[index] == 1
                index += 1
            case 0x03:
                guard let value = field() else { return }
                contentType = String(decoding: value, as: UTF8.self)
            case 0x08:
                guard let value = field() else { return }
                responseTopic = String(decoding: value, as: UTF8.self)
            case 0x09:
                guard let value = field() else { return }
                correlationData = Array(value)
            case 0x26:
                guard let name = field(), let value = field() else { return }
                userProperties.append(UserProperty(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
            default:
                return
            }
        }
    }

    /// The wire form, without the length in front. Texts above 65,535 bytes are the caller's mistake and are cut.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        func put(_ identifier: UInt8?, _ bytes: some Collection<UInt8>) {
            if let identifier { out.append(identifier) }
            let length = min(bytes.count, 65_535)
            out.append(UInt8(length >> 8))
            out.append(UInt8(length & 0xFF))
            out.append(contentsOf: bytes.prefix(length))
        }
        if let payloadIsUTF8 { out += [0x01, payloadIsUTF8 ? 1 : 0] }
        if let contentType { put(0x03, contentType.utf8) }
        if let responseTopic { put(0x08, responseTopic.utf8) }
        if let correlationData { put(0x09, correlationData) }
        for property in userProperties {
            put(0x26, property.name.utf8)
            put(nil, property.value.utf8)
        }
        return out
    }
}
