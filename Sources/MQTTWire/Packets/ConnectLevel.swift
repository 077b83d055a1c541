import MQTTModel

/// Protocol Name and Protocol Level (MQTT 5.0 sections 3.1.2.1 and 3.1.2.2), and with them the language in which a
/// CONNECT that did not decode can be answered.
extension Connect {
    static func readLevel(
        from reader: inout PacketReader
    ) throws(DecodeError) -> (version: ProtocolVersion, isBridge: Bool) {
        let name = try reader.binary()
        let isV3_1 = name.elementsEqual("MQIsdp".utf8)
        guard isV3_1 || name.elementsEqual("MQTT".utf8) else { throw .protocolName }
        let level = try reader.byte()
        switch (isV3_1, level) {
        case (true, 0x03): return (.v3_1, false)
        case (true, 0x83): return (.v3_1, true)
        case (false, 0x04): return (.v3_1_1, false)
        case (false, 0x84): return (.v3_1_1, true)
        case (false, 0x05): return (.v5, false)
        default: throw .unsupportedProtocolVersion(level: level)
        }
    }

    /// The version of the CONNACK that answers a CONNECT which failed with `error`; `nil`: close without one.
    ///
    /// An unknown level is always answered: in MQTT 5 if it is above 5, else with return code 1 [MQTT-3.1.2-2]. Of MQTT 5
    /// every error may be answered with its reason code [MQTT-3.1.4-2]; of MQTT 3 only a client identifier that is too
    /// long has a return code, all else closes.
    ///
    /// - Parameter body: The CONNECT without its fixed header.
    package static func refusalVersion(_ error: DecodeError, body: UnsafeRawBufferPointer) -> ProtocolVersion? {
        if case .unsupportedProtocolVersion(let level) = error { return level & 0x7F > 5 ? .v5 : .v3_1_1 }
        var reader = PacketReader(body)
        guard let version = try? readLevel(from: &reader).version else { return nil }
        return version == .v5 || error == .clientIdentifierTooLong ? version : nil
    }
}
