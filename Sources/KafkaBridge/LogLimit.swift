import MQTTModel
import Synchronization

/// Lets a few lines through per span of time, so that hostile or broken input can't flood the log.
final class LogLimit: Sendable {
    private let lines: Int
    private let spanMilliseconds: UInt64
    private let state = Mutex<(start: UInt64, written: Int, leftOut: Int)>((0, 0, 0))

    init(lines: Int, seconds: UInt64) {
        self.lines = lines
        self.spanMilliseconds = seconds * 1000
    }

    /// `nil`: stay silent. Else how many lines have been left out since the last one that was not.
    func admit(atMilliseconds now: UInt64 = MessageClock.now.monotonicMilliseconds) -> Int? {
        state.withLock { state in
            if now >= state.start + spanMilliseconds { (state.start, state.written) = (now, 0) }
            guard state.written < lines else {
                state.leftOut += 1
                return nil
            }
            state.written += 1
            defer { state.leftOut = 0 }
            return state.leftOut
        }
    }

    /// A text of a peer's, fit for one line of a log: control characters escaped, at most 128 characters.
    static func quoted(_ text: String) -> String {
        text.count > 128 ? String(text.prefix(128)).debugDescription + "…" : text.debugDescription
    }
}
