import Logging

/// Lets a hostile peer fill a log only slowly: a bucket of lines that refills, and a count of what was left out.
struct LogLimiter {
    private let logger: Logger
    private let burst: Int
    private let perSecond: UInt64
    private var available: Int
    private var lastRefillMilliseconds: UInt64 = 0
    private var suppressed = 0

    /// - Parameters:
    ///   - burst: Lines at once.
    ///   - perSecond: Lines that come back each second, 1…1,000.
    init(logger: Logger, burst: Int, perSecond: UInt64) {
        self.logger = logger
        self.burst = burst
        self.perSecond = perSecond
        available = burst
    }

    /// A line that a peer can cause at will. `metadata` is made only when the line is written.
    mutating func line(
        _ level: Logger.Level, _ message: Logger.Message, nowMilliseconds: UInt64, metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard logger.logLevel <= level else { return }
        let refill = (nowMilliseconds &- lastRefillMilliseconds) / (1000 / perSecond)
        if refill > 0 {
            available = min(burst, available + Int(clamping: refill))
            lastRefillMilliseconds = nowMilliseconds
        }
        guard available > 0 else {
            suppressed += 1
            return
        }
        available -= 1
        if suppressed > 0 {
            logger.log(level: level, "log lines left out, peers cause too many", metadata: ["count": "\(suppressed)"])
            suppressed = 0
        }
        logger.log(level: level, message, metadata: metadata().mapValues(Self.cut))
    }

    /// What a peer says may be 65,535 bytes long; a line shows as much as a person reads.
    private static func cut(_ value: Logger.MetadataValue) -> Logger.MetadataValue {
        guard case .stringConvertible(let text) = value else {
            guard case .string(let text) = value, text.utf8.count > maxValueBytes else { return value }
            return .string("\(String(decoding: text.utf8.prefix(maxValueBytes), as: UTF8.self))… (\(text.utf8.count) bytes)")
        }
        return cut(.string(text.description))
    }
    private static let maxValueBytes = 256
}
