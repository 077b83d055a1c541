import NIOCore
import NIOHTTP1

/// A request that has arrived whole.
struct AdminRequest: Sendable {
    let method: HTTPMethod
    /// As it was sent, a query included.
    let target: String
    let headers: HTTPHeaders
    let body: [UInt8]
    /// Whether it comes from a process of this machine, or through a Unix socket.
    let isFromHere: Bool

    var path: Substring { target.prefix { $0 != "?" } }

    /// Whether a plugin answers it. Its body is read, and its answer may take a while.
    static func isForPlugin(_ target: String) -> Bool { target.hasPrefix("/plugins/") }

    /// Whether the peer of a connection is on this machine: a loopback address, or the one that it has come to.
    static func isFromHere(remote: SocketAddress?, local: SocketAddress?) -> Bool {
        switch remote {
        case .unixDomainSocket: true
        case .v4, .v6:
            remote?.ipAddress.map { ip in
                ip == "::1" || ip.hasPrefix("127.") || ip.lowercased().hasPrefix("::ffff:127.") || ip == local?.ipAddress
            } ?? false
        // An unnamed Unix socket may have no address at all; a connection that has just been lost has none either, and gets no answer.
        case nil: if case .unixDomainSocket? = local { true } else { false }
        }
    }
}
