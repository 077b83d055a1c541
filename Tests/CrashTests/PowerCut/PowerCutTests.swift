import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Testing

extension StoreUnderFire {
    /// With `durability: commit` a power cut takes what came after the last synchronisation, and nothing before it, and leaves
    /// no gap. (With `sync` it takes nothing: that is a crash run, in `CrashTests`.)
    @Suite("Power cuts", .enabled(if: CrashSettings.hasStore))
    struct PowerCutTests {
        @Test("durability commit: a beginning of what was published, no shorter than the last synchronisation")
        func commit() async throws {
            var options = CrashOptions(seed: CrashSettings.seed, loops: 2, durability: .commit)
            options.usesShim = true
            options.cutsPower = true
            options.storeOptions = ["sync_interval: 100ms"]
            let lives = try BrokerLives(options, name: "powercut")
            var random = SeededRandom(CrashSettings.seed, "power cuts")
            do {
                var checked = 0
                var lost = 0
                for number in 1...(CrashSettings.kills.map { $0 / 2 } ?? 6) {
                    let (published, safe, received) = try await oneCut(number, lives, &random)
                    checked += safe
                    lost += published - received.count
                    #expect(
                        received == Array(0..<received.count), "cut \(number), seed \(CrashSettings.seed): a gap or a double in \(received)"
                    )
                    #expect(
                        received.count >= safe,
                        "cut \(number), seed \(CrashSettings.seed): \(received.count) of \(published) messages are left, the last synchronisation had \(safe)"
                    )
                }
                print(
                    "power cuts with durability commit, seed \(CrashSettings.seed): \(checked) messages had to stay, \(lost) unsynchronised ones went"
                )
                let check = try await Program.run(["db", "check", "--store", lives.store])
                #expect(check.ending == .exit(0), "\(check.output)")
                #expect(!lives.log.contains("damaged"), "\(lives.logTail)")
                await lives.tearDown(keepingFiles: false)
            } catch {
                await lives.tearDown(keepingFiles: true)
                Issue.record("seed \(CrashSettings.seed): \(error)\nfiles: \(lives.directory.path)\n\(lives.logTail)")
            }
        }

        /// - Returns: How many messages were acknowledged, how many of them the last synchronisation had surely seen, and the
        ///   numbers of those that are left.
        private func oneCut(
            _ number: Int, _ lives: BrokerLives, _ random: inout SeededRandom
        ) async throws -> (published: Int, safe: Int, received: [Int]) {
            let shim = try #require(lives.shim)
            let process = try await lives.startReady()
            // A session of its own for each cut: the removal of what the last one has read may be undone by this one.
            let keeper = try await process.open()
            try await keeper.connect("keeper\(number)") { $0.sessionExpirySeconds = 3_600 }
            try await keeper.subscribe([Subscribe.Entry(filter: "queue\(number)/#", qos: .exactlyOnce)])
            try await keeper.disconnect()
            let publisher = try await process.open()
            try await publisher.connect("publisher")
            // How long the log was when each was acknowledged.
            var acknowledged: [Int] = []
            let end = ContinuousClock.now + .milliseconds(Int.random(in: 300...1_500, using: &random))
            // At least so long that two synchronisations have come.
            while ContinuousClock.now < end || acknowledged.count < 20 {
                let payload = MessageName("c", acknowledged.count).payload(bytes: random.oneIn(6) ? 9_000 : 100)
                let reason = try await publisher.publish(
                    Publish(topic: "queue\(number)/x", payload: payload, qos: random.oneIn(2) ? .atLeastOnce : .exactlyOnce, packetID: 1))
                guard reason == .success else { throw ScriptedClientError("PUBLISH answered with \(reason)", file: #fileID, line: #line) }
                acknowledged.append(shim.logBytes)
            }
            await process.kill()
            // A checkpoint takes the state of its beginning; the second one after an acknowledgement has begun after it.
            let checkpoints = try shim.records().filter { $0.kind == .directorySync }.map(\.end)
            let last = checkpoints.count >= 2 ? checkpoints[checkpoints.count - 2] : 0
            let safe = acknowledged.count { $0 <= last }
            try await lives.cutPower(always: true)
            return (acknowledged.count, safe, try await readQueue(number, try await lives.startReady(), lives))
        }

        private func readQueue(_ number: Int, _ process: BrokerProcess, _ lives: BrokerLives) async throws -> [Int] {
            let keeper = try await process.open()
            let answer = try await keeper.connect("keeper\(number)", cleanStart: false) { $0.sessionExpirySeconds = 3_600 }
            var numbers: [Int] = []
            let deadline = ContinuousClock.now + .seconds(60)
            reading: while answer.sessionPresent, ContinuousClock.now < deadline {
                switch try await keeper.arrival(within: .milliseconds(50)) {
                case .packet(.publish(let publish)):
                    guard let name = MessageName(payload: publish.payload), name.isWhole(publish.payload) else {
                        throw ScriptedClientError("a spoiled payload", file: #fileID, line: #line)
                    }
                    numbers.append(name.number)
                    keeper.send(
                        publish.qos == .exactlyOnce
                            ? .pubRec(Acknowledgement(packetID: publish.packetID)) : .pubAck(Acknowledgement(packetID: publish.packetID)))
                case .packet(.pubRel(let release)): keeper.send(.pubComp(Acknowledgement(packetID: release.packetID)))
                case .silence: if try await process.metrics()["headwater_queued_messages"] == 0 { break reading }
                default: continue
                }
            }
            // An orderly end, so that the next cut begins with a store that is on the disk.
            _ = await process.terminate()
            try await lives.cutPower(always: true)
            return numbers
        }
    }
}
