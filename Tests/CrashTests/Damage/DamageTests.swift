import BrokerTestKit
import Foundation
import Testing

extension StoreUnderFire {
    /// A spoiled store: the broker starts with all that was there, or does what `on_damage` says and cries out, or ends with 78.
    /// It never dies of it, and never starts with a part.
    @Suite("Damaged stores", TemplateRemoval(), .enabled(if: CrashSettings.hasStore))
    struct DamageTests {
        struct Case: Sendable, CustomTestStringConvertible {
            let damage: Damage
            let policy: DamagePolicy
            var seed = CrashSettings.seed
            var testDescription: String { "\(damage.name), \(policy.rawValue)" }

            /// 28 in `swift test`; in the long form all kinds, and those that are left to chance several times.
            static let all: [Case] = (CrashSettings.isLong ? Damage.all : Damage.common).flatMap { damage in
                DamagePolicy.allCases.flatMap { policy in
                    (0..<(CrashSettings.isLong && !damage.isFatal ? 5 : 1)).map {
                        Case(damage: damage, policy: policy, seed: CrashSettings.seed &+ UInt64($0))
                    }
                }
            }
        }

        enum Outcome: Equatable {
            case state(StoreContent.State)
            case exit78
            case other(String)
        }

        @Test("an untouched store starts with everything, whatever on_damage says", arguments: DamagePolicy.allCases)
        func untouched(policy: DamagePolicy) async throws {
            let copy = try await StoreTemplate.shared.copy()
            let outcome = try await start(copy, policy)
            #expect(outcome == .state(.full), "\(outcome): \(copy.log)")
            #expect(copy.setAside.isEmpty)
            copy.remove()
        }

        @Test("a damaged store", arguments: Case.all)
        func damaged(_ item: Case) async throws {
            let copy = try await StoreTemplate.shared.copy()
            var random = SeededRandom(item.seed, item.damage.name)
            var bytes = copy.bytes(item.damage.file)
            item.damage.apply(&bytes, &random)
            try copy.write(bytes, item.damage.file)
            let outcome = try await start(copy, item.policy)
            if let fault = judge(outcome, copy, item.policy, spoiled: bytes, isFatal: item.damage.isFatal, hasBackup: true) {
                Issue.record("\(fault), seed \(item.seed), files: \(copy.directory.path)\n\(copy.log)")
            } else {
                copy.remove()
            }
        }

        @Test("a damaged store with a damaged backup, or none", arguments: DamagePolicy.allCases, [true, false])
        func withoutBackup(policy: DamagePolicy, isThere: Bool) async throws {
            let copy = try await StoreTemplate.shared.copy()
            var random = SeededRandom(CrashSettings.seed, "backup")
            var bytes = copy.bytes("data.mdb")
            Damage.common[1].apply(&bytes, &random)
            try copy.write(bytes, "data.mdb")
            if isThere {
                var backup = copy.bytes("backup.mdb")
                Damage.common[3].apply(&backup, &random)
                try copy.write(backup, "backup.mdb")
            } else {
                try FileManager.default.removeItem(at: copy.store.appendingPathComponent("backup.mdb"))
            }
            let outcome = try await start(copy, policy)
            if let fault = judge(outcome, copy, policy, spoiled: bytes, isFatal: true, hasBackup: false) {
                Issue.record("\(fault), files: \(copy.directory.path)\n\(copy.log)")
            } else {
                copy.remove()
            }
        }

        @Test("a kill, or a power cut, at any call of a replacement: the next start replaces to the end", arguments: [false, true])
        func interrupted(cutsPower: Bool) async throws {
            var passes = 0
            var isKilled = true
            while isKilled, passes < 60 {
                isKilled = try await interrupt(at: passes, cutsPower: cutsPower)
                passes += 1
            }
            #expect(passes > 3)
        }

        /// - Returns: Whether the start came as far as that call.
        private func interrupt(at passes: Int, cutsPower: Bool) async throws -> Bool {
            let copy = try await StoreTemplate.shared.copy()
            defer { copy.remove() }
            var random = SeededRandom(CrashSettings.seed, "interrupted \(passes)")
            var bytes = copy.bytes("data.mdb")
            Damage.common[1].apply(&bytes, &random)
            try copy.write(bytes, "data.mdb")
            let shim = try StoreShim(store: copy.store.path, directory: copy.directory, recordsWrites: cutsPower)
            var disk = try shim.baseline()
            try shim.kill(at: .all, after: passes)
            let first = try await start(copy, .restore, shim.environment)
            guard first == .other("signal(9)") else {
                // What remains of the start lies behind the replacement; the kill may come while it serves.
                var wasReady = first == .state(.backup)
                if case .other(let text) = first { wasReady = text.hasPrefix("ready") }
                #expect(wasReady, "\(first)\n\(copy.log)")
                return false
            }
            try shim.heal()
            if cutsPower {
                disk.takeLife(try shim.records())
                try shim.cut(disk, &random)
            }
            let second = try await start(copy, .restore)
            // The interrupted attempt may have left a directory of its own.
            let isRight = second == .state(.backup) && (1...2).contains(copy.setAside.count)
            #expect(isRight, "killed at call \(passes), seed \(CrashSettings.seed): \(second), \(copy.setAside)\n\(copy.log)")
            return true
        }

