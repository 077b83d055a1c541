import Admin
import Headwater
import KafkaBridge
import MQTTModel
import Testing

@testable import ConfigFile

@Suite struct EffectiveConfigurationTests {
    static let rich = """
        event_loops: 3
        listeners:
          - name: "quoted: name"
            address: 127.0.0.1:1883
            allow_anonymous: true
          - port: 1884
            host: ::1
            max_connections: 10
          - address: unix:/run/headwater/mqtt.sock
        limits: {max_packet_size: 1MB, connect_timeout: 5s, max_connections: 100}
        sessions:
          max_expiry: never
          overflow: drop-oldest
          stalled_receiver_timeout: 250ms
          max_keep_alive: 10m
        retained: {available: false}
        store:
          directory: /var/lib/headwater
          durability: commit
          sync_interval: 250ms
          commit_window: 5ms
          max_size: 8GiB
          on_damage: restore-or-empty
        http: {address: "[::1]:9883"}
        log: {level: debug, format: json}
        kafka:
          clusters:
            main:
              bootstrap_servers: kafka-1:9092,kafka-2:9092
              properties: {linger.ms: "5", compression.type: lz4}
            dev: {embedded: true, brokers: 3, bootstrap_file: run/bootstrap, max_topics: 9}
          routes:
            - {name: all, filters: ["a/#", "+/b"], cluster: main, topic: "t-${topic[1]}", key: none, headers: {origin: "$${topic}", "a b": x}}
            - {filter: "$SYS/#", cluster: dev, topic: sys}
            - filter: plant/#
              exclude: [plant/+/debug]
              cluster: main
              topic: plant-${payload.kind}
              topics: [plant-*, other]
              value: json
              timestamp: payload.times[0]
              timestamp_unit: us
              partition: ${payload["part no"]}
              trace: true
          inbound:
            - {topics: [commands], cluster: main, topic: "commands/${key}"}
            - name: state
              topics: [state, "^plant-.*"]
              cluster: main
              group: g-1
              topic: "state/${header.site}/${value.id}"
              qos: 2
              retain: true
              expiry: 10m
              content_type: application/json
              tenant: ${header.tenant}
              start: earliest
              key_property: false
              max_hops: 3
              properties: {fetch.min.bytes: "10"}
        """

    @Test("the effective configuration reads back as the same configuration", arguments: ["", rich])
    func roundTrip(yaml: String) throws {
        let first = try HeadwaterConfiguration.parse(yaml, file: "h.yaml")
        let second = try HeadwaterConfiguration.parse(first.effectiveYAML(), file: "effective")
        #expect(second.broker == first.broker)
        #expect(second.kafka == first.kafka)
        #expect(second.http == first.http)
        #expect(second.log == first.log)
        #expect(second.effectiveYAML() == first.effectiveYAML())
    }

