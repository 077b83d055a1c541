/// How much work a password hash is.
package struct PasswordCost: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// One SHA-512 over password and salt: fast, and fast to guess. Mosquitto before 2.0, VerneMQ.
        case sha512
        /// PBKDF2 with HMAC-SHA-512 (RFC 8018 section 5.2).
        case pbkdf2(iterations: Int)
        /// Argon2id (RFC 9106). Memory in KiB.
        case argon2id(memoryKiB: Int, passes: Int, lanes: Int)
    }

    package let kind: Kind
    /// Bytes of the digest.
    package let digestBytes: Int

    package init(_ kind: Kind, digestBytes: Int = 64) {
        self.kind = kind
        self.digestBytes = digestBytes
    }

    /// What Mosquitto 2.1 writes: 46 MiB, one pass.
    package static let argon2id = PasswordCost(.argon2id(memoryKiB: 47_104, passes: 1, lanes: 1))
    /// OWASP's number for PBKDF2 with HMAC-SHA-512. Mosquitto 2.0 itself writes 101.
    package static let pbkdf2 = PasswordCost(.pbkdf2(iterations: 210_000))
    package static let sha512 = PasswordCost(.sha512)

    /// Memory that one verification takes.
    package var memoryKiB: Int { if case .argon2id(let memory, _, _) = kind { memory } else { 0 } }

    package var description: String {
        switch kind {
        case .sha512: "sha512"
        case .pbkdf2(let iterations): "pbkdf2(iterations=\(iterations))"
        case .argon2id(let memory, let passes, let lanes): "argon2id(m=\(memory),t=\(passes),p=\(lanes))"
        }
    }
}

/// The most that a file may ask of the broker for one login. A line that asks for more fails the load: who can write a line
/// must not be able to stall every login.
package struct PasswordCostLimits: Hashable, Sendable {
    package var maxMemoryKiB: Int
    package var maxPasses: Int
    package var maxLanes: Int
    package var maxIterations: Int

    package init(maxMemoryKiB: Int = 262_144, maxPasses: Int = 16, maxLanes: Int = 16, maxIterations: Int = 5_000_000) {
        self.maxMemoryKiB = maxMemoryKiB
        self.maxPasses = maxPasses
        self.maxLanes = maxLanes
        self.maxIterations = maxIterations
    }

    /// - Returns: What is beyond a limit, `nil` for nothing.
    func excess(of cost: PasswordCost) -> String? {
        switch cost.kind {
        case .sha512: nil
        case .pbkdf2(let iterations): iterations > maxIterations ? "\(iterations) iterations, at most \(maxIterations)" : nil
        case .argon2id(let memory, let passes, let lanes):
            if memory > maxMemoryKiB {
                "m=\(memory) KiB, at most \(maxMemoryKiB)"
            } else if passes > maxPasses {
                "t=\(passes), at most \(maxPasses)"
            } else {
                lanes > maxLanes ? "p=\(lanes), at most \(maxLanes)" : nil
            }
        }
    }
}
