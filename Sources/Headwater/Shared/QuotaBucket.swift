/// A token bucket: a mean rate, of which one second may be saved up. Time is an argument.
///
/// It can be overdrawn: what was taken and was not there is a debt, and who took it waits until it is paid. So a message
/// larger than the bucket passes, the mean holds all the same, and of many who wait each has its own time.
struct QuotaBucket {
    private let perNanosecond: Double
    /// Tokens that can be saved up.
    let capacity: Double
    private(set) var tokens: Double
    private var filledAt: UInt64

    /// - Parameter perSecond: Tokens; less than 1 is read as 1. The bucket is full.
    init(perSecond: Int, nowNanoseconds now: UInt64) {
        capacity = Double(max(1, perSecond))
        perNanosecond = capacity / 1e9
        tokens = capacity
        filledAt = now
    }

    mutating func fill(nowNanoseconds now: UInt64) {
        guard now > filledAt else { return }  // loops read the clock at different times
        tokens = min(capacity, tokens + Double(now - filledAt) * perNanosecond)
        filledAt = now
    }

    var isFull: Bool { tokens >= capacity }

    /// Takes what is there, at most `wanted`, in whole tokens.
    mutating func takeAvailable(_ wanted: Int, nowNanoseconds now: UInt64) -> Int {
        fill(nowNanoseconds: now)
        let taken = max(0, min(Double(wanted), tokens.rounded(.down)))
        tokens -= taken
        return Int(taken)
    }

    /// Takes `needed` tokens, on credit if need be.
    /// - Returns: Nanoseconds until they are paid for; 0: they were there.
    mutating func take(_ needed: Int, nowNanoseconds now: UInt64) -> UInt64 {
        fill(nowNanoseconds: now)
        tokens -= Double(needed)
        return tokens >= 0 ? 0 : UInt64(min(-tokens / perNanosecond, 3.6e12))
    }
}
