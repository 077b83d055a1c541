/// The figures of one loop: plain integers, because one thread writes them. `BrokerStatistics` is their sum.
struct LoopCounters {
    var statistics = BrokerStatistics()

    @inline(__always)
    mutating func dropped(_ reason: BrokerStatistics.DropReason, _ count: Int = 1) {
        if count > 0 { statistics.dropped[reason, default: 0] += count }
    }

    mutating func refused(_ reason: BrokerStatistics.RefusalReason) {
        statistics.messagesRefused[reason, default: 0] += 1
    }
}
