import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Ports for programs of tests: below 32,768, where the system takes none for outgoing connections, so that a port that is free now is
/// not taken by a client a moment later. Each is given out once: a broker that does not get its port for HTTP would seem to be ready
/// when another one answers there.
package enum FreePort {
    private static let range = 12_000...31_999
    private static let last = Mutex(Int.random(in: range))

    package static func next() -> Int {
        last.withLock { last in
            // All of them at most; the last one then fails where it is used, with the system's reason.
            for _ in range {
                last = last == range.upperBound ? range.lowerBound : last + 1
                if isFree(last) { break }
            }
            return last
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
    }
}
