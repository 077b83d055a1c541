import MQTTModel

/// A PUBLISH about to be written: the hot path's form of encoding. Borrows its bytes; allocates nothing.
///
/// One image can be written once and copied for every receiver of a fan-out with the same layout: then the first byte
/// and the two bytes at `packetIDOffset` are patched.
@usableFromInline
package struct PublishImage {
    @usableFromInline package var isV5: Bool
    /// Type and flags, 0x30…0x3D. Its QoS decides whether there is a packet identifier.
    @usableFromInline package var firstByte: UInt8
    /// At most 65,535 bytes. May be empty where `topicAlias` stands for it.
    @usableFromInline package var topic: UnsafeRawBufferPointer
    /// Not written with QoS 0.
    @usableFromInline package var packetID: UInt16
    /// Message Expiry Interval, `nil` for none. MQTT 5 only, like all that follows but the payload.
    @usableFromInline package var expirySeconds: UInt32?
    /// 0 for none.
    @usableFromInline package var topicAlias: UInt16
    /// Each 1…268,435,455.
    @usableFromInline package var subscriptionIDs: [UInt32]?
    /// Properties that travel, in wire form without length.
    @usableFromInline package var properties: UnsafeRawBufferPointer
    @usableFromInline package var payload: UnsafeRawBufferPointer

    @inlinable
    package init(
        isV5: Bool, firstByte: UInt8, topic: UnsafeRawBufferPointer, packetID: UInt16 = 0, expirySeconds: UInt32? = nil,
        topicAlias: UInt16 = 0, subscriptionIDs: [UInt32]? = nil,
        properties: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), payload: UnsafeRawBufferPointer
    ) {
        self.isV5 = isV5
        self.firstByte = firstByte
        self.topic = topic
        self.packetID = packetID
        self.expirySeconds = expirySeconds
        self.topicAlias = topicAlias
        self.subscriptionIDs = subscriptionIDs
        self.properties = properties
        self.payload = payload
    }

    /// The first byte of a PUBLISH.
    @inlinable
    package static func firstByte(qos: QoS, retain: Bool, dup: Bool = false) -> UInt8 {
        let qosBits: UInt8
        switch qos {
        case .atMostOnce: qosBits = 0b0000
        case .atLeastOnce: qosBits = 0b0010
        case .exactlyOnce: qosBits = 0b0100
        }
        return 0x30 | qosBits | (retain ? 0b0001 : 0) | (dup ? 0b1000 : 0)
    }

    @inlinable var hasPacketID: Bool { firstByte & 0b0110 != 0 }

    /// Bytes of the property block without its length.
    @inlinable
    var propertiesLength: Int {
        var length = properties.count
        if expirySeconds != nil { length &+= 5 }
        if topicAlias != 0 { length &+= 3 }
        if let subscriptionIDs {
            for id in subscriptionIDs { length &+= 1 &+ VariableByteInteger.size(of: Int(id)) }
        }
        return length
    }

    @inlinable
    func remainingLength(propertiesLength: Int) -> Int {
        var length = 2 &+ topic.count &+ payload.count
        if hasPacketID { length &+= 2 }
        if isV5 { length &+= VariableByteInteger.size(of: propertiesLength) &+ propertiesLength }
        return length
    }

    /// Size of the whole packet in bytes. What is larger than the receiver's Maximum Packet Size, or than 268,435,460,
    /// the largest packet of all, may not be written.
    @inlinable
    package var encodedSize: Int {
        let remaining = remainingLength(propertiesLength: isV5 ? propertiesLength : 0)
        return 1 &+ VariableByteInteger.size(of: remaining) &+ remaining
    }

    /// Offset of the packet identifier in the encoded bytes, -1 with QoS 0.
    @inlinable
    package var packetIDOffset: Int {
        guard hasPacketID else { return -1 }
        let remaining = remainingLength(propertiesLength: isV5 ? propertiesLength : 0)
        return 1 &+ VariableByteInteger.size(of: remaining) &+ 2 &+ topic.count
    }

    /// Writes the packet to `target`, which has room for `encodedSize` bytes, and returns that size.
    @inlinable
    package func write(to target: UnsafeMutableRawPointer) -> Int {
        let propertiesLength = isV5 ? self.propertiesLength : 0
        var end = target
        end.storeBytes(of: firstByte, as: UInt8.self)
        end += 1
        end += VariableByteInteger.write(remainingLength(propertiesLength: propertiesLength), to: end)
        end.storeBytes(of: UInt16(truncatingIfNeeded: topic.count).bigEndian, as: UInt16.self)
        end += 2
        Self.copy(topic, to: &end)
        if hasPacketID {
            end.storeBytes(of: packetID.bigEndian, as: UInt16.self)
            end += 2
        }
        if isV5 {
            end += VariableByteInteger.write(propertiesLength, to: end)
            if propertiesLength != properties.count { writeOwnProperties(to: &end) }
            Self.copy(properties, to: &end)
        }
        Self.copy(payload, to: &end)
        return end - target
    }

    /// Writes the properties that belong to this receiver or to this moment.
    @inlinable
    func writeOwnProperties(to end: inout UnsafeMutableRawPointer) {
        if topicAlias != 0 {
            end.storeBytes(of: 0x23, as: UInt8.self)
            (end + 1).storeBytes(of: topicAlias.bigEndian, as: UInt16.self)
            end += 3
        }
        if let expirySeconds {
            end.storeBytes(of: 0x02, as: UInt8.self)
            (end + 1).storeBytes(of: expirySeconds.bigEndian, as: UInt32.self)
            end += 5
        }
        if let subscriptionIDs {
            for id in subscriptionIDs {
                end.storeBytes(of: 0x0B, as: UInt8.self)
                end += 1
                end += VariableByteInteger.write(Int(id), to: end)
            }
        }
    }

    @inlinable
    static func copy(_ bytes: UnsafeRawBufferPointer, to end: inout UnsafeMutableRawPointer) {
        guard let base = bytes.baseAddress else { return }
        end.copyMemory(from: base, byteCount: bytes.count)
        end += bytes.count
    }
}
