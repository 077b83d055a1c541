import BrokerTestKit
import Foundation
import Headwater
import PluginAPI
import Testing

/// One store through several lives of a broker.
final class StoreScenario {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString)").path
    private let loops: Int
    private let plugins: [any BrokerPlugin]
    private let configure: (inout BrokerConfiguration) -> Void

    init(_ loops: Int, plugins: [any BrokerPlugin] = [], configure: @escaping (inout BrokerConfiguration) -> Void = { _ in }) {
        self.loops = loops
        self.plugins = plugins
        self.configure = configure
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Runs `body` in a life of its own; the balance of deliveries is checked at its end.
    func life(loops: Int? = nil, _ body: (BrokerHarness) async throws -> Void) async throws {
        try await withBroker(loops ?? self.loops, plugins: plugins) { [directory, configure] in
            $0.store.directory = directory
            $0.store.durability = .commit
            configure(&$0)
        } _: { harness in
            try await body(harness)
        }
    }
}
