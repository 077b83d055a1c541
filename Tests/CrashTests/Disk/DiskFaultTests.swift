import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Testing

extension StoreUnderFire {
    /// A disk that is full, read-only or broken for a while: nothing is promised that can't be kept, the rest goes on, and all
    /// is well again by itself.
    @Suite("Disk faults", .enabled(if: CrashSettings.hasStore))
    struct DiskFaultTests {
        struct Fault: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let error: Int32
            let calls: StoreShim.Calls
            var passes = 0

            static let all = [
                Fault(testDescription: "no space for writes", error: ENOSPC, calls: [.write, .truncate, .create]),
                Fault(testDescription: "no space in the middle of a write", error: ENOSPC, calls: [.write, .truncate, .create, .short]),
                Fault(testDescription: "no space at the sync", error: ENOSPC, calls: .sync),
                Fault(testDescription: "read-only", error: EROFS, calls: .all),
                Fault(testDescription: "writes fail", error: EIO, calls: .write),
                Fault(testDescription: "syncs fail", error: EIO, calls: .sync),
                Fault(testDescription: "the seventh call and all after it fail", error: EIO, calls: .all, passes: 6),
            ]
        }

        @Test("a fault of the disk: refused, alive, recovered, nothing acknowledged lost", arguments: Fault.all)
        func fault(_ fault: Fault) async throws {
            var options = CrashOptions(seed: CrashSettings.seed, loops: 2, durability: .sync)
            options.usesShim = true
            let lives = try BrokerLives(options, name: "disk")
            let shim = try #require(lives.shim)
            try await watched(lives) {
                try await run(
                    lives, fail: { try shim.fail(fault.calls, with: fault.error, after: fault.passes) }, heal: { _ in try shim.heal() })
                #expect(shim.failedCalls >= 1)
            }
        }

        @Test("a store at its max_size")
        func mapFull() async throws {
            var options = CrashOptions(seed: CrashSettings.seed, loops: 2, durability: .sync)
            options.storeOptions = ["max_size: 2MiB"]
            let lives = try BrokerLives(options, name: "disk")
            // The queue of somebody who is away fills the store, and that somebody reads it away.
            try await watched(lives) {
                try await run(
                    lives,
                    fail: {
                        let process = try #require(await lives.process)
                        let hoarder = try await process.open()
                        try await hoarder.connect("hoarder") { $0.sessionExpirySeconds = 3_600 }
                        try await hoarder.subscribe([Subscribe.Entry(filter: "hoard", qos: .atLeastOnce)])
                        try await hoarder.disconnect()
                        let filler = try await process.open()
                        try await filler.connect("filler")
                        // The answers that don't come any more are not waited for.
                        for number in 1...400 {
                            filler.send(
                                .publish(
                                    Publish(topic: "hoard", payload: [UInt8](repeating: 7, count: 10_000), qos: .atLeastOnce, packetID: UInt16(number))))
                        }
                    },
                    heal: { process in
                        let hoarder = try await process.open()
                        let answer = try await hoarder.connect("hoarder", cleanStart: false) { $0.sessionExpirySeconds = 3_600 }
                        #expect(answer.sessionPresent)
                        let deadline = ContinuousClock.now + .seconds(60)
                        while ContinuousClock.now < deadline {
                            switch try await hoarder.arrival(within: .milliseconds(200)) {
                            case .packet(.publish(let publish)): hoarder.send(.pubAck(Acknowledgement(packetID: publish.packetID)))
                            case .silence: if try await process.page("/readyz").contains(" 200 ") { return }
                            default: continue
                            }
                        }
                    })
            }
        }

        private func watched(_ lives: BrokerLives, _ body: () async throws -> Void) async throws {
            do {
                try await body()
                await lives.tearDown(keepingFiles: false)
            } catch {
                await lives.tearDown(keepingFiles: true)
                Issue.record("\(error)\nfiles: \(lives.directory.path)\n\(lives.logTail)")
            }
        }

        // MARK: The course of a fault

