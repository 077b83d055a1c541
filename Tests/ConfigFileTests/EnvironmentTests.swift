import Admin
import Headwater
import Testing

@testable import ConfigFile

@Suite struct EnvironmentTests {
    @Test("a variable stands above the file")
    func above() throws {
        let configuration = try HeadwaterConfiguration.parse(
            "log: {level: info}\nsessions: {max_queued_messages: 7}\n", file: "h.yaml",
            environment: ["HEADWATER_LOG_LEVEL": "debug", "HEADWATER_SESSIONS__MAX_INFLIGHT_MESSAGES": "10", "PATH": "/bin"])
        #expect(configuration.log.level == .debug)
        #expect(configuration.broker.sessions.maxInflightMessages == 10)
        #expect(configuration.broker.sessions.maxQueuedMessages == 7)
    }

    @Test("a variable works without a file")
    func alone() throws {
        let configuration = try HeadwaterConfiguration.load(file: nil, environment: ["HEADWATER_HTTP_ADDRESS": "127.0.0.1:19000"])
        #expect(configuration.http?.address == .tcp(host: "127.0.0.1", port: 19_000))
    }

    @Test(
        "an unknown variable is refused with a suggestion",
        arguments: [
            ("HEADWATER_LOG_LEVLE", "no option has this name; did you mean \"HEADWATER_LOG_LEVEL\"?"),
            ("HEADWATER_TEMPERATURE", "no option has this name"),
            ("HEADWATER_LISTENERS", "listeners can't be set by a variable; it belongs into the configuration file"),
            ("HEADWATER_KAFKA_CLUSTERS_MAIN", "kafka.clusters can't be set by a variable; it belongs into the configuration file"),
        ])
    func unknown(name: String, message: String) {
        #expect(FaultTests.messages("", environment: [name: "x"]) == ["environment variable \(name): \(message)"])
    }

    @Test(
        "variables of tests and of container platforms are none of the configuration's business",
        arguments: [
            "HEADWATER_TEST_KAFKA", "HEADWATER_FUZZ_SECONDS", "HEADWATER_BENCH_PORT", "HEADWATER_SERVICE_HOST",
            "HEADWATER_SERVICE_PORT_MQTT",
            "HEADWATER_PORT", "HEADWATER_PORT_1883_TCP", "HEADWATER_PORT_1883_TCP_ADDR", "HEADWATER_MQTT_PORT_1883_TCP_PROTO",
        ])
    func foreign(name: String) {
        #expect(FaultTests.messages("", environment: [name: "tcp://10.0.0.1:1883"]) == [])
    }

    @Test("no option's variable is taken for one of a container platform")
    func noClash() {
        for option in BrokerOptions.table {
            let name = EnvironmentOptions.variable(for: option.path)
            #expect(FaultTests.messages("", environment: [name: "\u{1}"]) != [] || option.path == ["store", "directory"], "\(name)")
        }
    }
}
