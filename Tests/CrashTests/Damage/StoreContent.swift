import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire

/// The content of the store that the damage tests spoil: a session with a queue, and retained messages. It has three states
/// that a reader tells apart: nothing, what the backup holds, and all.
struct StoreContent: Sendable, Equatable {
    static let backedUp = 40
    static let all = 60
    static let retained = 30
    static let session = "keeper"

    /// Numbers of the queued messages, in the order in which they came.
    var queued: [Int] = []
    var retained: Set<Int> = []
    var sessionPresent = false
    /// Payloads that are not what was published.
    var spoiled = 0

    enum State: String, Sendable {
        case full, backup, empty
        /// None of the three.
        case mixed
    }

    var state: State {
        if spoiled > 0 { return .mixed }
        switch (queued, retained.count, sessionPresent) {
        case (Array(1...Self.all), Self.retained, true): return .full
        case (Array(1...Self.backedUp), Self.retained, true): return .backup
        case ([], 0, false): return .empty
        default: return .mixed
        }
    }

    /// Fills an empty store up to the state of the backup, or on to the full one.
    static func write(_ numbers: ClosedRange<Int>, to process: BrokerProcess) async throws {
        if numbers.lowerBound == 1 {
            let keeper = try await process.open()
            try await keeper.connect(session) { $0.sessionExpirySeconds = .max - 1 }
            try await keeper.subscribe([Subscribe.Entry(filter: "queue/#", qos: .exactlyOnce)])
            try await keeper.disconnect()
        }
        let publisher = try await process.open()
        try await publisher.connect("publisher")
        for number in numbers {
            // Every fifth is larger than a page.
            let payload = MessageName("q", number).payload(bytes: number % 5 == 0 ? 9_000 : 60)
            try await publisher.publish(
                Publish(topic: "queue/\(number % 7)", payload: payload, qos: number % 2 == 0 ? .exactlyOnce : .atLeastOnce, packetID: 1))
        }
        if numbers.lowerBound == 1 {
            for number in 1...retained {
                let payload = MessageName("r", number).payload(bytes: number % 10 == 0 ? 6_000 : 50)
                try await publisher.publish(
                    Publish(topic: "kept/\(number)", payload: payload, qos: .atLeastOnce, retain: true, packetID: 1))
            }
        }
        try await publisher.disconnect()
    }

    /// Reads everything out of a broker; the queue is empty afterwards.
    static func read(from process: BrokerProcess) async throws -> StoreContent {
        var content = StoreContent()
        let keeper = try await process.open()
        content.sessionPresent = try await keeper.connect(session, cleanStart: false) { $0.sessionExpirySeconds = .max - 1 }.sessionPresent
        try await gather(keeper, process, until: "headwater_queued_messages") { content.take($0, publisher: "q") }
        try await keeper.disconnect()
        let probe = try await process.open()
        try await probe.connect("probe")
        try await probe.subscribe([Subscribe.Entry(filter: "kept/#", qos: .atLeastOnce)])
        try await gather(probe, process, until: "headwater_queued_messages") { content.take($0, publisher: "r") }
        try await probe.disconnect()
        return content
    }

    private mutating func take(_ publish: Publish, publisher: String) {
        guard let name = MessageName(payload: publish.payload), name.publisher == publisher, name.isWhole(publish.payload) else {
            spoiled += 1
            return
        }
        if publisher == "q" { queued.append(name.number) } else { retained.insert(name.number) }
    }

    /// Takes messages and completes their exchanges until none is left.
    private static func gather(_ client: ScriptedClient, _ process: BrokerProcess, until figure: String, _ take: (Publish) -> Void)
        async throws
    {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            switch try await client.arrival(within: .milliseconds(50)) {
            case .packet(.publish(let publish)):
                take(publish)
                if publish.qos == .atLeastOnce { client.send(.pubAck(Acknowledgement(packetID: publish.packetID))) }
                if publish.qos == .exactlyOnce { client.send(.pubRec(Acknowledgement(packetID: publish.packetID))) }
            case .packet(.pubRel(let release)): client.send(.pubComp(Acknowledgement(packetID: release.packetID)))
            case .packet: continue
            case .closed: throw ScriptedClientError("the broker closed the reader's connection", file: #fileID, line: #line)
            case .silence: if try await process.metrics()[figure] == 0 { return }
            }
        }
        throw ScriptedClientError("the queue does not become empty", file: #fileID, line: #line)
    }
}
