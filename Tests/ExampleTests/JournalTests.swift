import BrokerTestKit
import Foundation
import Headwater
import Journal
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

@Suite("The journal")
struct JournalTests {
    private func withJournal(
        filters: [String] = [], _ body: (BrokerHarness, URL) async throws -> Void
    ) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "headwater-journal-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let journal = Journal(file: file, filters: try filters.map { text throws(TopicError) in try TopicFilter(text) })
        let harness = try await BrokerHarness.start(plugins: [journal])
        do { try await body(harness, file) } catch {
            await harness.stop()
            throw error
        }
        await harness.stop()
    }

    private func lines(_ file: URL) throws -> [JournalLine] {
        try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(JournalLine.self, from: $0) }
    }

    @Test("a message is in the file when its acknowledgement comes", arguments: [QoS.atLeastOnce, .exactlyOnce])
    func acknowledgement(qos: QoS) async throws {
        try await withJournal { harness, file in
            let client = try await harness.connect("press")
            for number in UInt16(1)...20 {
                let payload: [UInt8] = [0, 10, 255, UInt8(number)]
                #expect(try await !client.publish("plant/\n\(number)", payload: payload, qos: qos, packetID: number).isError)
                let written = try lines(file)
                #expect(written.count == Int(number))
                #expect(written.last?.topic == "plant/\n\(number)")
                #expect(written.last?.client == "press")
                #expect(written.last?.payload == Data(payload))
            }
        }
    }

    @Test("acknowledgements come in the order of the messages, held and not held alike")
    func order() async throws {
        try await withJournal(filters: ["held/#"]) { harness, file in
            let client = try await harness.connect("press")
            let identifiers = Array(UInt16(1)...200)
            client.send(
                identifiers.map { number in
                    .publish(
                        Publish(topic: number.isMultiple(of: 3) ? "held/x" : "free/x", payload: [], qos: .atLeastOnce, packetID: number))
                })
            var acknowledged: [UInt16] = []
            for _ in identifiers {
                acknowledged.append(try await client.first("PUBACK") { if case .pubAck(let answer) = $0 { answer.packetID } else { nil } })
            }
            #expect(acknowledged == identifiers)
            #expect(try lines(file).map(\.topic) == Array(repeating: "held/x", count: 66))
        }
    }

    @Test("what was published before the stop is in the file after it, QoS 0 too")
    func stop() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "headwater-journal-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let harness = try await BrokerHarness.start(plugins: [Journal(file: file)])
        let client = try await harness.connect("press")
        for _ in 0..<500 { client.send(.publish(Publish(topic: "a", payload: [1]))) }
        try await client.ping()
        await harness.stop()
        #expect(try lines(file).count == 500)
    }

    @Test("a publisher is told when the file can't be written, and the broker is not ready")
    func failure() async throws {
        // Every write to this device fails with "no space left".
        let journal = Journal(file: URL(filePath: "/dev/full"))
        let harness = try await BrokerHarness.start(plugins: [journal])
        let client = try await harness.connect("press")
        #expect(try await client.publish("a", payload: [1], qos: .atLeastOnce, packetID: 1) == .unspecifiedError)
        #expect(journal.metrics().first?.value == 0)
        #expect(harness.broker.readiness().count == 1)
        await harness.stop()
    }

    @Test("a file that can't be opened stops the start")
    func badFile() async throws {
        let journal = Journal(file: URL(filePath: "/nonexistent/journal"))
        await #expect(throws: (any Error).self) { try await BrokerHarness.start(plugins: [journal]) }
    }
}
