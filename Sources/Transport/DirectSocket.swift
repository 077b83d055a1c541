#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// System calls on the descriptor of a channel, past NIO's write queue: one `send` per touched connection and turn saves
/// 5-15 % of the CPU per message. NIO stays the owner of the descriptor and the fallback when the socket is full.
package enum DirectSocket {
    package enum WriteResult {
        case wrote(Int)
        case wouldBlock
        case failed
    }

    private static let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)

    /// Never blocks and never raises SIGPIPE.
    package static func write(_ descriptor: CInt, _ bytes: UnsafeRawPointer, count: Int) -> WriteResult {
        while true {
            let written = send(descriptor, bytes, count, flags)
            if written >= 0 { return .wrote(written) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .failed
            }
        }
    }

    /// Bytes that the system has taken and the peer has not: while they become fewer, the peer reads. 0 if unknown.
    package static func bytesOnTheWay(_ descriptor: CInt) -> Int {
        var count: CInt = 0
        return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
    }

    /// Says to the peer that nothing more comes, and keeps reading possible, so that what was sent arrives instead of
    /// being cut off by a reset.
    package static func finishWriting(_ descriptor: CInt) {
        _ = shutdown(descriptor, CInt(SHUT_WR))
    }

    /// A second descriptor of the same socket, for a connection that moves to another event loop. -1: none free.
    package static func duplicate(_ descriptor: CInt) -> CInt { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }

    package static func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

    /// Open files allowed to this process, after raising the soft limit to the hard one.
    package static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            let soft = limit.rlim_cur
            limit.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) != 0 { limit.rlim_cur = soft }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Has the kernel make its table of this process's open files large enough for `count` of them at once. It grows by itself, but a
    /// process with threads waits for 5 to 15 ms with each doubling (`expand_fdtable`). 8 bytes of kernel memory each.
    package static func reserveDescriptors(_ count: Int) {
        let descriptor = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let highest = fcntl(descriptor, F_DUPFD_CLOEXEC, CInt(clamping: count - 1))
        if highest >= 0 { close(highest) }
        close(descriptor)
    }
}
