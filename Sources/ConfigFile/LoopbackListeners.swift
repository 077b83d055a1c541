import Glibc
import Headwater

/// The listeners of a broker that nobody has given any: this machine's own clients and no others, as Mosquitto does.
public enum LoopbackListeners {
    /// 127.0.0.1 and, where the machine has it, ::1; anonymous clients are let in.
    public static func listeners(port: Int = 1883, hasIPv6: Bool = hasIPv6) -> [ListenerConfiguration] {
        var listeners = [ListenerConfiguration.loopback(port: port)]
        // Port 0 is chosen by the system for each address, so a second listener would have another port than the first.
        if hasIPv6, port != 0 {
            listeners.append(ListenerConfiguration(name: "local-ipv6", address: .tcp(host: "::1", port: port), allowsAnonymous: true))
        }
        return listeners
    }

    /// Whether a socket can be bound to ::1: containers often have the protocol but not the address.
    public static var hasIPv6: Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_addr = in6addr_loopback
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
            }
        }
    }
}
