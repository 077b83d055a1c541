import Logging

/// Lets a hostile peer fill a log only slowly: a bucket of lines that refills, and a count of what was left out.
struct LogLimiter {
    private static let burst = 50
    private static let perSecond: UInt64 = 10

    private let logger: Logger
    private var available = burst
    private var lastRefillMilliseconds: UInt64 = 0
    private var suppressed = 0

    init(logger: Logger) { self.logger = logger }

    /// A line that a peer can cause at will. `metadata` is made only when the line is written.
    mutating func line(
        _ level: Logger.Level, _ message: Logger.Message, nowMilliseconds: UInt64, metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard logger.logLevel <= level else { return }
        let refill = (nowMilliseconds &- lastRefillMilliseconds) / (1000 / Self.perSecond)
        if refill > 0 {
            available = min(Self.burst, available + Int(clamping: refill))
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
        logger.log(level: level, message, metadata: metadata())
    }
}
