import Foundation
import Glibc

/// A TCP connection that understands nothing of what it carries.
final class RawSocket {
    private let descriptor: Int32
    private(set) var received: [UInt8] = []
    private(set) var isClosed = false

    /// - Parameter source: Address to come from, for tests of what is counted by address.
    init(port: Int, source: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw DoorFault("no socket") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        func address(_ text: String, _ port: Int) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            inet_pton(AF_INET, text, &address.sin_addr)
            return address
        }
        func with(_ address: sockaddr_in, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
        }
        guard with(address(source, 0), { bind(descriptor, $0, $1) }) == 0,
            with(address("127.0.0.1", port), { connect(descriptor, $0, $1) }) == 0
        else {
            close(descriptor)
            throw DoorFault("can't connect: \(String(cString: strerror(errno)))")
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Reads until there are so many bytes in all, or the other side has closed.
    func receive(_ count: Int = .max, within time: Duration = .seconds(15)) async throws {
        let deadline = ContinuousClock.now + time
        var part = [UInt8](repeating: 0, count: 65_536)
        while !isClosed, received.count < count, ContinuousClock.now < deadline {
            let got = recv(descriptor, &part, part.count, 0)
            if got > 0 { received += part[..<got] } else if got == 0 || (errno != EAGAIN && errno != EINTR) { isClosed = true }
            if got < 0, !isClosed { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}
