import Encodings
import MQTTModel

/// The value of a record with `RecordValue.json`: the message as one JSON object, for consumers that do not read headers.
///
/// ```json
/// {"topic":"plant/4","client":"pump-7","username":"ann","tenant":"acme","qos":1,"retain":false,"timestamp":1700000000123,
///  "properties":[["unit","bar"]],"payload":{"p":21.5}}
/// ```
/// All members are always there, in this order. `client`, `username` and `tenant` are null where the message has none;
/// `timestamp` is when the broker received it, in milliseconds; `properties` are the user properties as pairs, since MQTT
/// keeps their order and lets names repeat. A payload that is JSON stands there as it is; any other one is
/// `payload_base64` in place of `payload`.
enum JSONEnvelope {
    /// - Parameter payload: Read from this message.
    static func text(of message: Message, _ payload: PayloadValues) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256 + message.topicLength + message.propertiesLength + message.payloadLength * 4 / 3)
        out += #"{"topic":"#.utf8
        put(message.topic, to: &out)
        out += #","client":"#.utf8
        put(message.publisher?.clientID, to: &out)
        out += #","username":"#.utf8
        put(message.publisher?.username, to: &out)
        out += #","tenant":"#.utf8
        put(message.publisher?.tenant, to: &out)
        out += #","qos":\#(message.qos),"retain":\#(message.isRetained),"timestamp":\#(message.received.unixMilliseconds),"properties":["#.utf8
        if message.propertiesLength > 0 {
            for (index, property) in message.properties.userProperties.enumerated() {
                out += (index == 0 ? "[" : ",[").utf8
                put(property.name, to: &out)
                out.append(UInt8(ascii: ","))
                put(property.value, to: &out)
                out.append(UInt8(ascii: "]"))
            }
        }
        message.withParts { _, _, bytes in
            if payload.isJSON {
                out += #"],"payload":"#.utf8
                out += bytes
            } else {
                out += #"],"payload_base64":""#.utf8
                out += Base64.encode(bytes, .standard).utf8
                out.append(UInt8(ascii: "\""))
            }
        }
        out.append(UInt8(ascii: "}"))
        return out
    }

    /// A text as JSON writes it; null for none.
    private static func put(_ text: String?, to out: inout [UInt8]) {
        guard let text else {
            out += "null".utf8
            return
        }
        JSONWriter.quote(text, into: &out)
    }
}
