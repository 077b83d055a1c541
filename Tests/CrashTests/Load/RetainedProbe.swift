import BrokerTestKit
import MQTTModel
import MQTTWire
import Synchronization

/// A fresh subscriber that looks at the retained messages and goes.
struct RetainedProbe {
    let process: BrokerProcess
    let journal: Journal
    var patience = Duration.seconds(15)

    /// Subscribes, and gathers what comes until it is what the model expects or time is up.
    func look(_ filter: String) async throws {
        let client = try await process.open()
        try await client.connect("probe")
        let since = journal.count
        client.send(.subscribe(Subscribe(packetID: 1, entries: [Subscribe.Entry(filter: filter, qos: .atLeastOnce)])))
        var seen: [String: MessageName] = [:]
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            switch try await client.arrival(within: .milliseconds(60)) {
            case .packet(.publish(let publish)):
                if publish.qos != .atMostOnce { client.send(.pubAck(Acknowledgement(packetID: publish.packetID))) }
                guard publish.retain else { continue }
                if let name = MessageName(payload: publish.payload), name.isWhole(publish.payload) {
                    seen[publish.topic] = name
                } else {
                    journal.note(.receivedNonsense(client: "probe", topic: publish.topic, bytes: publish.payload.count))
                }
                continue
            case .packet: continue
            case .closed: throw ScriptedClientError("the broker closed the probe's connection", file: #fileID, line: #line)
            case .silence: break
            }
            // Silence: all has come, or the machine is slow.
            if CrashModel.retainedMatches(journal.history, seen, since: since) { break }
        }
        journal.note(.retainedSeen(client: "probe", since: since, seen))
        try await client.disconnect()
    }
}

/// A fault point's name that two methods of a run share.
final class FaultBox: Sendable {
    private let fault = Mutex<String?>(nil)
    func get() -> String? { fault.withLock { $0 } }
    func set(_ new: String?) { fault.withLock { $0 = new } }
}
