import Security

/// Lines of password files that are made once.
enum Passwords {
    /// `user:hash`, quick to verify.
    static func line(_ user: String, _ password: String, _ cost: PasswordCost = .init(.pbkdf2(iterations: 101))) -> String {
        "\(user):\(PasswordHash.make(cost, password: Array(password.utf8))?.text ?? "")\n"
    }

    /// Some tenths of a second of one processor's time.
    static let slow = PasswordCost(.argon2id(memoryKiB: 65_536, passes: 4, lanes: 1))
}
