import ConfigFile
import Testing

/// What an operator reads, word for word: place, fault, mend.
@Suite struct FaultTests {
    static func messages(_ yaml: String, environment: [String: String] = [:]) -> [String] {
        do throws(ConfigurationError) {
            _ = try HeadwaterConfiguration.parse(yaml, file: "h.yaml", environment: environment)
            return []
        } catch {
            return error.diagnostics.map(\.description)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let yaml: String
        let messages: [String]
        init(_ yaml: String, _ messages: String...) {
            self.yaml = yaml
            self.messages = messages
        }
        var testDescription: String { yaml }
    }

    static let unknownKeys: [Case] = [
        Case("sesions: {}\n", "h.yaml:1:1: unknown option \"sesions\"; did you mean \"sessions\"?"),
        Case(
            "sessions:\n  max_queue_messages: 5\n",
            "h.yaml:2:3: unknown option \"max_queue_messages\" in sessions; did you mean \"max_queued_messages\"?"),
        Case("log:\n  Level: info\n", "h.yaml:2:3: unknown option \"Level\" in log; did you mean \"level\"?"),
        Case("max_inflight_messages: 5\n", "h.yaml:1:1: unknown option \"max_inflight_messages\"; it belongs into \"sessions\""),
        Case("log:\n  event_loops: 2\n", "h.yaml:2:3: unknown option \"event_loops\" in log; it belongs to the top of the file"),
        Case(
            "max-queued-mesages: 5\n", "h.yaml:1:1: unknown option \"max-queued-mesages\"; did you mean \"sessions.max_queued_messages\"?"),
        Case("shutdown: {speed: fast}\n", "h.yaml:1:12: unknown option \"speed\" in shutdown; known are: flush_timeout"),
        Case("listeners:\n  - adress: 127.0.0.1:1\n", "h.yaml:2:5: unknown option \"adress\" in listeners[1]; did you mean \"address\"?"),
        Case(
            "kafka:\n  clusters:\n    a: {embedded: true, broker: 2}\n",
            "h.yaml:3:25: unknown option \"broker\" in kafka.clusters.a; did you mean \"brokers\"?"),
        Case("? [a, b]\n: 1\n", "h.yaml:1:3: a key must be a plain text"),
    ]

    static let wrongValues: [Case] = [
        Case("event_loops: many\n", "h.yaml:1:14: event_loops: \"many\" is not a whole number or \"auto\""),
        Case("event_loops: 0\n", "h.yaml:1:14: event_loops: \"0\" is out of range; allowed is 1…64 or \"auto\""),
        Case("event_loops: \"4\"\n", "h.yaml:1:14: event_loops: \"4\" is not a whole number or \"auto\""),
        Case("event_loops: 99999999999999999999\n", "h.yaml:1:14: event_loops: \"99999999999999999999\" is not a whole number or \"auto\""),
        Case("event_loops: [1]\n", "h.yaml:1:14: event_loops takes one value: 1…64; auto"),
        Case("limits:\n  max_packet_size: 12\n", "h.yaml:2:20: limits.max_packet_size: \"12\" is out of range; allowed is 20…268435460"),
        Case(
            "limits:\n  max_packet_size: 64K\n",
            "h.yaml:2:20: limits.max_packet_size: unknown unit \"K\"; units are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB"),
        Case("limits:\n  max_packet_size: big\n", "h.yaml:2:20: limits.max_packet_size: \"big\" is not a size such as 65536, 64KiB or 1MB"),
        Case(
            "limits:\n  connect_timeout: 10 sec\n", "h.yaml:2:20: limits.connect_timeout: unknown unit \"sec\"; units are ms, s, m, h, d, w"
        ),
        Case("limits:\n  connect_timeout: 1500ms\n", "h.yaml:2:20: limits.connect_timeout: \"1500ms\" is finer than the option's unit"),
        Case("limits:\n  connect_timeout: -1\n", "h.yaml:2:20: limits.connect_timeout: \"-1\" is not a time such as 30, 10s, 5m or 7d"),
        Case("limits:\n  connect_timeout: 2h\n", "h.yaml:2:20: limits.connect_timeout: \"2h\" is out of range; allowed is 1s…1h"),
        Case("retained:\n  available: yes\n", "h.yaml:2:14: retained.available: \"yes\" is not true or false"),
        Case("retained:\n  available: \"true\"\n", "h.yaml:2:14: retained.available: \"true\" is not true or false"),
        Case(
            "sessions:\n  overflow: drop_oldest\n",
            "h.yaml:2:13: sessions.overflow: \"drop_oldest\" is none of drop-newest, drop-oldest, disconnect; did you mean \"drop-oldest\"?"
        ),
        Case("log: debug\n", "h.yaml:1:6: log is a section: lines of \"key: value\""),
        Case("- a\n", "h.yaml:1:1: the configuration is a section: lines of \"key: value\""),
        Case("hello\n", "h.yaml:1:1: the configuration is a section: lines of \"key: value\""),
        Case(
            "http:\n  address: 9883\n",
            "h.yaml:2:12: http.address: \"9883\" has no host; write 127.0.0.1:9883, or 0.0.0.0:9883 for every IPv4 address"),
        Case(
            "log:\n  level: \"a\\nb\"\n", "h.yaml:2:10: log.level: \"a b\" is none of trace, debug, info, notice, warning, error, critical"),
    ]

    static let store: [Case] = [
        Case("store: run/store\n", "h.yaml:1:8: store is a section: lines of \"key: value\""),
        Case("store:\n  durabilty: sync\n", "h.yaml:2:3: unknown option \"durabilty\" in store; did you mean \"durability\"?"),
        Case("store:\n  directory: \"\"\n", "h.yaml:2:14: store.directory: an empty path"),
        Case(
            "store:\n  durability: always\n", "h.yaml:2:15: store.durability: \"always\" is none of sync, commit, relaxed"),
        Case("store:\n  sync_interval: 1ms\n", "h.yaml:2:18: store.sync_interval: \"1ms\" is out of range; allowed is 10ms…1h"),
        Case("store:\n  commit_window: 2m\n", "h.yaml:2:18: store.commit_window: \"2m\" is out of range; allowed is 0s…1m"),
        Case("store:\n  max_size: 64K\n", "h.yaml:2:13: store.max_size: unknown unit \"K\"; units are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB"),
        Case("store:\n  max_size: 64KiB\n", "h.yaml:2:13: store.max_size: \"64KiB\" is out of range; allowed is 1MiB…16TiB"),
        Case(
            "store:\n  on_damage: restore_or_empty\n",
            "h.yaml:2:14: store.on_damage: \"restore_or_empty\" is none of stop, restore, empty, restore-or-empty; did you mean \"restore-or-empty\"?"
        ),
    ]

    static let listeners: [Case] = [
        Case(
            "listeners: []\n", "h.yaml:1:1: listeners is empty, so nobody could connect; remove it for a listener on the loopback addresses"
        ),
        Case("listeners: {address: a}\n", "h.yaml:1:12: listeners is a list: each entry begins with \"- \""),
        Case("listeners:\n  - name: a\n", "h.yaml:2:5: listeners[1]: a listener needs an address, as in address: 127.0.0.1:1883"),
        Case(
            "listeners:\n  - address: ::1:1883\n",
            "h.yaml:2:14: listeners[1].address: \"::1:1883\": an IPv6 address needs brackets, as in [::1]:1883"),
        Case(
            "listeners:\n  - address: localhost\n",
            "h.yaml:2:14: listeners[1].address: \"localhost\" has no port; write HOST:PORT, as in 127.0.0.1:1883"),
        Case(
            "listeners:\n  - address: :1883\n",
            "h.yaml:2:14: listeners[1].address: \":1883\" has no host; write 0.0.0.0:1883 for every IPv4 address, 127.0.0.1:1883 for this machine"
        ),
        Case(
            "listeners:\n  - address: a:70000\n", "h.yaml:2:14: listeners[1].address: \"a:70000\": the port is not a number from 0 to 65535"
        ),
        Case(
            "listeners:\n  - address: /run/x\n", "h.yaml:2:14: listeners[1].address: \"/run/x\" looks like a Unix socket; write unix:/run/x"
        ),
        Case(
            "listeners:\n  - address: a:1\n    port: 2\n",
            "h.yaml:2:5: listeners[1]: address says it all; remove host and port, or write those two alone"),
        Case(
            "listeners:\n  - address: a:1\n  - host: a\n    port: 1\n",
            "h.yaml:3:5: listeners[2]: another listener has the address a:1"),
        Case(
            "listeners:\n  - {name: x, address: \"a:1\"}\n  - {name: x, address: \"b:1\"}\n",
            "h.yaml:3:5: listeners[2]: another listener has the name \"x\"; give each a name of its own"),
    ]

    static let kafka: [Case] = [
        Case(
            "kafka:\n",
            "h.yaml:1:1: kafka needs clusters, as in clusters: {main: {bootstrap_servers: \"kafka:9092\"}}, or remove the section"),
        Case(
            "kafka:\n  clusters:\n    main:\n",
            "h.yaml:3:5: kafka.clusters.main needs bootstrap_servers: HOST:PORT, or embedded: true for a development Kafka"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true, bootstrap_servers: \"a:1\"}\n",
            "h.yaml:3:28: kafka.clusters.main: embedded: true brings a Kafka of its own; remove bootstrap_servers, or embedded"),
        Case(
            "kafka:\n  clusters:\n    main: {bootstrap_servers: \"a:1\", bootstrap_file: b}\n",
            "h.yaml:3:38: kafka.clusters.main.bootstrap_file is for embedded: true alone"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, cluster: mian, topic: t}\n",
            "h.yaml:5:28: kafka.routes[1]: no cluster is named \"mian\"; did you mean \"main\"?"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: \"a/#/b\", topic: t}\n",
            "h.yaml:5:16: kafka.routes[1].filter: the topic filter \"a/#/b\" has a wildcard out of place: + fills a whole level, # the whole last level"
        ),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - topic: t\n",
            "h.yaml:5:7: kafka.routes[1] needs a filter, as in filter: telemetry/#"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - filter: a\n",
            "h.yaml:5:7: kafka.routes[1] needs a topic, the Kafka topic of its records"),
        Case(
            "kafka:\n  clusters:\n    a: {embedded: true}\n    b: {embedded: true}\n  routes:\n    - {filter: a, topic: t}\n",
            "h.yaml:6:7: kafka.routes[1] needs a cluster: one of a, b"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, exclude: [\"b/#/c\"]}\n",
            "h.yaml:5:39: kafka.routes[1].exclude: the topic filter \"b/#/c\" has a wildcard out of place: + fills a whole level, # the whole last level"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, topics: [t x]}\n",
            "h.yaml:5:37: kafka.routes[1].topics: the allowed Kafka topic \"t x\" has a character that Kafka topics can't hold: letters, digits, . _ - only, and * for any text"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, topics: [u]}\n",
            "h.yaml:5:7: Kafka route \"route-1\": its topic \"t\" is not in its list of allowed topics; add it there, or remove the list"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, value: \"${payload}\"}\n",
            "h.yaml:5:36: kafka.routes[1].value: column 1: payload is no place in a JSON payload; write for example payload.device.id, payload.items[0].id or payload[\"odd name\"]"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, value: jsn}\n",
            "h.yaml:5:7: Kafka route \"route-1\": every record would have the value \"jsn\"; write payload, json, or a template with a placeholder such as ${payload.temperature}"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, timestamp: now}\n",
            "h.yaml:5:40: kafka.routes[1].timestamp: column 1: now is no place in a JSON payload; write for example payload.device.id, payload.items[0].id or payload[\"odd name\"]"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, timestamp_unit: s}\n",
            "h.yaml:5:29: kafka.routes[1].timestamp_unit is for timestamp: payload.FIELD alone"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  routes:\n    - {filter: a, topic: t, partition: -1}\n",
            "h.yaml:5:7: Kafka route \"route-1\": the partition \"-1\" is no number from 0 to 2147483647; write one, or a template such as ${payload.partition}"),
        Case(
            "kafka:\n  clusters:\n    main:\n      embedded: true\n      properties:\n        sasl.password: ${env:NONE}\n",
            "h.yaml:6:9: kafka.clusters.main.properties.sasl.password: the environment has no variable NONE"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topic: a}\n",
            "h.yaml:5:7: kafka.inbound[1] needs topics, as in topics: [commands]"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t]}\n",
            "h.yaml:5:7: kafka.inbound[1] needs a topic, the MQTT topic of its messages, as in topic: commands/${key}"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t], topic: a, cluster: mian}\n",
            "h.yaml:5:40: kafka.inbound[1]: no cluster is named \"mian\"; did you mean \"main\"?"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t], topic: \"${topic}\"}\n",
            "h.yaml:5:28: kafka.inbound[1].topic: the template \"${topic}\": column 1: there is no placeholder ${topic}; there are kafka.topic, kafka.partition, key, header.NAME, value.PATH, timestamp"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t], topic: \"a/+\"}\n",
            "h.yaml:5:7: inbound Kafka route \"inbound-1\": the MQTT topic \"a/+\" has a wildcard, which a message's topic can't have"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t], topic: a, qos: 3}\n",
            "h.yaml:5:36: kafka.inbound[1].qos: \"3\" is out of range; allowed is 0…2"),
        Case(
            "kafka:\n  clusters:\n    main: {embedded: true}\n  inbound:\n    - {topics: [t], topic: a, properties: {group.id: g}}\n",
            "h.yaml:5:7: inbound Kafka route \"inbound-1\": the property group.id can't be set here: write it as the route's group"),
    ]

    static let notYAML: [Case] = [
        Case("a: b: c\n", "h.yaml:1:5: not valid YAML: mapping values are not allowed in this context"),
        Case(
            "log:\n\tlevel: info\n",
            "h.yaml:2:1: this character can't begin a value: indent with blanks, not tabs, and quote texts that begin with a special character"
        ),
        Case("log:\n  level: info\n  level: debug\n", "h.yaml:3:3: \"level\" stands twice, first in line 2; remove one"),
        Case("log: {}\nevent_loops: 1\nlog: {}\n", "h.yaml:3:1: \"log\" stands twice, first in line 1; remove one"),
    ]

    @Test("a fault names its line, what is wrong and the mend", arguments: unknownKeys + wrongValues + store + listeners + kafka + notYAML)
    func fault(_ example: Case) {
        #expect(Self.messages(example.yaml) == example.messages)
    }

    @Test("all faults are shown at once, in the order of the file, those of the environment last")
    func several() {
        let yaml = """
            log:
              levle: info
            listeners:
              - address: nowhere
                max_connections: 0
            limits:
              max_packet_size: 1
            """
        #expect(
            Self.messages(yaml, environment: ["HEADWATER_LOG_LEVEL": "loud"]) == [
                "h.yaml:2:3: unknown option \"levle\" in log; did you mean \"level\"?",
                "h.yaml:4:14: listeners[1].address: \"nowhere\" has no port; write HOST:PORT, as in 127.0.0.1:1883",
                "h.yaml:5:22: listeners[1].max_connections: \"0\" is out of range; allowed is 1…100000000 or \"unlimited\"",
                "h.yaml:7:20: limits.max_packet_size: \"1\" is out of range; allowed is 20…268435460",
                "environment variable HEADWATER_LOG_LEVEL: \"loud\" is none of trace, debug, info, notice, warning, error, critical",
            ])
    }

    @Test("a value that says itself a billion times is refused, not followed")
    func aliases() {
        let yaml = "listeners:\n" + "  - &a {name: x}\n" + String(repeating: "  - *a\n", count: 20_000)
        let messages = Self.messages(yaml)
        #expect(!messages.isEmpty)
        var nested = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        for level in 1...12 {
            nested += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",") + "]\n"
        }
        #expect(Self.messages(nested).count == 13)
    }

    @Test("ten thousand open brackets are a fault, not a crash")
    func nesting() {
        #expect(Self.messages(String(repeating: "[", count: 10_000)).count == 1)
        #expect(Self.messages(String(repeating: "- ", count: 10_000)).count == 1)
    }
}
