import MQTTModel
import Testing

@testable import KafkaBridge

@Suite("Configuration")
struct KafkaConfigurationTests {
    private func faults(
        properties: [String: String] = [:], topic: String = "t", cluster: String = "main", filters: [String] = ["#"],
        headers: [KafkaRoute.Header] = []
    ) throws -> [KafkaConfigurationError] {
        KafkaConfiguration(
            clusters: [KafkaCluster(name: "main", bootstrapServers: "127.0.0.1:1", properties: properties)],
            routes: [
                KafkaRoute(
                    name: "r", filters: try filters.map { try TopicFilter($0) }, cluster: cluster, topic: try RecordTemplate(topic),
                    headers: headers)
            ]
        ).validate()
    }

    @Test("a sound configuration has no faults")
    func sound() throws {
        #expect(try faults(properties: ["compression.type": "lz4", "linger.ms": "1"]) == [])
    }

    @Test("librdkafka's own words explain a property that it refuses")
    func properties() throws {
        let errors = try faults(properties: ["compresion.type": "lz4", "linger.ms": "soon"])
        #expect(errors.count == 2)
        #expect(errors[0].description.contains("compresion.type") && errors[0].description.contains("No such configuration property"))
        #expect(errors[1].description.contains("linger.ms"))
    }

    @Test("properties that contradict each other are found before the start")
    func contradiction() throws {
        let errors = try faults(properties: ["acks": "1"])
        guard case .producer(cluster: "main", let reason)? = errors.first else {
            Issue.record("no contradiction found: \(errors)")
            return
        }
        #expect(reason.contains("acks"))
        #expect(try faults(properties: ["acks": "1", "enable.idempotence": "false"]) == [])
    }

    @Test(
        "properties that the bridge decides can't be set",
        arguments: ["bootstrap.servers", "metadata.broker.list", "transactional.id", "delivery.report.only.error", "log.queue"])
    func reserved(name: String) throws {
        let errors = try faults(properties: [name: "true"])
        guard case .reservedProperty(cluster: "main", name: name, _)? = errors.first else {
            Issue.record("\(name) was let through: \(errors)")
            return
        }
    }

    @Test("a route must name a cluster, a filter and a topic that can work")
    func routes() throws {
        #expect(try faults(cluster: "mian") == [.unknownCluster(route: "r", cluster: "mian", known: ["main"])])
        #expect(try faults(filters: []) == [.noFilter(route: "r")])
        #expect(try faults(filters: ["$share/g/a"]) == [.sharedFilter(route: "r", filter: "$share/g/a")])
        #expect(try faults(topic: "${topic}").first?.description.contains("${topic:.}") == true)
        #expect(try faults(headers: [.init("mqtt.topic", .mqttTopic)]) == [.header(route: "r", name: "mqtt.topic")])
    }

    @Test("a route whose options contradict each other, or could only make useless records, is refused")
    func recordOptions() throws {
        func faults(_ change: (inout KafkaRoute) throws -> Void) throws -> [KafkaConfigurationError] {
            var route = KafkaRoute(name: "r", filters: [try TopicFilter("#")], cluster: "main", topic: try RecordTemplate("plant-1"))
            try change(&route)
            return KafkaConfiguration(clusters: [KafkaCluster(name: "main", bootstrapServers: "127.0.0.1:1")], routes: [route]).validate()
        }
        #expect(try faults { $0.excluded = [try TopicFilter("$share/g/a")] } == [.sharedFilter(route: "r", filter: "$share/g/a")])
        #expect(try faults { $0.allowedTopics = [try KafkaTopicPattern("plant")] } == [.topicNotAllowed(route: "r", topic: "plant-1")])
        #expect(try faults { $0.allowedTopics = [try KafkaTopicPattern("plant-*")] } == [])
        #expect(try faults { $0.partition = try RecordTemplate("two") } == [.partition(route: "r", text: "two")])
        #expect(try faults { $0.partition = try RecordTemplate("2147483648") } == [.partition(route: "r", text: "2147483648")])
        #expect(try faults { $0.partition = try RecordTemplate("2") } == [])
        #expect(try faults { $0.value = try RecordValue("jsn") } == [.constantValue(route: "r", text: "jsn")])
        #expect(try faults { $0.value = try RecordValue("json") } == [])
    }

    @Test("clusters without an address, with two, or with a wrong name are refused")
    func clusters() {
        let configuration = KafkaConfiguration(
            clusters: [
                "a": KafkaCluster(name: "a"), "b": KafkaCluster(name: "b", bootstrapServers: "h:1", isEmbedded: true),
                "c": KafkaCluster(name: "c", isEmbedded: true, embeddedBrokers: 0), "d": KafkaCluster(name: "e", isEmbedded: true, maxTopics: 0),
            ], routes: [])
        #expect(
            configuration.validate() == [
                .noAddress(cluster: "a"), .embeddedWithAddress(cluster: "b"), .embeddedBrokers(cluster: "c", count: 0),
                .clusterName(key: "d", name: "e"), .maxTopics(cluster: "d"),
            ])
    }

    @Test(
        "secrets are in no text, however a cluster or its faults are printed",
        arguments: [
            "sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.username", "ssl.key.pem", "sasl.oauthbearer.client.secret",
        ])
    func secrets(name: String) throws {
        let cluster = KafkaCluster(name: "main", bootstrapServers: "h:1", properties: [name: "hunter2", "linger.ms": "7"])
        let configuration = KafkaConfiguration(clusters: [cluster], routes: [])
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(cluster)", String(reflecting: cluster), "\(configuration)", dumped, "\(configuration.validate())"] {
            #expect(!text.contains("hunter2"))
        }
        #expect("\(cluster)".contains("linger.ms=7"))
    }

    @Test("a refused value of a secret property is not repeated in the error")
    func refusedSecret() throws {
        let errors = try faults(properties: ["sasl.oauthbearer.method": "hunter2"])
        #expect(errors.count == 1)
        #expect(!errors.map(\.description).joined().contains("hunter2"))
    }
}
