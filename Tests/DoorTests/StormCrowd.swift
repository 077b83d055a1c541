import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Transport

/// Very many clients of this process.
enum Crowd {
    /// Opens clients, so many of them at once.
    ///
    /// - Parameter open: Called with numbers below `count`.
    static func gather(
        _ count: Int, atOnce: Int = 64, _ open: @escaping @Sendable (Int) async throws -> ScriptedClient
    ) async throws -> [ScriptedClient] {
        guard DirectSocket.raiseDescriptorLimit() > count + 200 else {
            throw DoorFault("\(count) clients need as many open files; raise the limit (ulimit -n)")
        }
        return try await withThrowingTaskGroup(of: ScriptedClient.self) { group in
            var clients: [ScriptedClient] = []
            clients.reserveCapacity(count)
            for number in 0..<count {
                if number >= atOnce, let client = try await group.next() { clients.append(client) }
                group.addTask { try await open(number) }
            }
            for try await client in group { clients.append(client) }
            return clients
        }
    }

    /// The same, for clients that are turned away at first: they come again until they are in.
    ///
    /// - Returns: And how often they have tried.
    static func storm(
        _ count: Int, patience: Duration = .seconds(240), _ open: @escaping @Sendable (Int) async throws -> ScriptedClient
    ) async throws -> (clients: [ScriptedClient], attempts: Int) {
        let attempts = Tally()
        let deadline = ContinuousClock.now + patience
        // All of them at once.
        let clients = try await gather(count, atOnce: count) { number in
            var pause = 50
            while true {
                attempts.add()
                do { return try await open(number) } catch {
                    guard ContinuousClock.now < deadline else { throw error }
                    // As devices do: a little later each time, and not all at the same moment.
                    try await Task.sleep(for: .milliseconds(Int.random(in: pause...2 * pause)))
                    pause = min(2 * pause, 2_000)
                }
            }
        }
        return (clients, attempts.count)
    }
}
