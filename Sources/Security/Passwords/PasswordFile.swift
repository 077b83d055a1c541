/// Mosquitto's password file: `username:hash`, one user on a line.
///
/// Differs from Mosquitto where it is lax: a line without a colon is an error and not passed over (CVE-2018-12551), so are
/// control characters in names, and a hash may cost no more than the limits say.
package enum PasswordFile {
    package static let maxFileBytes = 256 << 20
    /// Of a username and of a hash: what fits into an MQTT string.
    package static let maxFieldBytes = 65_535

    package struct Loaded: Sendable {
        package let table: PasswordTable
        package let warnings: [SecurityFault]
    }

    /// - Throws: Every fault of the file at once.
    package static func load(
        _ path: String, limits: PasswordCostLimits = PasswordCostLimits()
    ) throws(SecurityFaults) -> Loaded {
        let contents: SecurityFile.Contents
        do { contents = try SecurityFile.read(path, maxBytes: maxFileBytes) } catch { throw SecurityFaults(error) }
        return Loaded(table: try parse(contents.bytes, path: path, limits: limits), warnings: contents.exposure.map { [$0] } ?? [])
    }

    /// - Parameter path: For the text of faults.
    package static func parse(
        _ bytes: [UInt8], path: String, limits: PasswordCostLimits = PasswordCostLimits()
    ) throws(SecurityFaults) -> PasswordTable {
        var faults = SecurityFaults()
        var hashes: [[UInt8]: PasswordHash] = [:]
        var lines: [[UInt8]: Int] = [:]
        for line in SecurityLines(bytes) {
            do throws(PasswordHashFault) {
                let (username, rest) = try split(line.bytes)
                if let first = lines[username] {
                    throw PasswordHashFault(
                        what: "user \"\(PrintableText.escaped(username))\" was given in line \(first) already",
                        mend: "delete one of the two")
                }
                lines[username] = line.number
                hashes[username] = try PasswordHash(text: try hashField(rest), limits: limits)
            } catch {
                faults.append(SecurityFault(file: path, line: line.number, what: error.what, mend: error.mend))
            }
        }
        guard faults.isEmpty else { throw faults }
        return PasswordTable(hashes)
    }

    /// What stands before the first colon, checked, and what stands behind it.
    static func split(_ line: ArraySlice<UInt8>) throws(PasswordHashFault) -> (username: [UInt8], rest: ArraySlice<UInt8>) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
            throw PasswordHashFault(what: "the line has no colon", mend: "write username:hash, put # before a comment, or delete the line")
        }
        let username = Array(line[..<colon].trimmed)
        if let fault = nameFault(username) { throw PasswordHashFault(what: fault, mend: "correct the name, or delete the line") }
        return (username, line[(colon + 1)...])
    }

    /// What is wrong with a username, `nil` for nothing.
    package static func nameFault(_ username: [UInt8]) -> String? {
        if username.isEmpty { return "the username is empty" }
        if username.count > maxFieldBytes { return "the username has more than \(maxFieldBytes) bytes" }
        if username.contains(UInt8(ascii: ":")) { return "the username has a colon in it" }
        guard let text = String(validating: username, as: UTF8.self) else { return "the username is not UTF-8" }
        let hasControl = text.unicodeScalars.contains { $0.properties.generalCategory == .control }
        return hasControl ? "the username has a control character in it" : nil
    }

    /// Text behind a second colon is left out, as in Mosquitto.
    private static func hashField(_ rest: ArraySlice<UInt8>) throws(PasswordHashFault) -> ArraySlice<UInt8> {
        let field = rest.prefix { $0 != UInt8(ascii: ":") }.trimmed
        guard !field.isEmpty else {
            throw PasswordHashFault(
                what: "there is no hash behind the username", mend: "set a password with `headwater passwd`, or delete the line")
        }
        guard field.count <= maxFieldBytes else {
            throw PasswordHashFault(
                what: "the hash has more than \(maxFieldBytes) bytes", mend: "make the line anew with `headwater passwd`")
        }
        return field
    }
}
