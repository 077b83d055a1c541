import Encodings

/// Why a text is no password hash. Says what was found, never the text.
package struct PasswordHashFault: Error, Hashable, Sendable {
    package let what: String
    package let mend: String
}

/// The forms in which Mosquitto writes hashes: `$6$salt$digest`, `$7$iterations$salt$digest` and libargon2's `$argon2id$…`.
extension PasswordHash {
    private static let remake = "make the line anew with `headwater passwd`"

    /// - Parameter text: Nothing but the hash.
    package init(text: some Collection<UInt8>, limits: PasswordCostLimits = PasswordCostLimits()) throws(PasswordHashFault) {
        let text = Array(text)
        let fields = text.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        guard fields.count >= 3, fields[0].isEmpty else {
            throw PasswordHashFault(
                what: "a plain password, or a hash of a kind that isn't known, stands where a hash belongs",
                mend: "`headwater passwd --upgrade FILE` hashes a file of plain passwords; else \(Self.remake)")
        }
        if let fault = Self.foreignKind(fields) { throw fault }
        let hash =
            switch String(decoding: fields[1], as: UTF8.self) {
            case "6": try Self.sha512(fields)
            case "7": try Self.pbkdf2(fields)
            case "argon2id": try Self.argon2id(fields)
            default:
                throw PasswordHashFault(what: "the hash is of a kind that isn't known", mend: "$6$, $7$ and $argon2id$ are; \(Self.remake)")
            }
        if let excess = limits.excess(of: hash.cost) {
            throw PasswordHashFault(
                what: "the hash costs more than is allowed: \(excess)", mend: "\(Self.remake), or raise the limit in the configuration")
        }
        self = hash
    }

    package var text: String {
        switch cost.kind {
        case .sha512: "$6$\(Base64.encode(salt, .standard))$\(Base64.encode(digest, .standard))"
        case .pbkdf2(let iterations): "$7$\(iterations)$\(Base64.encode(salt, .standard))$\(Base64.encode(digest, .standard))"
        case .argon2id(let memory, let passes, let lanes):
            "$argon2id$v=19$m=\(memory),t=\(passes),p=\(lanes)$"
                + "\(Base64.encode(salt, .standardUnpadded))$\(Base64.encode(digest, .standardUnpadded))"
        }
    }

    private static func sha512(_ fields: [ArraySlice<UInt8>]) throws(PasswordHashFault) -> PasswordHash {
        guard fields.count == 4 else { throw PasswordHashFault(what: "$6$ is followed by salt$digest, and here isn't", mend: remake) }
        return try PasswordHash(cost: .sha512, saltText: fields[2], digestText: fields[3])
    }

    private static func pbkdf2(_ fields: [ArraySlice<UInt8>]) throws(PasswordHashFault) -> PasswordHash {
        guard fields.count == 5 else {
            throw PasswordHashFault(what: "$7$ is followed by iterations$salt$digest, and here isn't", mend: remake)
        }
        guard let iterations = number(fields[2]), (1...Int(Int32.max)).contains(iterations) else {
            throw PasswordHashFault(what: "the number of iterations isn't a number from 1 on", mend: remake)
        }
        return try PasswordHash(cost: PasswordCost(.pbkdf2(iterations: iterations)), saltText: fields[3], digestText: fields[4])
    }

    private init(cost: PasswordCost, saltText: ArraySlice<UInt8>, digestText: ArraySlice<UInt8>) throws(PasswordHashFault) {
        guard let salt = Base64.decode(saltText, .standard), let digest = Base64.decode(digestText, .standard) else {
            throw PasswordHashFault(what: "salt or digest isn't Base64", mend: Self.remake)
        }
        guard salt.count == 12 || salt.count == 64 else {
            throw PasswordHashFault(what: "the salt has \(salt.count) bytes where 12 or 64 belong", mend: Self.remake)
        }
        guard digest.count == 64 else {
            throw PasswordHashFault(what: "the digest has \(digest.count) bytes where 64 belong", mend: Self.remake)
        }
        self.init(cost: cost, salt: salt, digest: digest)
    }

    private static func argon2id(_ fields: [ArraySlice<UInt8>]) throws(PasswordHashFault) -> PasswordHash {
        guard fields.count == 6, fields[2].elementsEqual("v=19".utf8) else {
            throw PasswordHashFault(what: "$argon2id$ is followed by v=19$m=…,t=…,p=…$salt$digest, and here isn't", mend: remake)
        }
        let parameters = fields[3].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        var values: [Int] = []
        for (parameter, name) in zip(parameters, ["m=", "t=", "p="]) where parameter.starts(with: name.utf8) {
            if let value = number(parameter.dropFirst(2)), (1...Int(UInt32.max)).contains(value) { values.append(value) }
        }
        guard parameters.count == 3, values.count == 3, values[2] < 1 << 24, values[0] >= 8 * values[2] else {
            throw PasswordHashFault(what: "m, t and p must be numbers, in this order, and m at least eight times p", mend: remake)
        }
        guard let salt = Base64.decode(fields[4], .standardUnpadded), let digest = Base64.decode(fields[5], .standardUnpadded) else {
            throw PasswordHashFault(what: "salt or digest isn't Base64 without padding", mend: remake)
        }
        guard (8...128).contains(salt.count), (16...128).contains(digest.count) else {
            throw PasswordHashFault(
                what: "salt and digest have \(salt.count) and \(digest.count) bytes; 8 to 128 and 16 to 128 may be", mend: remake)
        }
        let kind = PasswordCost.Kind.argon2id(memoryKiB: values[0], passes: values[1], lanes: values[2])
        return PasswordHash(cost: PasswordCost(kind, digestBytes: digest.count), salt: salt, digest: digest)
    }

    /// Hashes of the system's password database and of web servers, which look alike and are something else.
    private static func foreignKind(_ fields: [ArraySlice<UInt8>]) -> PasswordHashFault? {
        let prefix = String(decoding: fields[1], as: UTF8.self)
        let name: String? =
            switch prefix {
            case "1": "MD5-crypt"
            case "2", "2a", "2b", "2x", "2y": "bcrypt"
            case "5": "SHA-256-crypt"
            case "y", "gy": "yescrypt"
            case "apr1": "Apache's MD5"
            case "argon2i", "argon2d": "\(prefix), which is not argon2id"
            case "scrypt": "scrypt"
            case "6" where fields.count == 5 && fields[2].starts(with: "rounds=".utf8): "SHA-512-crypt"
            case "6" where fields.count == 4 && fields[3].count == 86 && fields[3].allSatisfy(isCryptDigit): "SHA-512-crypt"
            case "7" where fields.count == 4 && fields[2].starts(with: "C".utf8): "scrypt-crypt"
            default: nil
            }
        return name.map {
            PasswordHashFault(
                what: "this is a crypt(3) or htpasswd string (\($0)); $6$ and $7$ in a password file are Mosquitto's own forms",
                mend: "such a hash can't be converted: set the user's password anew with `headwater passwd`")
        }
    }

    private static func isCryptDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: ".")...UInt8(ascii: "9"): true
        default: false
        }
    }

    /// Digits alone: no sign, no blanks.
    private static func number(_ text: ArraySlice<UInt8>) -> Int? {
        guard (1...18).contains(text.count), text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return text.reduce(0) { $0 * 10 + Int($1 & 15) }
    }
}
