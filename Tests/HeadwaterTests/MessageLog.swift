import BrokerTestKit
import Headwater
import MQTTModel
import NIOCore
import Synchronization

/// What a sequence of messages has given so far, for tests that must not wait for ever.
final class MessageLog: Sendable {
    private struct State {
        var messages: [Message] = []
        var isAtEnd = false
    }
    private let state = Mutex(State())

    /// Reads `sequence` from now on, to its end.
    init(_ sequence: MessageSequence) {
        Task {
            for await message in sequence { state.withLock { $0.messages.append(message) } }
            state.withLock { $0.isAtEnd = true }
        }
    }

    /// The first `count` messages, when they have come.
    func first(_ count: Int) async throws -> [Message] {
        try await wait(for: "\(count) messages") { $0.messages.count >= count }
        return state.withLock { Array($0.messages.prefix(count)) }
    }

    /// All messages, when the sequence has ended.
    func untilEnd() async throws -> [Message] {
        try await wait(for: "the end") { $0.isAtEnd }
        return state.withLock { $0.messages }
    }

    private func wait(for claim: String, until condition: (State) -> Bool) async throws {
        let deadline = ContinuousClock.now + ScriptedClient.patience
        while !state.withLock({ condition($0) }) {
            guard ContinuousClock.now < deadline else {
                throw ScriptedClientError("\(claim) of a sequence did not come", file: #fileID, line: #line)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension Message {
    var text: String { String(buffer: payload) }
}
