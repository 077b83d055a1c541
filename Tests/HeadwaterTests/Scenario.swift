import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// Runs `body` against a broker of its own, and at the end asks the broker where every delivery has gone: the balance is
/// part of every scenario (`BrokerStatistics.deliveriesDue`).
func withBroker(
    _ loops: Int, plugins: [any BrokerPlugin] = [], isAlone: Bool = false, sourceLocation: SourceLocation = #_sourceLocation,
    configure: (inout BrokerConfiguration) -> Void = { _ in }, _ body: (BrokerHarness) async throws -> Void
) async throws {
    let harness = try await BrokerHarness.start(eventLoops: loops, plugins: plugins, isAlone: isAlone, configure: configure)
    do {
        try await body(harness)
    } catch {
        await harness.stop()
        throw error
    }
    let statistics = await harness.broker.statistics()
    #expect(statistics.unaccountedDeliveries == 0, "deliveries in no known place", sourceLocation: sourceLocation)
    #expect(statistics.queuedMessages >= 0 && statistics.queuedBytes >= 0 && statistics.inflightMessages >= 0, sourceLocation: sourceLocation)
    #expect(statistics.pausedPublishers >= 0 && statistics.sessionsOffline >= 0, sourceLocation: sourceLocation)
    await harness.stop()
}

extension BrokerHarness {
    /// A connected client with one subscription.
    func subscriber(
        _ clientID: String, _ filter: String, qos: QoS = .atMostOnce, version: ProtocolVersion = .v5, cleanStart: Bool = true,
        file: String = #fileID, line: Int = #line, _ adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ScriptedClient {
        let client = try await connect(clientID, version: version, cleanStart: cleanStart, file: file, line: line, adjust)
        let reason = try await client.subscribe(filter, qos: qos, file: file, line: line)
        guard !reason.isError else { throw ScriptedClientError("SUBSCRIBE \(filter): \(reason)", file: file, line: line) }
        return client
    }

    /// Whether the broker still does its work for a client that has never been here.
    func expectHealthy(file: String = #fileID, line: Int = #line) async throws {
        let client = try await subscriber("healthy", "healthy", qos: .atLeastOnce, file: file, line: line)
        try await client.publish(message("healthy", "yes", qos: .atLeastOnce), file: file, line: line)
        let received = try await client.receive(1, file: file, line: line)
        guard received.first?.text == "yes" else { throw ScriptedClientError("received \(received)", file: file, line: line) }
        try await client.disconnect(file: file, line: line)
    }

    /// Waits until `count` sessions have no connection.
    func waitForOffline(_ count: Int, file: String = #fileID, line: Int = #line) async throws {
        try await wait(for: "\(count) sessions offline", file: file, line: line) { $0.sessionsOffline == count }
    }
}

/// A PUBLISH with a text as payload. `id` is left out at QoS 0.
func message(
    _ topic: String, _ text: String, qos: QoS = .atMostOnce, id: UInt16 = 1, retain: Bool = false, _ adjust: (inout Publish) -> Void = { _ in }
) -> Publish {
    var publish = Publish(
        topic: topic, payload: Array(text.utf8), qos: qos, retain: retain, packetID: qos == .atMostOnce ? 0 : id)
    adjust(&publish)
    return publish
}

extension Publish {
    var text: String { String(decoding: payload, as: UTF8.self) }
}

/// Lets time pass where nothing but time brings what is tested: an expiry, a delay, a keep alive.
func elapse(_ time: Duration) async throws { try await Task.sleep(for: time) }

/// Every protocol test runs on one event loop, and on three, where neighbours in time are neighbours on no loop.
let loopCounts = [1, 3]