        private func run(_ lives: BrokerLives, fail: () async throws -> Void, heal: (BrokerProcess) async throws -> Void) async throws {
            let process = try await lives.startReady()
            let keeper = try await process.open()
            try await keeper.connect("keeper") { $0.sessionExpirySeconds = 3_600 }
            try await keeper.subscribe([Subscribe.Entry(filter: "queue/#", qos: .atLeastOnce)])
            try await keeper.disconnect()
            let live = try await process.open()
            try await live.connect("live")
            try await live.subscribe([Subscribe.Entry(filter: "free/#")])
            var publisher = FaultPublisher(client: try await process.open())
            try await publisher.client.connect("publisher")
            for _ in 0..<20 { #expect(try await publisher.publish() == .success) }
            try await publisher.client.publish(Publish(topic: "kept", payload: [1], qos: .atLeastOnce, retain: true, packetID: 1))

            try await fail()
            // Whoever meets the fault first has been promised nothing, and is told so; whoever comes later is refused.
            publisher.send()
            let first = try await publisher.answer()
            #expect(first == .success || first == .quotaExceeded)
            try await waitForPage(process, "/readyz", status: 503, contains: "store")
            var refused = FaultPublisher(client: try await process.open(), name: "refused")
            try await refused.client.connect("refused")
            #expect(try await refused.publish() == .quotaExceeded)
            let old = try await process.open(version: .v3_1_1)
            try await old.connect("old")
            old.send(
                .publish(Publish(topic: "queue/old", payload: MessageName("old", 1).payload(bytes: 30), qos: .atLeastOnce, packetID: 1)))
            try await old.expectNothing(for: .milliseconds(300))

            // The rest goes on.
            #expect(try await process.page("/healthz").contains(" 200 "))
            let free = try await process.open()
            try await free.connect("free")
            try await free.publish(Publish(topic: "free/x", payload: [1]))
            _ = try await live.receive(1, within: .seconds(30))
            try await free.subscribe([Subscribe.Entry(filter: "kept")])
            _ = try await free.receive(1, within: .seconds(30))

            try await heal(process)
            try await waitForPage(process, "/readyz", status: 200, contains: "")
            if first != .success { #expect(try await publisher.repeatOnNewConnection(to: process) == .success) }
            _ = try await old.first("PUBACK below MQTT 5", within: .seconds(60)) { if case .pubAck = $0 { true } else { nil } }
            for _ in 0..<5 { #expect(try await publisher.publish() == .success) }
            #expect(try await refused.publish() == .success)

            await process.kill()
            let next = try await lives.startReady()
            let acknowledged = publisher.acknowledged
            let received = try await readQueue(next)
            #expect(received.filter { acknowledged.contains($0) } == acknowledged, "acknowledged \(acknowledged), received \(received)")
        }

        private func waitForPage(_ process: BrokerProcess, _ path: String, status: Int, contains text: String) async throws {
            let deadline = ContinuousClock.now + .seconds(60)
            while true {
                let page = try await process.page(path)
                if page.contains(" \(status) "), text.isEmpty || page.contains(text) { return }
                guard ContinuousClock.now < deadline else {
                    throw ScriptedClientError("\(path) does not become \(status) \(text): \(page)", file: #fileID, line: #line)
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }

        /// The numbers of what the publisher's messages have left in the keeper's queue, first receptions only.
        private func readQueue(_ process: BrokerProcess) async throws -> [Int] {
            let keeper = try await process.open()
            let answer = try await keeper.connect("keeper", cleanStart: false) { $0.sessionExpirySeconds = 3_600 }
            #expect(answer.sessionPresent)
            var numbers: [Int] = []
            let deadline = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < deadline {
                switch try await keeper.arrival(within: .milliseconds(50)) {
                case .packet(.publish(let publish)):
                    keeper.send(.pubAck(Acknowledgement(packetID: publish.packetID)))
                    if let name = MessageName(payload: publish.payload), name.publisher == "f", !numbers.contains(name.number) {
                        numbers.append(name.number)
                    }
                case .silence: if try await process.metrics()["headwater_queued_messages"] == 0 { return numbers }
                default: continue
                }
            }
            return numbers
        }
    }
}

/// Publishes at QoS 1 and remembers what was acknowledged.
private struct FaultPublisher {
    private(set) var client: ScriptedClient
    private let name: String
    private var number = 0
    private(set) var acknowledged: [Int] = []

    init(client: ScriptedClient, name: String = "f") {
        self.client = client
        self.name = name
    }

    mutating func send() {
        number += 1
        let payload = MessageName(name, number).payload(bytes: 3_000)
        client.send(.publish(Publish(topic: "queue/f", payload: payload, qos: .atLeastOnce, packetID: 1)))
    }

    /// PUBACK, or DISCONNECT where the broker can't say whether it has the message.
    mutating func answer() async throws -> ReasonCode {
        let reason = try await client.first("PUBACK or DISCONNECT", within: .seconds(60)) { packet -> ReasonCode? in
            switch packet {
            case .pubAck(let answer): answer.reason
            case .disconnect(let disconnect): disconnect.reason
            default: nil
            }
        }
        if !reason.isError { acknowledged.append(number) }
        return reason
    }

    /// As a client does that was cut off before its acknowledgement.
    mutating func repeatOnNewConnection(to process: BrokerProcess) async throws -> ReasonCode {
        client = try await process.open()
        try await client.connect("publisher")
        number -= 1
        return try await publish()
    }

    mutating func publish() async throws -> ReasonCode {
        send()
        return try await answer()
    }
}
