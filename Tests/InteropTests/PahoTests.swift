import BrokerTestKit
import Foundation
import Headwater
import Testing

/// paho-mqtt, the library that most programs use, in both of its versions of the protocol. The scenarios are in
/// Scripts/paho_scenarios.py.
@Suite("paho-mqtt")
struct PahoTests {
    /// A Python that can import paho: Debian's own, where python3-paho-mqtt puts it, or the first in PATH.
    private static func python() async throws -> String {
        for path in ["/usr/bin/python3", try? Tool.path(of: "python3", package: "python3")].compactMap({ $0 })
        where FileManager.default.isExecutableFile(atPath: path) {
            if try await Tool(path, ["-c", "import paho.mqtt.client"]).end().exitCode == 0 { return path }
        }
        throw ScriptedClientError("no python3 can import paho.mqtt: install python3-paho-mqtt, or run scripts/setup", file: #fileID, line: #line)
    }

    @Test(
        "the everyday scenarios", arguments: ["3.1.1", "5"],
        ["exactly_once_both_ways", "retained", "will", "session_resume", "large", "burst"])
    func scenario(version: String, name: String) async throws { try await run(name, version) }

    @Test("properties and subscription options of MQTT 5")
    func properties() async throws { try await run("properties", "5") }

    private func run(_ name: String, _ version: String) async throws {
        let script = try #require(Bundle.module.path(forResource: "paho_scenarios", ofType: "py", inDirectory: "Scripts"))
        let python = try await Self.python()
        let harness = try await BrokerHarness.start(eventLoops: 2)
        do {
            let output = try await Tool(python, [script, name, "127.0.0.1", "\(harness.port)", version]).end(within: .seconds(60))
            #expect(output.exitCode == 0 && output.lines == ["done"], "\(output.text)\(output.errors)")
            #expect(await harness.broker.statistics().unaccountedDeliveries == 0)
        } catch {
            await harness.stop()
            throw error
        }
        await harness.stop()
    }
}
