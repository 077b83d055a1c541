/// Base64 of RFC 4648, strict: no blanks, no foreign characters, no stray bits, padding exactly as the form has it.
///
/// Strict because a lax reader lets one value have many spellings, and a signed token must have one.
package enum Base64 {
    package enum Form: Sendable {
        /// `+ /`, padded: password files of Mosquitto, PEM.
        case standard
        /// `+ /`, no padding: strings of Argon2.
        case standardUnpadded
        /// `- _`, no padding: JOSE (RFC 7515 section 2).
        case url
    }

    /// - Returns: `nil` when the text is not Base64 of this form.
    package static func decode(_ text: some BidirectionalCollection<UInt8>, _ form: Form) -> [UInt8]? {
        var text = text[...]
        if form == .standard {
            guard text.count % 4 == 0 else { return nil }
            var padding = 0
            while padding < 2, text.last == UInt8(ascii: "=") {
                text = text.dropLast()
                padding += 1
            }
            guard (text.count + padding) % 4 == 0 else { return nil }
        }
        guard text.count % 4 != 1 else { return nil }
        let table = form == .url ? urlValues : standardValues
        var out: [UInt8] = []
        out.reserveCapacity(text.count * 3 / 4)
        var bits: UInt32 = 0
        var count = 0
        for character in text {
            let value = table[Int(character)]
            guard value < 64 else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        guard bits & (1 << UInt32(count) - 1) == 0 else { return nil }
        return out
    }

    package static func encode(_ bytes: some Collection<UInt8>, _ form: Form) -> String {
        let alphabet = form == .url ? urlAlphabet : standardAlphabet
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count * 4 / 3 + 4)
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                out.append(alphabet[Int(bits >> UInt32(count) & 63)])
            }
        }
        if count > 0 { out.append(alphabet[Int(bits << UInt32(6 - count) & 63)]) }
        if form == .standard { while out.count % 4 != 0 { out.append(UInt8(ascii: "=")) } }
        return String(decoding: out, as: UTF8.self)
    }

    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    private static let standardAlphabet = letters + Array("+/".utf8)
    private static let urlAlphabet = letters + Array("-_".utf8)
    private static let standardValues = values(of: standardAlphabet)
    private static let urlValues = values(of: urlAlphabet)

    private static func values(of alphabet: [UInt8]) -> [UInt8] {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }
}
