import ArgumentParser
import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import Testing

@testable import headwater_cli

/// `headwater bridge` before a broker in a process of its own, with a development Kafka inside.
@Suite(.timeLimit(.minutes(3))) struct BridgeCommandTests {
    @Test("each subcommand takes its route and options")
    func arguments() throws {
        let status = try #require(try HeadwaterCommand.parseAsRoot(["bridge", "status", "--admin", "unix:/r", "--json"]) as? BridgeStatusCommand)
        #expect(status.connection.admin == "unix:/r" && status.connection.json)
        let pause = try #require(try HeadwaterCommand.parseAsRoot(["bridge", "pause", "r", "-c", "f.yaml"]) as? BridgePauseCommand)
        #expect(pause.route == "r" && pause.connection.config == "f.yaml")
        let run = try #require(
            try HeadwaterCommand.parseAsRoot(["bridge", "dry-run", "r", "--count", "2", "--seconds", "3"]) as? BridgeDryRunCommand)
        #expect(run.count == 2 && run.seconds == 3)
        let resend = try #require(
            try HeadwaterCommand.parseAsRoot(["bridge", "dead-letters", "resend", "r", "4", "7", "--topic", "t"]) as? DeadLettersResendCommand)
        #expect(resend.selection.sequences == [4, 7] && resend.topic == "t" && !resend.selection.all)
        let drop = try #require(try HeadwaterCommand.parseAsRoot(["bridge", "dead-letters", "drop", "r", "--all"]) as? DeadLettersDropCommand)
        #expect(drop.selection.all)
    }

    @Test(
        "a wrong command line ends with 64",
        arguments: [
            ["pause"], ["status", "--admin", "9883"], ["status", "--admin", "127.0.0.1:1", "--config", "f"], ["dry-run", "r", "--count", "0"],
            ["dry-run", "r", "--seconds", "61"], ["dead-letters", "list"], ["dead-letters", "list", "r", "--count", "1001"],
            ["dead-letters", "show", "r", "x"], ["dead-letters", "drop", "r"], ["dead-letters", "drop", "r", "1", "--all"],
            ["dead-letters", "drop", "r", "-1"],
        ])
    func wrong(arguments: [String]) {
        do {
            _ = try HeadwaterCommand.parseAsRoot(["bridge"] + arguments)
            #expect(Bool(false), "accepted")
        } catch {
            #expect(HeadwaterCommand.exitCode(for: error).rawValue == 64)
        }
    }

    private func headwater(_ arguments: [String]) async throws -> Tool.Output {
        try await Tool(try BrokerProcess.builtExecutable(), ["bridge"] + arguments).end()
    }

    @Test("without a broker it says what to do, and ends with 1")
    func noBroker() async throws {
        for admin in ["127.0.0.1:\(FreePort.next())", "unix:/nonexistent/http.sock"] {
            let output = try await headwater(["status", "--admin", admin])
            #expect(output.exitCode == 1 && output.text.isEmpty)
            #expect(output.errors.contains("no broker answers at \(admin)") && output.errors.contains("--admin"), "\(output.errors)")
        }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bridge-\(UUID().uuidString).yaml")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("listeners: []\n".utf8).write(to: file)
        let output = try await headwater(["status", "--config", file.path])
        #expect(output.exitCode == 1 && !output.errors.isEmpty)
    }

    @Test("a broker without a bridge says that it has none")
    func noBridge() async throws {
        let broker = try await BrokerProcess.start(executable: try BrokerProcess.builtExecutable())
        let output = try await headwater(["status", "--admin", "127.0.0.1:\(broker.httpPort)"])
        #expect(output.exitCode == 1 && output.errors.contains("has no Kafka bridge"), "\(output.errors)")
        await broker.terminate()
    }

    @Test("a route is watched, paused, tried out and mended from the command line")
    func wholeStory() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("bridge-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let port = FreePort.next()
        var launch = BrokerProcess.Launch(executable: try BrokerProcess.builtExecutable())
        launch.port = port
        launch.configuration = """
            listeners:
              - {name: local, address: "127.0.0.1:\(port)", allow_anonymous: true}
            store: {directory: "\(directory.path)/store"}
            kafka:
              clusters:
                development: {embedded: true, brokers: 1}
              routes:
                - {name: telemetry, filter: telemetry/#, cluster: development, topic: "plant.${topic[2]}"}
            """
        let broker = try BrokerProcess.launch(launch)
        guard await broker.becomesReady() else {
            Issue.record("\(broker.log)")
            return await broker.kill()
        }
        let admin = ["--admin", "127.0.0.1:\(broker.httpPort)"]
        func run(_ arguments: String...) async throws -> Tool.Output { try await headwater(arguments + admin) }
        let device = try await broker.open()
        try await device.connect(clientID: "pump-7")
        for (number, topic) in ["telemetry/a", "telemetry/bad name", "telemetry/a"].enumerated() {
            #expect(try await device.publish(topic, payload: Array("v\(number)".utf8), qos: .atLeastOnce, packetID: UInt16(number + 1)) == .success)
        }
        func waitFor(_ words: String) async throws -> Tool.Output {
            var output = try await run("status")
            let start = ContinuousClock.now
            while !output.text.contains(words), ContinuousClock.now - start < .seconds(30) { output = try await run("status") }
            #expect(output.text.contains(words), "\(output.everything)")
            return output
        }
        let status = try await waitFor("1 dead letters are kept here")
        #expect(status.exitCode == 0 && status.lines[0].hasPrefix("ROUTE") && status.lines[1].hasPrefix("telemetry  development  at-least-once  sending"))
        #expect(status.text.contains("telemetry: dead: illegal_topic 1"))

        #expect(try await run("pause", "telemetry").exitCode == 0)
        #expect(try await run("status").lines[1].contains("paused"))
        let dry = try Tool(try BrokerProcess.builtExecutable(), ["bridge", "dry-run", "telemetry", "--count", "1", "--seconds", "20"] + admin)
        var number = 10
        while dry.isRunning, number < 4_000 {
            _ = try await device.publish("telemetry/b", payload: Array("dry".utf8), qos: .atLeastOnce, packetID: UInt16(number))
            number += 1
            try await Task.sleep(for: .milliseconds(20))
        }
        let shown = try await dry.end()
        #expect(shown.exitCode == 0 && shown.text.contains("topic plant.b, partition by key, key telemetry/b"), "\(shown.everything)")
        #expect(shown.text.contains("value, 3 bytes: dry"))

        let list = try await run("dead-letters", "list", "telemetry")
        #expect(list.exitCode == 0 && list.text.contains("illegal_topic") && list.text.contains("telemetry/bad name") && list.text.contains("1 of 1"))
        let sequence = String(list.lines[1].drop { $0 == " " }.prefix { $0 != " " })
        let letter = try await run("dead-letters", "show", "telemetry", sequence)
        #expect(letter.exitCode == 0 && letter.text.contains("value, 2 bytes: v1"))
        #expect(try await run("dead-letters", "show", "telemetry", sequence, "--value").text == "v1")
        let refused = try await run("dead-letters", "resend", "telemetry", sequence)
        #expect(refused.exitCode == 1 && refused.errors.contains("\(sequence): it never had a Kafka topic"), "\(refused.errors)")
        let resent = try await run("dead-letters", "resend", "telemetry", "--all", "--topic", "plant.mended")
        #expect(resent.exitCode == 0 && resent.text == "1 put into the outbox again; 0 left\n", "\(resent.everything)")
        #expect(try await run("resume", "telemetry").exitCode == 0)
        _ = try await waitFor("telemetry  development  at-least-once  sending")
        #expect(try await run("dead-letters", "list", "telemetry").text == "no dead letters are kept\n")
        #expect(try await run("dead-letters", "drop", "telemetry", "5").exitCode == 1)
        let unknown = try await run("pause", "nothing")
        #expect(unknown.exitCode == 1 && unknown.errors.contains("there is no route"), "\(unknown.errors)")
        let json = try await run("status", "--json")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any])
        #expect((object["routes"] as? [[String: Any]])?.first?["resent"] as? Int == 1)
        await broker.terminate()
    }
}
