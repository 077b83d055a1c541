import Admin
import ArgumentParser
import ConfigFile
import Glibc
import Headwater
import KafkaBridge
import Logging
import PluginAPI
import ServiceLifecycle
import UnixSignals

/// `headwater run`: the broker, its bridge and its HTTP, until a signal ends them.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the broker.",
        discussion: """
            Without a configuration it listens on the loopback addresses, port 1883, and lets anonymous clients in. As \
            soon as a file names listeners, anonymous clients are refused unless the listener says allow_anonymous: true.

            Options stand above HEADWATER_ variables, and those above the file. `headwater check` shows what is in force.

            Examples:
              headwater run
              headwater run -c headwater.yaml --log-format json
              HEADWATER_LOG_LEVEL=debug headwater run --port 1884 --http 127.0.0.1:9884

            SIGHUP reads certificates, passwords and topic rules again, all or nothing; files that change are read by \
            themselves, too. SIGTERM and SIGINT end it in order: listeners close, MQTT 5 clients are told, records on their way to Kafka are \
            flushed (shutdown.flush_timeout). Exit codes: 0 ended in order; 1 the configuration is wrong or something could \
            not start; 78 the store is damaged, or of a later version, and somebody has to look at it (store.on_damage).
            """)

    @Option(name: [.short, .customLong("config")], help: "The configuration file, YAML.")
    var config: String?

    @Option(name: [.short, .long], help: "Listen on the loopback addresses at this port; for running without listeners in a file.")
    var port: Int?

    @Option(
        help:
            "Directory where sessions, queues and retained messages are kept. Without one they are in memory and end with the broker."
    )
    var store: String?

    @Option(help: ArgumentHelp("Serve metrics and health here, as in 127.0.0.1:9883; off: nowhere.", valueName: "address"))
    var http: String?

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: LogConfiguration.Level?

    @Option(help: "text or json.")
    var logFormat: LogConfiguration.Format?

    @Option(help: "Number of event loops.")
    var loops: Int?

    func validate() throws {
        if let port, !(0...65_535).contains(port) { throw ValidationError("--port is a number from 0 to 65535") }
        if let loops, !(1...64).contains(loops) { throw ValidationError("--loops is a number from 1 to 64") }
        if let store, store.isEmpty { throw ValidationError("--store needs a directory") }
        if let http, http != "off", let fault = ListenerAddress.fault(in: http) { throw ValidationError("--http \(fault)") }
    }

    func run() async throws {
        let configuration = try effectiveConfiguration()
        LineLogHandler.bootstrap(configuration.log)
        let logger = Logger(label: "headwater")
        do {
            try await serve(configuration, logger)
        } catch let exit as ExitCode {
            throw exit
        } catch {
            logger.critical("can't go on", metadata: ["reason": "\(error)"])
            throw (error as? BrokerError)?.isFinal == true ? Self.needsOperator : ExitCode(1)
        }
    }

    /// EX_CONFIG: starting again is of no use before somebody has looked. The systemd unit does not restart on it.
    private static let needsOperator = ExitCode(78)

    private func effectiveConfiguration() throws -> HeadwaterConfiguration {
        var configuration = try CheckCommand.load(config)
        if let port, !configuration.listenOnLoopback(port: port) {
            StandardStreams.complain(
                "--port is for running without listeners, but \(config ?? "the configuration") names some; change them there")
            throw ExitCode(1)
        }
        if let store { configuration.broker.store.directory = store }
        if let http { configuration.http = ListenerAddress.parse(http).map { AdminConfiguration(address: $0) } }
        if let logLevel { configuration.log.level = logLevel }
        if let logFormat { configuration.log.format = logFormat }
        if let loops { configuration.broker.eventLoops = loops }
        return configuration
    }

    private func serve(_ configuration: HeadwaterConfiguration, _ logger: Logger) async throws {
        logger.info("headwater \(Version.current) starts", metadata: ["pid": "\(getpid())", "config": "\(config ?? "none")"])
        for note in configuration.notes { logger.warning("\(note)") }
        let bridge = try configuration.kafka.map {
            try KafkaBridge(
                configuration: $0, flushSeconds: configuration.broker.shutdown.flushSeconds, logger: Logger(label: "headwater.kafka"))
        }
        let plugins: [any BrokerPlugin] = bridge.map { [$0] } ?? []
        let broker = Broker(configuration: configuration.broker, plugins: plugins, logger: logger)
        let clusters = configuration.kafka?.clusters.keys.sorted() ?? []
        let kafkaLines: @Sendable () -> [String] = {
            clusters.compactMap { cluster in bridge?.bootstrapServers(of: cluster).map { "kafka \(cluster): \($0)" } }
        }
        let admin = configuration.http.map {
            AdminServer(configuration: $0, broker: broker, logger: Logger(label: "headwater.http"), status: kafkaLines)
        }
        let running = RunningBroker(
            broker: broker, admin: admin, logger: logger,
            bound: { try Privileges.giveUp(configuration, files: broker.securityFiles, logger) }
        ) {
            var addresses = broker.boundListeners.map { "mqtt \($0.name): \(ListenerAddress.text($0.address))" }
            if let address = admin?.boundAddress { addresses.append("http: \(ListenerAddress.text(address))") }
            if let directory = configuration.broker.store.directory {
                try AddressFile.write(addresses + kafkaLines(), in: directory)
            }
        }
        // The group is here for its signals; what it says is said by the broker already.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: running, successTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: ReloadOnSignal(broker: broker, logger: logger)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "headwater.lifecycle", factory: { _ in SwiftLogNoOpLogHandler() })))
        try await group.run()
        logger.info("headwater has ended")
    }
}

extension LogConfiguration.Level: ExpressibleByArgument {}
extension LogConfiguration.Format: ExpressibleByArgument {}
