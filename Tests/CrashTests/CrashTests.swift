import Foundation
import MQTTModel
import Testing

extension StoreUnderFire {
    /// The real program under load, killed again and again. The bounded share of `swift test`; `make crash-test` sets
    /// HEADWATER_CRASH_KILLS and makes each test as long as that.
    @Suite("Crashes")
    struct CrashTests {
        struct Configuration: Sendable, CustomTestStringConvertible {
            let loops: Int
            let durability: CrashOptions.Durability
            var testDescription: String { "\(loops) loops, \(durability.rawValue)" }

            static let all = [1, 3].flatMap { loops in CrashOptions.Durability.allCases.map { Configuration(loops: loops, durability: $0) }
            }
        }

        @Test("the load itself is sound: nobody is killed, and the model finds no fault", arguments: [1, 3])
        func noKills(loops: Int) async throws {
            var options = CrashOptions(seed: CrashSettings.seed, number: loops, loops: loops, kills: 0)
            options.lastLoad = .milliseconds(1_000)
            let (model, report) = try await CrashRun(options).perform()
            #expect(model.faults.isEmpty, "\(report)")
            #expect(model.tally.deliveriesChecked > 50 && model.tally.willsChecked > 0)
        }

        @Test("a broker that forgets everything is found out")
        func forgetful() async throws {
            // Its store is taken away between its lives: promises of every kind are broken at once.
            let options = CrashOptions(seed: CrashSettings.seed, number: 9, loops: 1, kills: 2)
            let run = try CrashRun(options, expectsFaults: true) { try? FileManager.default.removeItem(atPath: $0.store) }
            let (model, _) = try await run.perform()
            let kinds = Set(model.faults.map(\.kind))
            #expect(kinds.isSuperset(of: [.lost, .sessionLost]), "\(kinds)")
        }

        @Test(
            "kill -9 at any moment loses nothing that was acknowledged and doubles nothing at QoS 2", .enabled(if: CrashSettings.hasStore),
            arguments: Configuration.all)
        func killed(_ configuration: Configuration) async throws {
            try await series(configuration, number: 100) { _ in }
        }

        @Test("neither does a kill at any point of a commit", .enabled(if: CrashSettings.hasStore), arguments: Configuration.all)
        func killedAtFaultPoints(_ configuration: Configuration) async throws {
            try await series(configuration, number: 200) { $0.faultPoints = CrashOptions.everyFaultPoint }
        }

        @Test("with durability sync, a power cut loses nothing either", .enabled(if: CrashSettings.hasStore), arguments: [1, 3])
        func powerCut(loops: Int) async throws {
            try await series(Configuration(loops: loops, durability: .sync), number: 300) {
                $0.usesShim = true
                $0.cutsPower = true
                $0.faultPoints = CrashOptions.everyFaultPoint
            }
        }

        @Test("nor does a disk that fails before the kill", .enabled(if: CrashSettings.hasStore), arguments: Configuration.all)
        func failingDisk(_ configuration: Configuration) async throws {
            try await series(configuration, number: 400) {
                $0.usesShim = true
                $0.breaksDisk = true
            }
        }

        /// Runs of a few kills each, until there are as many as are asked for.
        private func series(_ configuration: Configuration, number: Int, _ adjust: (inout CrashOptions) -> Void) async throws {
            let wanted = CrashSettings.kills ?? CrashSettings.boundedKills
            var total = Tally()
            var run = 0
            while total.kills < wanted {
                var options = CrashOptions(
                    seed: CrashSettings.seed, number: number + run * 10 + configuration.loops, loops: configuration.loops,
                    durability: configuration.durability, kills: min(CrashSettings.killsOfOneRun, wanted - total.kills))
                adjust(&options)
                let (model, report) = try await CrashRun(options).perform()
                #expect(model.faults.isEmpty, "\(report)")
                total += model.tally
                run += 1
                // One fault is enough to read.
                if !model.faults.isEmpty { break }
            }
            print("\(configuration.testDescription), \(run) runs: \(total)")
        }
    }
}
