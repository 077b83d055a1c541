import MQTTModel

/// The promise made with `PublishDecision.hold`: the publisher's acknowledgement waits for `complete`.
///
/// Sendable; complete it from any thread, at least once. Later calls are ignored, as are those for a publisher that has
/// gone meanwhile.
public struct PublishCompletion: Sendable {
    private let sink: any PublishCompletionSink
    private let token: UInt64

    public init(sink: any PublishCompletionSink, token: UInt64) {
        self.sink = sink
        self.token = token
    }

    public func complete(_ outcome: PublishOutcome) { sink.complete(token: token, outcome: outcome) }
}

public enum PublishOutcome: Sendable, Equatable {
    /// The plugin's promise for the message is kept.
    case fulfilled
    /// It never will be: v5 gets the reason code in PUBACK or PUBREC; a v3 connection is closed without acknowledgement.
    case failed(ReasonCode)
}

/// Where completions go: the broker's side of `PublishCompletion`.
public protocol PublishCompletionSink: AnyObject, Sendable {
    func complete(token: UInt64, outcome: PublishOutcome)
}
