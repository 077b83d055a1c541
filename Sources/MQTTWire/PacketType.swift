import MQTTModel

/// The fourteen packets of MQTT 3 and AUTH of MQTT 5 (MQTT 5.0 section 2.1.2): who may send them, with which flags.
@usableFromInline
package enum PacketType: UInt8, Sendable, CaseIterable {
    case connect = 1
    case connAck = 2
    case publish = 3
    case pubAck = 4
    case pubRec = 5
    case pubRel = 6
    case pubComp = 7
    case subscribe = 8
    case subAck = 9
    case unsubscribe = 10
    case unsubAck = 11
    case pingReq = 12
    case pingResp = 13
    case disconnect = 14
    case auth = 15

    /// The first byte of a packet of this type. A PUBLISH adds its own flags.
    @inlinable package var firstByte: UInt8 { rawValue &<< 4 | fixedFlags }

    /// The flags that the specification fixes [MQTT-2.1.3-1].
    @inlinable
    package var fixedFlags: UInt8 {
        switch self {
        case .pubRel, .subscribe, .unsubscribe: 0b0010
        default: 0
        }
    }

    /// Whether `flags`, the lower half of the first byte, may stand there. Of a PUBLISH, `PublishFields` knows more.
    func allows(flags: UInt8, version: ProtocolVersion) -> Bool {
        if self == .publish || flags == fixedFlags { return true }
        // MQTT 3.1 (sections 3.6, 3.8, 3.10) has a DUP flag where later versions have a reserved bit.
        return version == .v3_1 && fixedFlags != 0 && flags == fixedFlags | 0b1000
    }

    func maySend(_ peer: Peer, version: ProtocolVersion) -> Bool {
        switch self {
        case .connect, .subscribe, .unsubscribe, .pingReq: peer == .client
        case .connAck, .subAck, .unsubAck, .pingResp: peer == .server
        case .publish, .pubAck, .pubRec, .pubRel, .pubComp: true
        case .disconnect: peer == .client || version == .v5
        case .auth: version == .v5
        }
    }

    /// Whether an MQTT 5 packet of this type may carry `reason` when `peer` sends it (the tables of MQTT 5.0 chapter 3).
    func allows(_ reason: ReasonCode, from peer: Peer) -> Bool {
        switch (self, reason.rawValue) {
        case (.connAck, 0x00), (.connAck, 0x80...0x8A), (.connAck, 0x8C), (.connAck, 0x90), (.connAck, 0x95),
            (.connAck, 0x97), (.connAck, 0x99...0x9D), (.connAck, 0x9F):
            true
        case (.pubAck, let code), (.pubRec, let code):
            switch code {
            case 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99: true
            default: false
            }
        case (.pubRel, 0x00), (.pubRel, 0x92), (.pubComp, 0x00), (.pubComp, 0x92): true
        case (.subAck, let code):
            switch code {
            case 0x00...0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2: true
            default: false
            }
        case (.unsubAck, let code):
            switch code {
            case 0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91: true
            default: false
            }
        case (.disconnect, let code):
            switch code {
            case 0x00, 0x80...0x83, 0x90, 0x93...0x99: true
            case 0x04: peer == .client
            case 0x87, 0x89, 0x8B, 0x8D...0x8F, 0x9A...0xA2: peer == .server
            default: false
            }
        case (.auth, 0x00): peer == .server
        case (.auth, 0x18): true
        case (.auth, 0x19): peer == .client
        default: false
        }
    }
}

/// The end of a connection that sent the bytes.
@usableFromInline
package enum Peer: Sendable, CaseIterable {
    case client
    case server
}
