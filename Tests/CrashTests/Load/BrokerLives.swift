import BrokerTestKit
import Foundation

/// One broker that is killed and started again on the same store and the same ports.
actor BrokerLives {
    struct Death: Error, CustomStringConvertible {
        let description: String
    }

    let directory: URL
    nonisolated var store: String { directory.appendingPathComponent("store").path }
    nonisolated var logPath: String { directory.appendingPathComponent("broker.log").path }
    private var launch: BrokerProcess.Launch
    private(set) var process: BrokerProcess?
    private var hasStarted = false
    /// Between the broker and its disk, where a run wants it.
    nonisolated let shim: StoreShim?
    private var disk: Disk?
    private var random: SeededRandom

    /// - Parameter name: Of the directory, for whoever finds it after a failure.
    init(_ options: CrashOptions, name: String) throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(name)-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        launch = BrokerProcess.Launch(executable: try BrokerProcess.builtExecutable())
        launch.arguments = [
            "--store", directory.appendingPathComponent("store").path, "--loops", "\(options.loops)", "--log-level", "info",
        ]
        if let durability = options.durability {
            let file = directory.appendingPathComponent("headwater.yaml")
            let lines = ["store:", "  durability: \(durability.rawValue)"] + options.storeOptions.map { "  \($0)" }
            try (lines.joined(separator: "\n") + "\n").write(to: file, atomically: true, encoding: .utf8)
            launch.arguments += ["--config", file.path]
        }
        launch.environment = options.environment
        random = SeededRandom(options.seed, "disk of run \(options.number)")
        let store = directory.appendingPathComponent("store").path
        shim = options.usesShim ? try StoreShim(store: store, directory: directory, recordsWrites: options.cutsPower) : nil
        if let shim {
            launch.environment.merge(shim.environment) { _, new in new }
            if options.cutsPower {
                try FileManager.default.createDirectory(
                    atPath: store, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                disk = try shim.baseline()
            }
        }
        launch.logPath = directory.appendingPathComponent("broker.log").path
    }

    /// Starts the broker and waits for nothing.
    ///
    /// - Parameter fault: `NAME:COUNT`, where it is to kill itself.
    @discardableResult
    func start(fault: String? = nil, environment: [String: String] = [:]) throws -> BrokerProcess {
        var launch = launch
        launch.environment.merge(environment) { _, new in new }
        if let fault { launch.environment["HEADWATER_FAULT"] = fault }
        let started = try BrokerProcess.launch(launch)
        process = started
        self.launch.port = started.port
        self.launch.httpPort = started.httpPort
        return started
    }

    /// Starts the broker and waits until it is ready; on its first start, on other ports if these are taken.
    ///
    /// - Throws: `Death` with the end of its log when it ends instead.
    @discardableResult
    func startReady(environment: [String: String] = [:]) async throws -> BrokerProcess {
        for _ in 0..<5 {
            let process = try start(environment: environment)
            if await process.becomesReady(within: .seconds(60)) {
                hasStarted = true
                return process
            }
            guard !hasStarted, process.log.contains("ddress already in use") else { break }
            launch.port = nil
            launch.httpPort = nil
        }
        let ending = process?.ending.map { "\($0)" } ?? "still running"
        await process?.kill()
        throw Death(description: "the broker did not become ready (\(ending)):\n\(logTail)")
    }

    /// Writes down what the dead broker left on its disk, and cuts the power: always, or once in a while.
    func cutPower(always: Bool = false) throws {
        guard let shim, var disk else { return }
        disk.takeLife(try shim.records())
        try shim.forgetRecords()
        self.disk = disk
        guard always || !random.oneIn(3) else { return }
        try shim.cut(disk, &random)
        self.disk = try shim.baseline()
    }

    func kill() async { await process?.kill() }

    nonisolated var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
    /// The end of the log without the clients' comings and goings.
    nonisolated var logTail: String {
        let lines = log.split(separator: "\n").filter { !$0.contains("headwater: connected ") && !$0.contains("headwater: disconnected ") }
        return lines.suffix(25).joined(separator: "\n")
    }

    /// Ends the broker and removes everything; after a failure the directory stays for whoever looks into it.
    func tearDown(keepingFiles: Bool) async {
        await process?.kill()
        if !keepingFiles { try? FileManager.default.removeItem(at: directory) }
    }
}
