import Glibc
import MQTTModel
import MQTTWire
import Synchronization

/// What `sub` does with packets: prints each message once, acknowledges it afterwards, and knows when it has seen enough.
final class Subscriber: Sendable {
    private let session: ClientSession
    private let format: MessageFormat
    private let filterOut: [TopicFilter]
    private let count: Int?
    private let endsAfterSubscribe: Bool
    private let skipsRetained: Bool
    private let retainedOnly: Bool

    private struct State {
        var printed = 0
        /// QoS 2 messages printed, whose PUBREL is to come.
        var unreleased: Set<UInt16> = []
        /// The QoS 2 message that was the last one wanted: its exchange is brought to its end first.
        var lastOfAll: UInt16?
        /// Topics by the alias that the broker gave them.
        var aliases: [UInt16: String] = [:]
    }
    private let state = Mutex(State())

    init(
        session: ClientSession, format: MessageFormat, filterOut: [TopicFilter], count: Int?, endsAfterSubscribe: Bool, skipsRetained: Bool,
        retainedOnly: Bool
    ) {
        self.session = session
        self.format = format
        self.filterOut = filterOut
        self.count = count
        self.endsAfterSubscribe = endsAfterSubscribe
        self.skipsRetained = skipsRetained
        self.retainedOnly = retainedOnly
    }

    /// - Returns: `false` when that was enough.
    func received(_ packet: Packet, _ writer: ClientSession.Writer) async throws -> Bool {
        switch packet {
        case .subAck(let subAck):
            if !subAck.reasons.contains(where: { !$0.isError }) { throw ClientFault.subscribeRefused(subAck.reasons.map(\.description)) }
            for reason in subAck.reasons where reason.isError { StandardStreams.complain("a subscription was refused: \(reason)") }
            return !endsAfterSubscribe
        case .unsubAck: return true
        case .pubRel(let release):
            let isLast = state.withLock { state in
                state.unreleased.remove(release.packetID)
                return state.lastOfAll == release.packetID
            }
            try await session.send(.pubComp(Acknowledgement(packetID: release.packetID)), writer)
            return !isLast
        case .publish(let publish): return try await received(publish, writer)
        default: throw ClientFault.unexpected(packet.type)
        }
    }

    private func received(_ publish: Publish, _ writer: ClientSession.Writer) async throws -> Bool {
        // What comes after the last message wanted stays unacknowledged.
        if state.withLock({ $0.lastOfAll != nil }) { return true }
        var publish = publish
        let (isNew, topic) = state.withLock { state in
            if publish.topicAlias != 0 {
                if publish.topic.isEmpty {
                    publish.topic = state.aliases[publish.topicAlias] ?? ""
                } else {
                    state.aliases[publish.topicAlias] = publish.topic
                }
            }
            return (publish.qos != .exactlyOnce || state.unreleased.insert(publish.packetID).inserted, publish.topic)
        }
        guard !topic.isEmpty else {
            throw ClientFault.disconnected(.topicAliasInvalid, "the broker used a topic alias that it had not set")
        }
        var hasEnough = retainedOnly && !publish.retain
        if isNew, !hasEnough, isWanted(publish) {
            // Printed before acknowledged: what is acknowledged has been seen.
            guard StandardStreams.write(format.bytes(of: publish)) else { return false }
            let printed = state.withLock { state in
                state.printed += 1
                return state.printed
            }
            hasEnough = printed == count
        }
        switch publish.qos {
        case .atMostOnce: break
        case .atLeastOnce: try await session.send(.pubAck(Acknowledgement(packetID: publish.packetID)), writer)
        case .exactlyOnce:
            try await session.send(.pubRec(Acknowledgement(packetID: publish.packetID)), writer)
            guard hasEnough else { return true }
            let packetID = publish.packetID
            state.withLock { $0.lastOfAll = packetID }
            return true
        }
        return !hasEnough
    }

    private func isWanted(_ publish: Publish) -> Bool {
        if skipsRetained, publish.retain { return false }
        return !filterOut.contains { $0.matches(publish.topic) }
    }
}
