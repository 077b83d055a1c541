/// Keys of clients that speak TLS with a pre-shared key, by identity. Immutable: a reload makes a new one. Keys show nowhere.
package struct PSKTable: Sendable, CustomStringConvertible, CustomReflectable {
    private let keys: [[UInt8]: [UInt8]]

    init(_ keys: [[UInt8]: [UInt8]] = [:]) { self.keys = keys }

    /// For a TLS library that wants them as texts; identities that are no UTF-8 can't be used there.
    package func texts() -> [(identity: String, key: [UInt8])] {
        keys.compactMap { identity, key in String(validating: identity, as: UTF8.self).map { ($0, key) } }
    }

    package var count: Int { keys.count }
    package var description: String { "\(count) identities" }
    package var customMirror: Mirror { Mirror(self, children: ["count": count]) }

    /// - Returns: `nil` for an identity that isn't known.
    package func key(for identity: [UInt8]) -> [UInt8]? { keys[identity] }
}

/// Mosquitto's PSK file: `identity:hexkey`, one on a line.
package enum PSKFile {
    package static let maxFileBytes = 64 << 20
    /// OpenSSL's limits (PSK_MAX_IDENTITY_LEN, PSK_MAX_PSK_LEN).
    package static let maxIdentityBytes = 256
    package static let maxKeyBytes = 512
    /// A shorter key can be found by trying all; it is warned about, since RFC 4279 names no least length.
    package static let leastKeyBytes = 16

    package struct Loaded: Sendable {
        package let table: PSKTable
        package let warnings: [SecurityFault]
    }

    /// - Throws: Every fault of the file at once.
    package static func load(_ path: String) throws(SecurityFaults) -> Loaded {
        let contents: SecurityFile.Contents
        do { contents = try SecurityFile.read(path, maxBytes: maxFileBytes) } catch { throw SecurityFaults(error) }
        let loaded = try parse(contents.bytes, path: path)
        return Loaded(table: loaded.table, warnings: (contents.exposure.map { [$0] } ?? []) + loaded.warnings)
    }

    /// - Parameter path: For the text of faults.
    package static func parse(_ bytes: [UInt8], path: String) throws(SecurityFaults) -> Loaded {
        var faults = SecurityFaults()
        var warnings: [SecurityFault] = []
        var keys: [[UInt8]: [UInt8]] = [:]
        var lines: [[UInt8]: Int] = [:]
        for line in SecurityLines(bytes) {
            do throws(PasswordHashFault) {
                let (identity, key) = try entry(line.bytes)
                if let first = lines.updateValue(line.number, forKey: identity) {
                    throw PasswordHashFault(
                        what: "identity \"\(PrintableText.escaped(identity))\" was given in line \(first) already",
                        mend: "delete one of the two")
                }
                if key.count < leastKeyBytes {
                    warnings.append(
                        SecurityFault(
                            file: path, line: line.number, what: "the key has \(key.count) bytes",
                            mend: "`openssl rand -hex 32` makes a better one"))
                }
                keys[identity] = key
            } catch {
                faults.append(SecurityFault(file: path, line: line.number, what: error.what, mend: error.mend))
            }
        }
        guard faults.isEmpty else { throw faults }
        return Loaded(table: PSKTable(keys), warnings: Array(warnings.prefix(SecurityFaults.maxFaults)))
    }

    private static func entry(_ line: ArraySlice<UInt8>) throws(PasswordHashFault) -> (identity: [UInt8], key: [UInt8]) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            throw PasswordHashFault(
                what: "the line has no colon", mend: "write identity:hexkey, put # before a comment, or delete the line")
        }
        let identity = Array(line[..<colon].trimmed)
        let hex = line[(colon + 1)...].trimmed
        guard (1...maxIdentityBytes).contains(identity.count), !identity.contains(0) else {
            throw PasswordHashFault(what: "the identity is empty, has a NUL, or more than \(maxIdentityBytes) bytes", mend: "correct it")
        }
        guard !hex.starts(with: "0x".utf8), !hex.starts(with: "0X".utf8) else {
            throw PasswordHashFault(what: "the key begins with 0x", mend: "write the hexadecimal digits alone")
        }
        guard !hex.isEmpty, hex.count % 2 == 0, hex.count <= 2 * maxKeyBytes else {
            throw PasswordHashFault(
                what: "the key has \(hex.count) digits; an even number from 2 to \(2 * maxKeyBytes) may be", mend: "correct it")
        }
        var key: [UInt8] = []
        key.reserveCapacity(hex.count / 2)
        var high: UInt8?
        for digit in hex {
            guard let value = hexValue(digit) else {
                throw PasswordHashFault(what: "the key has characters that are no hexadecimal digits", mend: "correct it")
            }
            if let first = high {
                key.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return (identity, key)
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}
