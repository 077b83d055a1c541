import Testing

@testable import KafkaBridge

/// The head of an outbox entry, written and read.
@Suite struct RecordFrameTests {
    private let heads: [RecordFrame.Head] = [
        RecordFrame.Head(), RecordFrame.Head(topic: "t", partition: 3, key: [], tenant: "acme", headers: []),
        RecordFrame.Head(
            topic: "telemetry", key: Array("k".utf8), headers: [.init(name: "mqtt.topic", value: [1, 2]), .init(name: "", value: [])]),
        RecordFrame.Head(topic: "", tenant: "t", headers: [.init(name: "a", value: [0])], death: ("missing_value", "no value")),
    ]

    @Test("a frame is read as it was written, with headers of both parts in order")
    func roundTrip() throws {
        for head in heads {
            let own: [OutboxRecord.Header] = [.init(name: "user", value: Array("x".utf8))]
            let bytes = head.encoded() + RecordFrame.tail(timestamp: -5, receivedUnixMilliseconds: 1_700_000_000_000, headers: own)
            try bytes.withUnsafeBytes { bytes in
                let view = try #require(RecordFrameView(bytes))
                #expect(String(decoding: view.topic, as: UTF8.self) == head.topic)
                #expect(view.partition == head.partition && view.key.map { Array($0) } == head.key)
                #expect(String(decoding: view.tenant, as: UTF8.self) == head.tenant)
                #expect(view.death?.reason == head.death?.reason && view.death?.text == head.death?.text)
                #expect(view.timestamp == -5 && view.receivedUnixMilliseconds == 1_700_000_000_000)
                #expect(view.headerCount == head.headers.count + 1)
                let record = view.record(value: bytes)
                #expect(record.headers == head.headers + own && record.value == Array(bytes))
            }
        }
    }

    @Test("bytes that are no frame are refused wherever they end or differ, and never trap")
    func damaged() {
        for head in heads {
            let bytes = head.encoded() + RecordFrame.tail(timestamp: 1, receivedUnixMilliseconds: 2)
            for count in 0..<bytes.count {
                #expect(bytes[0..<count].withUnsafeBytes { RecordFrameView($0) } == nil)
            }
            #expect((bytes + [0]).withUnsafeBytes { RecordFrameView($0) } == nil)
            for index in bytes.indices {
                var other = bytes
                other[index] ^= 0xFF
                other.withUnsafeBytes { _ = RecordFrameView($0)?.record(value: $0) }
            }
        }
    }
}
