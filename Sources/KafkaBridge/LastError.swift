import MQTTModel
import Synchronization

/// The last thing that went wrong on a route, for whoever asks how it is. Shared by the threads that have errors.
final class LastError: Sendable {
    struct Entry: Sendable, Equatable {
        let text: String
        let unixMilliseconds: Int64
    }

    /// Characters of a text that are kept.
    private static let longest = 500
    private let state = Mutex<Entry?>(nil)

    var entry: Entry? { state.withLock { $0 } }

    func note(_ text: String) {
        let entry = Entry(text: String(text.prefix(Self.longest)), unixMilliseconds: MessageClock.now.unixMilliseconds)
        state.withLock { $0 = entry }
    }
}
