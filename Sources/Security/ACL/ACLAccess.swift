/// What a client wants with a topic: to be sent its messages, or to publish to it.
package enum ACLAccess: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    case read = 0
    case write = 1

    package var description: String { self == .read ? "read" : "write" }
}
