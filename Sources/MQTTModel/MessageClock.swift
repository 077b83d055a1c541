#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One instant on both clocks: the monotonic one measures (expiry, latency), the wall clock tells the world.
public struct MessageClock: Sendable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    public let monotonicNanoseconds: UInt64
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public let unixMilliseconds: Int64

    @inlinable
    public init(monotonicNanoseconds: UInt64, unixMilliseconds: Int64) {
        self.monotonicNanoseconds = monotonicNanoseconds
        self.unixMilliseconds = unixMilliseconds
    }

    @inlinable public var monotonicMilliseconds: UInt64 { monotonicNanoseconds / 1_000_000 }

    public static var now: MessageClock {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let monotonic = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        clock_gettime(CLOCK_REALTIME, &time)
        return MessageClock(monotonicNanoseconds: monotonic, unixMilliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
