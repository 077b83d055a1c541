/// The few constructs of DER (X.690) that turn a JSON Web Key into a SubjectPublicKeyInfo and a JOSE signature into one
/// that OpenSSL takes.
enum DER {
    static func sequence(_ parts: [UInt8]...) -> [UInt8] { wrap(0x30, parts.flatMap { $0 }) }

    /// - Parameter magnitude: Big-endian, not negative.
    static func integer(_ magnitude: some Collection<UInt8>) -> [UInt8] {
        var bytes = Array(magnitude.drop { $0 == 0 })
        if bytes.first.map({ $0 & 0x80 != 0 }) ?? true { bytes.insert(0, at: 0) }
        return wrap(0x02, bytes)
    }

    static func bitString(_ bytes: [UInt8]) -> [UInt8] { wrap(0x03, [0] + bytes) }

    /// - Parameter encoded: The object identifier's content octets.
    static func objectIdentifier(_ encoded: [UInt8]) -> [UInt8] { wrap(0x06, encoded) }

    static let null: [UInt8] = [0x05, 0x00]

    private static func wrap(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        precondition(count < 1 << 24, "the caller has bounded it")
        let length: [UInt8] =
            switch count {
            case ..<0x80: [UInt8(count)]
            case ..<0x100: [0x81, UInt8(count)]
            case ..<0x10000: [0x82, UInt8(count >> 8), UInt8(count & 0xFF)]
            default: [0x83, UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)]
            }
        return [tag] + length + content
    }
}

/// Content octets of the object identifiers that name kinds of keys and curves.
enum KeyIdentifier {
    /// 1.2.840.113549.1.1.1
    static let rsa: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]
    /// 1.2.840.10045.2.1
    static let ellipticCurve: [UInt8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]
    /// 1.2.840.10045.3.1.7
    static let p256: [UInt8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
    /// 1.3.132.0.34
    static let p384: [UInt8] = [0x2B, 0x81, 0x04, 0x00, 0x22]
    /// 1.3.132.0.35
    static let p521: [UInt8] = [0x2B, 0x81, 0x04, 0x00, 0x23]
    /// 1.3.101.112
    static let ed25519: [UInt8] = [0x2B, 0x65, 0x70]
    /// 1.3.101.113
    static let ed448: [UInt8] = [0x2B, 0x65, 0x71]
}
