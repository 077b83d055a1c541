/// Who asks. Says nothing of itself: what is printed, dumped or logged has no secret in it.
package enum HTTPCredentials: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    case basic(user: String, password: String)
    case bearer(token: String)

    package var description: String {
        switch self {
        case .basic: "basic (hidden)"
        case .bearer: "bearer (hidden)"
        }
    }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }

    /// A line's end would begin another header, a zero end the text, and a colon in a user's name begin the password.
    var isWritable: Bool {
        func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
        switch self {
        case .basic(let user, let password): return isPlain(user) && isPlain(password) && !user.utf8.contains(UInt8(ascii: ":"))
        case .bearer(let token): return !token.isEmpty && token.utf8.allSatisfy { (0x21..<0x7F).contains($0) }
        }
    }
}
