import Encodings

/// JSON for an operator's tools, put together of parts.
extension JSONValue {
    /// An object of several parts, one behind the other.
    static func object(_ parts: [JSONValue]) -> JSONValue {
        var all = JSONObject()
        for case .object(let part) in parts {
            for member in part.members where !all.contains(member.name) { all.set(member.name, member.value) }
        }
        return .object(all)
    }

    /// Bytes of a publisher's: a text where they are UTF-8, else base64 under another name.
    static func bytes(_ name: String, _ bytes: [UInt8]?) -> JSONValue {
        guard let bytes else { return [name: .null] }
        if let text = String(validating: bytes, as: UTF8.self) { return [name: .string(text)] }
        return ["\(name)_base64": .string(Base64.encode(bytes, .standard))]
    }
}
