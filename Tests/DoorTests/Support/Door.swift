import BrokerTestKit
import Foundation
import Synchronization
import TestAuthority
import Testing

/// The program with listeners of its own on free ports: what is behind each claim of these tests.
final class Door: Sendable {
    /// A listener: its name, and its options in YAML.
    struct Listener: Sendable {
        let name: String
        let options: String
        /// `nil`: one that is free.
        let port: Int?

        init(_ name: String, _ options: String, port: Int? = nil) {
            self.name = name
            self.options = options
            self.port = port
        }
    }

    private let listeners: [Listener]
    private let rest: String
    private let arguments: [String]
    private let running: Mutex<(process: BrokerProcess, ports: [String: Int])>

    private init(_ listeners: [Listener], rest: String, arguments: [String]) async throws {
        self.listeners = listeners
        self.rest = rest
        self.arguments = arguments
        running = Mutex(try await Self.start(listeners, rest: rest, arguments: arguments, ports: nil))
    }

    var process: BrokerProcess { running.withLock { $0.process } }
    var log: String { process.log }
    var address: String { "127.0.0.1" }

    func port(_ listener: String) -> Int { running.withLock { $0.ports[listener] ?? 0 } }

    /// - Parameter ports: Those to listen on; `nil`: others are tried until some are free.
    private static func start(
        _ listeners: [Listener], rest: String, arguments: [String], ports: [String: Int]?
    ) async throws -> (process: BrokerProcess, ports: [String: Int]) {
        var attempt = 0
        while true {
            let ports = ports ?? Dictionary(uniqueKeysWithValues: listeners.map { ($0.name, $0.port ?? FreePort.next()) })
            var launch = BrokerProcess.Launch(executable: try BrokerProcess.builtExecutable(), arguments: ["--loops", "2"] + arguments)
            launch.port = listeners.first.flatMap { ports[$0.name] }
            launch.configuration = text(listeners, rest: rest, ports: ports)
            let process = try BrokerProcess.launch(launch)
            if await process.becomesReady(within: .seconds(60)) { return (process, ports) }
            let log = process.log
            await process.kill()
            attempt += 1
            guard log.contains("can't listen"), attempt < 10 else { throw DoorFault("the broker did not start:\n\(log)") }
        }
    }

    static func text(_ listeners: [Listener], rest: String, ports: [String: Int]) -> String {
        var text = rest + "\nlisteners:\n"
        for listener in listeners {
            text += "  - name: \(listener.name)\n    address: 127.0.0.1:\(ports[listener.name] ?? 0)\n"
            for line in listener.options.split(separator: "\n") { text += "    \(line)\n" }
        }
        return text
    }

    /// Opens a broker, and ends it whatever happens. What goes wrong is told with the broker's log.
    static func with(
        _ listeners: [Listener], _ rest: String = "", arguments: [String] = [], isAlone: Bool = false,
        isNested: Bool = false, location: SourceLocation = #_sourceLocation, body: (Door) async throws -> Void
    ) async throws {
        // One inside another has its place already.
        let turn = isNested ? nil : isAlone ? await TestTurn.alone() : await TestTurn.among()
        do {
            let door = try await Door(listeners, rest: rest, arguments: arguments)
            do { try await body(door) } catch {
                Issue.record(error, "the broker's log: \(door.log.suffix(6_000))", sourceLocation: location)
            }
            let isUp = door.process.isRunning
            #expect(isUp, "the broker has ended: \(door.log.suffix(6_000))", sourceLocation: location)
            await door.process.terminate()
        } catch {
            Issue.record(error, sourceLocation: location)
        }
        await turn?.end()
    }

    /// The configuration is refused at the start.
    /// - Returns: What the program has said.
    static func refused(_ listeners: [Listener], _ rest: String = "", arguments: [String] = []) async throws -> String {
        let turn = await TestTurn.among()
        let ports = Dictionary(uniqueKeysWithValues: listeners.map { ($0.name, $0.port ?? FreePort.next()) })
        var launch = BrokerProcess.Launch(executable: try BrokerProcess.builtExecutable(), arguments: arguments)
        launch.configuration = text(listeners, rest: rest, ports: ports)
        let process: BrokerProcess
        do { process = try BrokerProcess.launch(launch) } catch {
            await turn.end()
            throw error
        }
        let ending = await process.end(within: .seconds(30))
        let log = process.log
        await process.kill()
        await turn.end()
        guard case .exit(1) = ending else { throw DoorFault("expected exit code 1, got \(String(describing: ending)):\n\(log)") }
        return log
    }

    /// Ends the broker and starts it again on the same ports.
    func restart() async throws {
        let ports = running.withLock { $0.ports }
        await process.terminate()
        let next = try await Self.start(listeners, rest: rest, arguments: arguments, ports: ports)
        running.withLock { $0 = next }
    }

    // MARK: Asking

    /// A figure of `/metrics`, 0 if there is no such.
    func figure(_ name: String) async throws -> Int { Int(try await process.metrics()[name] ?? 0) }

    func failures(_ reason: String) async throws -> Int {
        try await figure("headwater_tls_handshake_failures_total{reason=\"\(reason)\"}")
    }

    func waits(for name: String, toBe value: Int, file: String = #fileID, line: Int = #line) async throws {
        try await process.wait(for: "\(name) \(value)", file: file, line: line) { Int($0[name] ?? 0) == value }
    }

    /// Waits until the log says this.
    func logs(_ words: String, within time: Duration = .seconds(15)) async throws -> Bool {
        let deadline = ContinuousClock.now + time
        while !log.contains(words) {
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    /// The user that the broker has let a client in as; waits for its line in the log.
    func user(of clientID: String) async throws -> String? { try await field("user", of: clientID) }

    /// A field of the line that tells of a client's connection, without its quotes.
    func field(_ name: String, of clientID: String) async throws -> String? {
        var found: Substring?
        let deadline = ContinuousClock.now + .seconds(10)
        while found == nil, ContinuousClock.now < deadline {
            found = log.split(separator: "\n").last { $0.contains(": connected ") && $0.contains(" client=\(clientID) ") }
            if found == nil { try await Task.sleep(for: .milliseconds(10)) }
        }
        guard let found, let start = found.range(of: " \(name)=")?.upperBound else { return nil }
        let rest = found[start...]
        return rest.first == "\"" ? String(rest.dropFirst().prefix { $0 != "\"" }) : String(rest.prefix { $0 != " " })
    }

    /// Waits until something has come true.
    func eventually(_ claim: String, within time: Duration = .seconds(15), _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + time
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw DoorFault("\(claim): not within \(time)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// SIGHUP, and waits until the files are read again, or found wrong.
    ///
    /// The broker sees changes by itself, too, so a reload may be counted twice.
    func reload(isGood: Bool, file: String = #fileID, line: Int = #line) async throws {
        let count = isGood ? "headwater_reloads_total" : "headwater_reload_failures_total"
        let before = try await figure(count)
        process.send(signal: SIGHUP)
        try await process.wait(for: "a reload that is \(isGood ? "good" : "refused")", file: file, line: line) {
            Int($0[count] ?? 0) > before && $0["headwater_reload_failed"] == (isGood ? 0 : 1)
        }
    }
}

struct DoorFault: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}