        @Test("a damaged checkpoint is told, and does no harm to a store that is intact", arguments: [0, 1, 2, 3])
        func checkpoint(kind: Int) async throws {
            let copy = try await StoreTemplate.shared.copy()
            let shim = try StoreShim(store: copy.store.path, directory: copy.directory, recordsWrites: false)
            // The kill leaves a checkpoint; an orderly end removes it.
            let process = try launch(copy, .stop, durability: "commit", shim.environment)
            #expect(await process.becomesReady(within: .seconds(60)), "\(copy.log)")
            await process.kill()
            var bytes = copy.bytes("checkpoint")
            try #require(bytes.count > 100)
            switch kind {
            case 0: bytes = []
            case 1: bytes[bytes.count / 2] ^= 1
            case 2: bytes = Array(bytes.prefix(bytes.count / 2))
            default: bytes = bytes.map { ~$0 }
            }
            try copy.write(bytes, "checkpoint")
            try shim.reboot()
            let outcome = try await start(copy, .stop, durability: "commit", shim.environment)
            #expect(outcome == .state(.full) && copy.log.contains("damaged"), "\(outcome)\n\(copy.log)")
            copy.remove()
        }

        @Test("a store of a later version is refused and left alone, whatever on_damage says", arguments: DamagePolicy.allCases)
        func laterVersion(policy: DamagePolicy) async throws {
            let copy = try await StoreTemplate.shared.copy()
            try LaterFormat.write(into: copy.store.appendingPathComponent("data.mdb").path)
            let bytes = copy.bytes("data.mdb")
            let outcome = try await start(copy, policy)
            #expect(outcome == .exit78 && copy.setAside.isEmpty && copy.bytes("data.mdb") == bytes, "\(outcome)\n\(copy.log)")
            copy.remove()
        }

        @Test("what headwater db backup writes, restore restores")
        func backup() async throws {
            let copy = try await StoreTemplate.shared.copy()
            let backup = copy.store.appendingPathComponent("backup.mdb").path
            try FileManager.default.removeItem(atPath: backup)
            let result = try await Program.run(["db", "backup", "--store", copy.store.path, backup])
            #expect(result.ending == .exit(0), "\(result.output)")
            try copy.write([], "data.mdb")
            let outcome = try await start(copy, .restore)
            #expect(outcome == .state(.full) && copy.setAside.count == 1, "\(outcome): \(copy.log)")
            copy.remove()
        }

        @Test("headwater db check tells an intact store from a damaged one")
        func check() async throws {
            let copy = try await StoreTemplate.shared.copy()
            let sound = try await Program.run(["db", "check", "--store", copy.store.path])
            #expect(sound.ending == .exit(0), "\(sound.output)")
            for damage in Damage.common where damage.isFatal {
                let copy = try await StoreTemplate.shared.copy()
                var random = SeededRandom(CrashSettings.seed, damage.name)
                var bytes = copy.bytes("data.mdb")
                damage.apply(&bytes, &random)
                try copy.write(bytes, "data.mdb")
                let result = try await Program.run(["db", "check", "--store", copy.store.path])
                #expect(result.ending == .exit(1), "\(damage.name): \(result.ending) \(result.output)")
                copy.remove()
            }
            copy.remove()
        }

        // MARK: One start

        private func launch(
            _ copy: StoreTemplate.Copy, _ policy: DamagePolicy, durability: String = "sync", _ environment: [String: String] = [:]
        ) throws -> BrokerProcess {
            let file = copy.directory.appendingPathComponent("headwater.yaml")
            try "store:\n  durability: \(durability)\n  on_damage: \(policy.rawValue)\n".write(to: file, atomically: true, encoding: .utf8)
            var launch = BrokerProcess.Launch(
                executable: try BrokerProcess.builtExecutable(),
                arguments: ["--store", copy.store.path, "--config", file.path, "--loops", "2"])
            launch.logPath = copy.directory.appendingPathComponent("broker.log").path
            launch.environment = environment
            return try BrokerProcess.launch(launch)
        }

        private func start(
            _ copy: StoreTemplate.Copy, _ policy: DamagePolicy, durability: String = "sync", _ environment: [String: String] = [:]
        ) async throws -> Outcome {
            let process = try launch(copy, policy, durability: durability, environment)
            guard await process.becomesReady(within: .seconds(60)) else {
                let ending = process.ending
                await process.kill()
                return ending == .exit(78) ? .exit78 : .other(ending.map { "\($0)" } ?? "neither ready nor at its end")
            }
            do {
                let content = try await StoreContent.read(from: process)
                if content.state == .mixed { print("mixed: \(content)") }
                guard await process.terminate() == 0 else { return .other("ended badly after a good start") }
                return .state(content.state)
            } catch {
                await process.kill()
                return .other("ready, and then \(error)")
            }
        }

        /// What is wrong with an outcome.
        private func judge(
            _ outcome: Outcome, _ copy: StoreTemplate.Copy, _ policy: DamagePolicy, spoiled: [UInt8], isFatal: Bool, hasBackup: Bool
        ) -> String? {
            switch outcome {
            case .other(let text): return "it \(text)"
            case .exit78:
                guard policy == .stop || policy == .restore && !hasBackup else {
                    return "exit 78, although on_damage is \(policy.rawValue)"
                }
                return copy.bytes("data.mdb") == spoiled ? nil : "exit 78, and the damaged file is not as it was"
            case .state(.full): return isFatal ? "a start with everything out of a store that is destroyed" : nil
            case .state(.mixed): return "a start with a part"
            case .state(let state):
                let isAllowed =
                    state == .backup ? policy.restores && hasBackup : policy == .empty || policy == .restoreOrEmpty && !hasBackup
                guard isAllowed else { return "a start with the state \(state.rawValue), although on_damage is \(policy.rawValue)" }
                guard let place = copy.setAside.first, copy.setAside.count == 1 else { return "set aside: \(copy.setAside)" }
                guard copy.bytes("\(place)/data.mdb") == spoiled else { return "what was set aside is not what was damaged" }
                return copy.log.localizedCaseInsensitiveContains("damaged") ? nil : "no alarm in the log"
            }
        }
    }
}
