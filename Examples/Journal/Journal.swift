import Foundation
import MQTTModel
import PluginAPI
import Synchronization

/// Writes messages to a file, and lets a publisher's acknowledgement leave only when its message is on the disk: an
/// example of a plugin that holds acknowledgements. docs/plugins.md walks through it.
///
/// One line of JSON for each message, at least once: what fails is sent again by its publisher. Messages that come while
/// the disk is busy are written together, with one sync.
public final class Journal: BrokerPlugin {
    public let name = "journal"
    private let file: URL
    private let filters: [TopicFilter]
    private let writer = DispatchQueue(label: "journal")
    private let state = Mutex(State())

    struct Entry: Sendable {
        let message: Message
        let completion: PublishCompletion
    }

    private struct State {
        var handle: FileHandle?
        /// Waits for the writer, oldest first.
        var waiting: [Entry] = []
        var written = 0
        var failure: String?
    }

    /// - Parameter filters: What is written; empty: everything.
    public init(file: URL, filters: [TopicFilter] = []) {
        self.file = file
        self.filters = filters
    }

    public func start(_ context: PluginContext) async throws {
        if !FileManager.default.fileExists(atPath: file.path) {
            _ = FileManager.default.createFile(atPath: file.path, contents: nil, attributes: [.posixPermissions: 0o600])
        }
        let handle = try FileHandle(forWritingTo: file)
        try handle.seekToEnd()
        state.withLock { $0.handle = handle }
    }

    public func makeLoopHooks(loop: Int) -> any LoopHooks { JournalHooks(journal: self, publishFilters: filters) }

    public var readiness: PluginReadiness { state.withLock { $0.failure.map { .notReady($0) } ?? .ready } }

    public func metrics() -> [PluginMetric] {
        [
            PluginMetric(
                name: "headwater_journal_messages_total", help: "Messages written to the journal", kind: .counter,
                value: Double(state.withLock { $0.written }))
        ]
    }

    /// The clients have gone: what is queued now is all there will be.
    public func stop() async {
        await withCheckedContinuation { continuation in writer.async { continuation.resume() } }
        state.withLock { state in
            try? state.handle?.close()
            state.handle = nil
        }
    }

    /// Takes a message on an event loop, and returns at once.
    func append(_ entry: Entry) {
        let isFirst = state.withLock { state in
            state.waiting.append(entry)
            return state.waiting.count == 1
        }
        if isFirst { writer.async { self.writeWaiting() } }
    }

    /// On the writer's queue, one at a time.
    private func writeWaiting() {
        let (batch, handle) = state.withLock { state in
            defer { state.waiting = [] }
            return (state.waiting, state.handle)
        }
        var failure: String?
        do {
            guard let handle else { throw CocoaError(.fileWriteUnknown) }
            try handle.write(contentsOf: JournalLine.encode(batch.map(\.message)))
            try handle.synchronize()
        } catch {
            failure = "can't write \(file.path): \(error)"
        }
        state.withLock { state in
            state.failure = failure
            if failure == nil { state.written += batch.count }
        }
        let outcome: PublishOutcome = failure == nil ? .fulfilled : .failed(.unspecifiedError)
        for entry in batch { entry.completion.complete(outcome) }
    }
}
