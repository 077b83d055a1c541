/// Changes to the text of a password file that leave everything else in it as it was: comments, order, line ends.
package struct PasswordFileEdit: Sendable {
    /// With their ends, as they are.
    private var lines: [ArraySlice<UInt8>]
    private var lineOf: [[UInt8]: Int] = [:]

    package init(_ bytes: [UInt8]) {
        lines = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? rest.endIndex
            lines.append(rest[..<end])
            rest = rest[end...]
        }
        for (index, line) in lines.enumerated() {
            guard let username = Self.username(line, isFirst: index == 0), lineOf[username] == nil else { continue }
            lineOf[username] = index
        }
    }

    package var bytes: [UInt8] { Array(lines.joined()) }

    package func contains(_ username: [UInt8]) -> Bool { lineOf[username] != nil }

    /// Why a name can't be written, `nil` for no reason. Stricter than what is read, since a line must be read as it was meant.
    package static func nameFault(_ username: [UInt8]) -> String? {
        if let fault = PasswordFile.nameFault(username) { return fault }
        if username.first == UInt8(ascii: "#") { return "the username begins with #, which begins a comment" }
        if username[...].trimmed.count < username.count { return "the username begins or ends with a blank, which a reader would drop" }
        if username.starts(with: [0xEF, 0xBB, 0xBF]) { return "the username begins with a byte order mark" }
        return nil
    }

    /// - Precondition: `nameFault(username)` is `nil`.
    package mutating func set(_ hash: PasswordHash, for username: [UInt8]) {
        precondition(Self.nameFault(username) == nil)
        if let index = lineOf[username] {
            let hasMark = index == 0 && lines[0].starts(with: [0xEF, 0xBB, 0xBF])
            let end: [UInt8] = lines[index].suffix(2).elementsEqual([0x0D, 0x0A]) ? [0x0D, 0x0A] : [0x0A]
            lines[index] = ((hasMark ? [0xEF, 0xBB, 0xBF] : []) + username + Array(":\(hash.text)".utf8) + end)[...]
            return
        }
        if let last = lines.indices.last, lines[last].last != UInt8(ascii: "\n") { lines[last].append(UInt8(ascii: "\n")) }
        lineOf[username] = lines.count
        lines.append((username + Array(":\(hash.text)\n".utf8))[...])
    }

    /// Removes every line of the user.
    /// - Returns: Whether there was one.
    package mutating func remove(_ username: [UInt8]) -> Bool {
        guard contains(username) else { return false }
        let kept = lines.enumerated().filter { Self.username($1, isFirst: $0 == 0) != username }.map { $1 }
        self = PasswordFileEdit(Array(kept.joined()))
        return true
    }

    /// Puts a hash in place of each password that stands there plainly. Lines that have a hash already stay as they are.
    /// - Parameters:
    ///   - path: For the text of faults.
    ///   - hash: `nil` when there is no memory for it.
    /// - Returns: Passwords that were hashed.
    /// - Throws: Every line that is no entry, and no change is made.
    package mutating func upgrade(path: String, hash: ([UInt8]) -> PasswordHash?) throws(SecurityFaults) -> Int {
        var faults = SecurityFaults()
        var plain: [(username: [UInt8], password: [UInt8])] = []
        for line in SecurityLines(bytes) {
            do throws(PasswordHashFault) {
                let (username, rest) = try PasswordFile.split(line.bytes)
                if let fault = Self.nameFault(username) { throw PasswordHashFault(what: fault, mend: "correct the name") }
                let unlimited = PasswordCostLimits(maxMemoryKiB: .max, maxPasses: .max, maxLanes: .max, maxIterations: .max)
                if (try? PasswordHash(text: rest.trimmed, limits: unlimited)) != nil { continue }
                if let fault = Self.passwordFault(Array(rest)) { throw PasswordHashFault(what: fault, mend: "correct the line") }
                if rest.first == UInt8(ascii: "$"), rest.dropFirst().contains(UInt8(ascii: "$")) {
                    throw PasswordHashFault(
                        what: "this looks like a hash, and is none that can be read",
                        mend: "set this user's password with `headwater passwd`")
                }
                plain.append((username, Array(rest)))
            } catch {
                faults.append(SecurityFault(file: path, line: line.number, what: error.what, mend: error.mend))
            }
        }
        guard faults.isEmpty else { throw faults }
        for (username, password) in plain {
            guard let hash = hash(password) else {
                throw SecurityFaults(SecurityFault(file: path, what: "no memory for a hash", mend: "choose a smaller --memory"))
            }
            set(hash, for: username)
        }
        return plain.count
    }

    /// Why a password can't be one, `nil` for no reason.
    package static func passwordFault(_ password: [UInt8]) -> String? {
        if password.isEmpty { return "the password is empty" }
        if password.count > PasswordFile.maxFieldBytes { return "the password has more than \(PasswordFile.maxFieldBytes) bytes" }
        return password.contains(0) ? "the password has a NUL byte in it" : nil
    }

    private static func username(_ line: ArraySlice<UInt8>, isFirst: Bool) -> [UInt8]? {
        let line = isFirst && line.starts(with: [0xEF, 0xBB, 0xBF]) ? line.dropFirst(3) : line
        guard line.first != UInt8(ascii: "#"), let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        return Array(line[..<colon].trimmed)
    }
}
