/// Why a login failed, as the log says it.
package enum LoginFailureReason: String, CaseIterable, Sendable {
    case password
    case unknownUser = "unknown-user"
    case anonymous
    case certificate
    case psk
    case token
    case tokenExpired = "token-expired"
    case plugin
    case banned
}

/// The one line of the log that tells a failed login, in a form that other programs rely on: fail2ban's filter in
/// deploy/fail2ban reads it.
///
/// `login failed: user="alice" address=192.0.2.1 listener=mqtts reason=password`
///
/// Nothing that a peer says can look like another field or another line: what isn't printable ASCII, quotes and backslashes
/// are written as `\xNN`. The line is the whole message, without metadata.
package enum LoginFailure {
    /// - Parameters:
    ///   - user: Empty for a client that gave none.
    ///   - peer: As `ClientInfo.peerAddress` has it; its port is left out.
    package static func line(user: [UInt8], peer: String, listener: String, reason: LoginFailureReason) -> String {
        let address = LoginAddress(peer: peer).isLocal ? "unix" : LoginAddress.host(of: peer)
        return
            "login failed: user=\"\(PrintableText.escaped(user))\" address=\(address) listener=\(word(listener)) reason=\(reason.rawValue)"
    }

    /// The line for a ban that begins, with its length in seconds.
    package static func banLine(address: LoginAddress, seconds: Int64) -> String {
        "login banned: address=\(address) seconds=\(seconds)"
    }

    /// A name in which nothing ends the field.
    private static func word(_ name: String) -> String {
        guard !name.isEmpty else { return "-" }
        return PrintableText.escaped(name.utf8).replacing(" ", with: "\\x20")
    }
}
