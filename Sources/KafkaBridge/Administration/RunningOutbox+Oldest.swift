import MQTTModel
import PluginAPI

extension RunningOutbox {
    /// Age of the oldest record that waits: one look at the first entry of each queue. 0 for an empty outbox; `nil` when the store can't
    /// be read now.
    var oldestSeconds: Double? {
        guard outbox.balance.figures.outbox > 0 else { return 0 }
        var oldest = Int64.max
        for shard in outbox.shards {
            let damaged = try? shard.queue.read(from: 0, maxEntries: 1, maxBytes: .max) { _, head, _ in
                if let view = RecordFrameView(head) { oldest = min(oldest, view.receivedUnixMilliseconds) }
            }
            if damaged == nil { return nil }
        }
        // Empty by now, or damaged at its head.
        guard oldest < .max else { return 0 }
        return Double(max(MessageClock.now.unixMilliseconds - oldest, 0)) / 1000
    }
}