    @Test("the effective configuration says every scalar option, defaults included")
    func complete() throws {
        let yaml = try HeadwaterConfiguration.parse("", file: "h.yaml").effectiveYAML()
        for option in BrokerOptions.table { #expect(yaml.contains("\(option.path.last ?? ""): "), "\(option.path)") }
        #expect(yaml.contains("max_packet_size: 2MB\n"))
        #expect(yaml.contains("max_expiry: 7d\n"))
    }

    @Test("the values of a file arrive where they belong")
    func values() throws {
        let configuration = try HeadwaterConfiguration.parse(Self.rich, file: "h.yaml")
        #expect(configuration.broker.eventLoops == 3)
        #expect(
            configuration.broker.listeners.map(\.address) == [
                .tcp(host: "127.0.0.1", port: 1883), .tcp(host: "::1", port: 1884), .unix(path: "/run/headwater/mqtt.sock"),
            ])
        #expect(configuration.broker.listeners.map(\.allowsAnonymous) == [true, false, false])
        #expect(configuration.broker.listeners.map(\.name) == ["quoted: name", "[::1]:1884", "unix:/run/headwater/mqtt.sock"])
        #expect(configuration.broker.sessions.maxExpirySeconds == .max)
        #expect(configuration.broker.sessions.stalledReceiverMilliseconds == 250)
        #expect(configuration.kafka?.clusters["dev"]?.embeddedBrokers == 3)
        #expect(configuration.kafka?.routes.map(\.name) == ["all", "route-2", "route-3"])
        #expect(configuration.kafka?.routes[0].key == nil)
        #expect(configuration.kafka?.routes[1].key == RecordTemplate.mqttTopic)
        let made = try #require(configuration.kafka?.routes[2])
        #expect(try made.excluded == [TopicFilter("plant/+/debug")])
        #expect(try made.allowedTopics == [KafkaTopicPattern("plant-*"), KafkaTopicPattern("other")])
        #expect(made.value == .json && made.startsTraces)
        #expect(try made.timestamp == .payload(PayloadPath("payload.times[0]"), .microseconds))
        #expect(made.partition?.text == "${payload[\"part no\"]}")
        let inbound = try #require(configuration.kafka?.inbound)
        #expect(inbound.map(\.name) == ["inbound-1", "state"] && inbound[0].qos == .atLeastOnce && inbound[0].start == .latest)
        #expect(
            try inbound[1]
                == KafkaInboundRoute(
                    name: "state", cluster: "main", topics: ["state", "^plant-.*"], topic: InboundTemplate("state/${header.site}/${value.id}"),
                    qos: .exactlyOnce, isRetained: true, expirySeconds: 600, contentType: "application/json",
                    tenant: InboundTemplate("${header.tenant}"), group: "g-1", start: .earliest, passesKey: false, maxHops: 3,
                    properties: ["fetch.min.bytes": "10"]))
        #expect(configuration.log.format == .json)
        var store = BrokerConfiguration.Store(directory: "/var/lib/headwater")
        (store.durability, store.syncIntervalMilliseconds, store.commitWindowMilliseconds) = (.commit, 250, 5)
        (store.maxBytes, store.onDamage) = (8 << 30, .restoreOrEmpty)
        #expect(configuration.broker.store == store)
    }

    @Test("a durability that loses acknowledged messages is noted; others are not")
    func durabilityNotes() throws {
        for (durability, isNoted) in [("sync", false), ("commit", false), ("relaxed", true)] {
            let yaml = "store: {directory: d, durability: \(durability)}\n"
            #expect(try HeadwaterConfiguration.parse(yaml, file: "h").notes.contains { $0.contains("store.durability") } == isNoted)
        }
    }

    @Test("a section for http without an address means the default address; no section means none")
    func http() throws {
        #expect(try HeadwaterConfiguration.parse("http:\n", file: "h").http?.address == .tcp(host: "127.0.0.1", port: 9883))
        #expect(try HeadwaterConfiguration.parse("http: {address: off}\n", file: "h").http == nil)
        #expect(try HeadwaterConfiguration.parse("", file: "h").http == nil)
    }

    @Test("without listeners the loopback addresses listen and let anonymous clients in; configured ones don't")
    func listeners() throws {
        var open = try HeadwaterConfiguration.parse("", file: "h")
        #expect(open.broker.listeners == LoopbackListeners.listeners())
        #expect(
            LoopbackListeners.listeners(hasIPv6: true).map(\.address) == [
                .tcp(host: "127.0.0.1", port: 1883), .tcp(host: "::1", port: 1883),
            ])
        #expect(LoopbackListeners.listeners(hasIPv6: false).count == 1)
        let isOpened = open.listenOnLoopback(port: 1999)
        #expect(isOpened)
        #expect(open.broker.listeners.first?.address == .tcp(host: "127.0.0.1", port: 1999))

        var closed = try HeadwaterConfiguration.parse("listeners: [{address: \"127.0.0.1:1883\"}]\n", file: "h")
        #expect(closed.broker.listeners.map(\.allowsAnonymous) == [false])
        let isChanged = closed.listenOnLoopback(port: 1999)
        #expect(!isChanged)
        #expect(closed.notes.count == 2)
        #expect(closed.notes[0].contains("nobody can connect"))
        #expect(closed.notes[1].contains("store.directory"))
    }

    @Test("a secret reaches the cluster and no output")
    func secrets() throws {
        let file = try TemporaryFile("from-file\n")
        let yaml = """
            kafka:
              clusters:
                main:
                  bootstrap_servers: k:9092
                  properties:
                    client.id: "id-${env:ID}"
                    sasl.username: written-here
                    group.id: ${file:\(file.path)}
            """
        let configuration = try HeadwaterConfiguration.parse(yaml, file: "h", environment: ["ID": "from-env"])
        let properties = try #require(configuration.kafka?.clusters["main"]?.properties)
        #expect(properties == ["client.id": "id-from-env", "sasl.username": "written-here", "group.id": "from-file"])
        let shown = configuration.effectiveYAML()
        for secret in ["from-env", "from-file", "written-here"] { #expect(!shown.contains(secret)) }
        #expect(shown.contains("client.id: \"********\""))
        _ = try HeadwaterConfiguration.parse(shown, file: "effective")
    }

    @Test(
        "a reference that can't be followed is refused without telling anything",
        arguments: ["${env:NONE}", "${file:relative}", "${file:/nonexistent}", "${file:/dev/null}", "${other:x}", "${env:A"])
    func brokenReference(reference: String) {
        #expect(throws: SecretReference.Fault.self) { try SecretReference.resolve(reference, environment: ["A": "secret"]) }
    }
}
