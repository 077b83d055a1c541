import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import NIOPosix
import Synchronization
import TestAuthority
import Testing

/// A fleet whose every device comes back at the same moment, with a full TLS handshake each.
@Suite("A storm at the door")
struct StormTests {
    /// `HEADWATER_TEST_STORM=10000` for as many clients.
    private static let count = ProcessInfo.processInfo.environment["HEADWATER_TEST_STORM"].flatMap { Int($0) } ?? 1_000

    /// Two clients that are in and measure how long a message takes from one to the other.
    private struct Probe {
        let publisher: ScriptedClient
        let subscriber: ScriptedClient

        init(_ door: Door, _ way: Way) async throws {
            subscriber = try await door.client("probe-subscriber", way)
            publisher = try await door.client("probe-publisher", way)
            try await subscriber.subscribe("probe", qos: .atLeastOnce)
        }

        /// Messages until `isOver` says so, each with its acknowledgement, every 5 ms at most.
        ///
        /// - Returns: Latencies in milliseconds, sorted. None is missing, or it throws.
        func measure(until isOver: @escaping @Sendable (Int) -> Bool) async throws -> [Double] {
            var latencies: [Double] = []
            while !isOver(latencies.count) {
                let began = ContinuousClock.now
                let payload = Array("\(latencies.count)".utf8)
                publisher.send(.publish(Publish(topic: "probe", payload: payload, qos: .atLeastOnce, packetID: 1)))
                let message = try await subscriber.nextPublish(within: .seconds(60))
                latencies.append(
                    Double((ContinuousClock.now - began).components.attoseconds / 1_000_000_000_000) / 1_000
                        + Double((ContinuousClock.now - began).components.seconds) * 1_000)
                guard message.payload == payload else { throw DoorFault("expected message \(latencies.count - 1), received another") }
                subscriber.send(.pubAck(Acknowledgement(packetID: message.packetID)))
                let isTaken: Bool = try await publisher.first("PUBACK", within: .seconds(60)) { if case .pubAck = $0 { true } else { nil } }
                guard isTaken else { break }
                try await Task.sleep(for: .milliseconds(5))
            }
            return latencies.sorted()
        }
    }

    @Test("every client of a fleet gets in after a cut and after a restart, and who is in loses nothing")
    func storm() async throws {
        let files = TestFiles()
        let listener = Door.Listener(
            "secure", "allow_anonymous: true\n" + files.tls("ticket_keys: \(files.path("tickets"))", "handshake_timeout: 60s"))
        try await Door.with([listener], "limits:\n  connect_timeout: 60s\n  max_half_open_per_address: 1000000", isAlone: true) { door in
            let way = Way("secure", tls: try files.clientTLS())
            // Not on the threads that do the fleet's half of the handshakes.
            var own = way
            own.group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let probe = try await Probe(door, own)
            let open: @Sendable (Int) async throws -> ScriptedClient = {
                try await door.client("device-\($0)", way) { $0.keepAliveSeconds = 600 }
            }
            let fleet = try await Crowd.gather(Self.count, open)
            try await door.waits(for: "headwater_connections", toBe: Self.count + 2)
            let quiet = try await probe.measure { $0 >= 300 }
            let atRest = try await door.process.metrics()["headwater_tls_handshake_steps_aside_total", default: 0]

            // A cut: every connection is gone without a word, and all come back at once.
            for client in fleet { await client.reset() }
            let isOver = Flag()
            async let busy = probe.measure { _ in isOver.isSet }
            let began = ContinuousClock.now
            let (back, attempts): ([ScriptedClient], Int)
            do {
                (back, attempts) = try await Crowd.storm(Self.count, open)
            } catch {
                isOver.set()
                throw error
            }
            let cut = ContinuousClock.now - began
            isOver.set()
            let stormy = try await busy
            try await door.waits(for: "headwater_connections", toBe: Self.count + 2)
            let figures = try await door.process.metrics()
            #expect(unaccountedDeliveries(figures) == 0)
            #expect(figures["headwater_tls_handshakes_total", default: 0] >= Double(2 * Self.count + 2))
            // The probe's messages flow: the fleet's handshakes stay out of their way.
            #expect(figures["headwater_tls_handshake_steps_aside_total", default: 0] - atRest >= Double(Self.count))

            // A restart: the broker's own state is gone as well.
            try await door.restart()
            for client in back { await client.close() }
            let restarted = ContinuousClock.now
            let (again, moreAttempts) = try await Crowd.storm(Self.count, open)
            let restart = ContinuousClock.now - restarted
            try await door.waits(for: "headwater_connections", toBe: Self.count)
            print(
                """
                storm of \(Self.count): after the cut all were in within \(cut), \(attempts) attempts; after the restart within \(restart), \
                \(moreAttempts) attempts
                probe: quiet \(Self.text(quiet)); in the storm \(Self.text(stormy))
                """)
            for client in again { await client.close() }
        }
    }

    @Test("threads for a storm's handshakes begin with the storm")
    func threads() async throws {
        let files = TestFiles()
        let listener = Door.Listener("secure", "allow_anonymous: true\n" + files.tls())
        try await Door.with([listener], isAlone: true) { door in
            // Their nice values (proc_pid_stat(5)); a thread may have ended meanwhile.
            let threads = {
                let tasks = "/proc/\(door.process.processIdentifier)/task"
                return try FileManager.default.contentsOfDirectory(atPath: tasks).compactMap { task -> Int? in
                    guard let stat = try? String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8), stat.contains("(TP-") else { return nil }
                    return stat.split(separator: ")").last.flatMap { Int($0.split(separator: " ")[16]) }
                }
            }
            let way = Way("secure", tls: try files.clientTLS())
            let probe = try await Probe(door, way)
            #expect(try threads().isEmpty)
            let isOver = Flag()
            async let busy = probe.measure { _ in isOver.isSet }
            // One that comes while messages flow.
            let deadline = ContinuousClock.now + .seconds(60)
            while try threads().isEmpty, ContinuousClock.now < deadline {
                await (try await door.client("device", way)).close()
            }
            isOver.set()
            _ = try await busy
            let niceValues = try threads()
            let own = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
            #expect(!niceValues.isEmpty && niceValues.allSatisfy { $0 == min(19, Int(own) + 10) }, "\(niceValues)")
        }
    }

    private static func text(_ sorted: [Double]) -> String {
        guard let last = sorted.last else { return "no messages" }
        let (half, most) = (sorted[sorted.count / 2], sorted[min(sorted.count - 1, sorted.count * 99 / 100)])
        return "\(sorted.count) messages, p50 \(half) ms, p99 \(most) ms, max \(last) ms"
    }
}

final class Tally: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}
