import CRdKafka
import MQTTModel
import PluginAPI
import Synchronization
import Logging
import Testing

@testable import KafkaBridge

@Suite("Decisions of the bridge, without a cluster")
struct BridgeLogicTests {
    @Test("only errors that blame the record end it")
    func verdicts() {
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR_NO_ERROR) == .acknowledged)
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) == .again)
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR__TRANSPORT) == .again)
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS) == .again)
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) == .again)
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) == .failed(.tooLarge))
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) == .failed(.notAuthorized))
        #expect(DeliveryVerdict(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) == .failed(.unknownTopic))
    }

    @Test("every failure has a reason code that PUBACK may carry", arguments: RecordFailure.allCases)
    func reasonCodes(failure: RecordFailure) {
        // MQTT 5.0 section 3.4.2.1
        #expect([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99].contains(failure.reasonCode.rawValue))
    }

    @Test("every refusal has a reason code that PUBACK may carry, and says what to do", arguments: RecordRefusal.allCases)
    func refusals(refusal: RecordRefusal) {
        #expect([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99].contains(refusal.reasonCode.rawValue))
        #expect(!refusal.advice.isEmpty)
        #expect((refusal.reasonCode == .payloadFormatInvalid) == (refusal == .payloadNotJSON || refusal == .missingPayloadValue))
    }

    @Test("a hold on several records completes once, after the last, with the first failure")
    func sharedHold() {
        let sink = Outcomes()
        let hold = SharedHold(PublishCompletion(sink: sink, token: 7), records: 3)
        hold.recordEnded(.fulfilled)
        hold.recordEnded(.failed(.quotaExceeded))
        #expect(sink.all.isEmpty)
        hold.recordEnded(.failed(.notAuthorized))
        #expect(sink.all == [Outcomes.Entry(token: 7, outcome: .failed(.quotaExceeded))])
    }

    @Test("health says each change once")
    func health() {
        var health = ClusterHealth(now: 0)
        #expect(health.allBrokersDown(now: 1_000) == .down)
        #expect(health.allBrokersDown(now: 2_000) == nil)
        #expect(health.counted(connectedBrokers: 0, now: 2_500) == nil)
        #expect(health.counted(connectedBrokers: 1, now: 4_000) == .up(afterSeconds: 3))
        #expect(health.acknowledged(now: 4_500) == nil)
    }

    @Test("a cluster that is connected and acknowledges nothing is stalled until it does")
    func stall() {
        var health = ClusterHealth(now: 0)
        _ = health.counted(connectedBrokers: 1, now: 0)
        #expect(health.ticked(unacknowledged: 0, now: 50_000) == nil)
        #expect(health.ticked(unacknowledged: 5, now: 60_000) == nil)
        #expect(health.ticked(unacknowledged: 5, now: 69_999) == nil)
        #expect(health.ticked(unacknowledged: 5, now: 70_000) == .stalled(unacknowledged: 5))
        #expect(health.stalledMilliseconds(now: 71_000) == 11_000)
        #expect(health.counted(connectedBrokers: 1, now: 72_000) == nil)
        #expect(health.acknowledged(now: 75_000) == .up(afterSeconds: 5))
        #expect(health.ticked(unacknowledged: 0, now: 75_100) == nil)
        #expect(health.stalledMilliseconds(now: 90_000) == 0)
    }

    @Test("connected brokers and retries are read from librdkafka's statistics")
    func statistics() {
        let json = #"{"brokers":{"a":{"state":"UP","txretries":12},"b":{"state":"DOWN","txretries":3},"c":{"state":"UP","txretries":0}},"x":"y"}"#
        let statistics = Array(json.utf8).withUnsafeBytes { ProducerStatistics(json: $0) }
        #expect(statistics.connectedBrokers == 2)
        #expect(statistics.retries == 15)
        let cut = Array(json.utf8.prefix(38)).withUnsafeBytes { ProducerStatistics(json: $0) }
        #expect(cut.connectedBrokers == 1)
    }

    @Test("a flood gives a few lines and says how many were left out")
    func logLimit() {
        let limit = LogLimit(lines: 2, seconds: 10)
        #expect((0..<5).map { _ in limit.admit(atMilliseconds: 100_000) } == [0, 0, nil, nil, nil])
        #expect(limit.admit(atMilliseconds: 110_000) == 3)
    }

    @Test("a peer's text can't break out of its line of the log")
    func quoted() {
        #expect(!LogLimit.quoted("a\nb\u{1B}[2J").contains { $0 == "\n" || $0 == "\u{1B}" })
        #expect(LogLimit.quoted(String(repeating: "x", count: 1000)).count < 140)
    }

    @Test("records that come back stand in the order in which they were accepted")
    func waitingOrder() throws {
        var waiting = WaitingRecords()
        let records = try (0..<3_000).map { try Self.record(sequence: $0) }
        for record in records[2_000...] { waiting.append(record) }
        for _ in 0..<1_500 where waiting.count > 500 { waiting.removeFirst() }
        waiting.insert(returned: (records[0..<2_000] + records[2_000..<2_500]).reversed())
        var seen: [UInt64] = []
        while let record = waiting.first {
            seen.append(record.sequence)
            waiting.removeFirst()
        }
        #expect(seen == Array(0..<3_000))
    }

    @Test("the plan of a topic is made once, and again only after others have taken its place")
    func plans() {
        var plans = TopicPlans()
        var made = 0
        func look(_ topic: String) {
            Array(topic.utf8).withUnsafeBytes { bytes in
                _ = plans.plan(for: bytes) { name in
                    #expect(name == topic)
                    made += 1
                    return []
                }
            }
        }
        for _ in 0..<100 { for topic in ["a", "b", "a/b", String(repeating: "x", count: 1_000)] { look(topic) } }
        #expect(made == 4)
        for index in 0..<50_000 { look("hostile/\(index)") }
        #expect(made == 50_004)
    }

    private static func record(sequence: UInt64) throws -> KafkaRecord {
        let producer = KafkaProducer(cluster: KafkaCluster(name: "c", bootstrapServers: "127.0.0.1:1"), logger: .init(label: "test"))
        let configuration = KafkaRoute(name: "r", filters: [], cluster: "c", topic: try RecordTemplate("t"))
        let message = Message(topic: try TopicName("t"), payload: [])
        let binding = RouteBinding(
            route: Route(configuration: configuration, producer: producer, logger: .init(label: "test")), topic: TopicHandle(index: 0), key: nil,
            headers: RecordHeaders(route: configuration.headers, message: message))
        let record = KafkaRecord(message: message, binding: binding, hold: .alone(PublishCompletion(sink: Outcomes(), token: 0)))
        record.sequence = sequence
        return record
    }
}
