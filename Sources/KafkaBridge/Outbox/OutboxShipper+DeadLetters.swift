import CRdKafka
import Logging
import MQTTModel
import PluginAPI

/// Entries that can't be sent: to the dead-letter topic, and where there is none or it refuses them, into the store.
extension OutboxShipper {
    func die(_ sequence: UInt64, _ death: Death) {
        window.dying(sequence)
        deaths[sequence] = death
        unburied.append(sequence)
    }

    /// Sends what can't be sent to the dead-letter topic, or keeps it here.
    func bury() {
        keepForgotten()
        let waiting = unburied
        unburied = []
        for sequence in waiting {
            guard let death = deaths[sequence] else { continue }
            guard let (record, received) = shard.queue.record(sequence) else {
                ended(sequence, .dropped(.damaged), .fulfilled)
                continue
            }
            if let dead = outbox.deadLetter(of: record, reason: death.reason, text: death.text, schema: death.schema) {
                switch sendDead(dead, sequence) {
                case .acknowledged:
                    deaths[sequence]?.sentAt = MessageClock.now.monotonicMilliseconds
                    continue
                case .again:
                    unburied.append(sequence)
                    continue
                case .failed(let failure): reporter.log(.warning, "the dead-letter topic refuses a record: \(failure.rawValue)")
                }
            }
            keep(record, sequence, receivedUnixMilliseconds: received, death)
        }
    }

    private func keepForgotten() {
        guard !deaths.isEmpty, reporter.status.health.condition == .up else { return }
        let now = MessageClock.now.monotonicMilliseconds
        for (sequence, death) in deaths {
            guard let sentAt = death.sentAt, now > sentAt + Self.deadLetterPatience, let (record, received) = shard.queue.record(sequence) else { continue }
            deaths[sequence]?.sentAt = nil
            keep(record, sequence, receivedUnixMilliseconds: received, death)
        }
    }

    private func sendDead(_ record: OutboxRecord, _ sequence: UInt64) -> DeliveryVerdict {
        guard let client, let topic = Array(record.topic.utf8).withUnsafeBytes({ self.topic($0, of: client) }) else { return .again }
        let headers: OpaquePointer = rd_kafka_headers_new(record.headers.count)
        for header in record.headers {
            _ = header.value.withUnsafeBytes { rd_kafka_header_add(headers, header.name, header.name.utf8.count, $0.baseAddress, $0.count) }
        }
        // An empty value needs an address: none at all would be a tombstone.
        let error = (record.value + [0]).withUnsafeBytes { value in
            (record.key ?? []).withUnsafeBytes { key in
                headwater_produce(
                    client.client, topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, record.key == nil ? nil : key.baseAddress, key.count,
                    value.baseAddress, value.count - 1, record.timestamp, headers, UnsafeMutableRawPointer(bitPattern: UInt(sequence)))
            }
        }
        if error != RD_KAFKA_RESP_ERR_NO_ERROR { rd_kafka_headers_destroy(headers) }
        return DeliveryVerdict(error)
    }

    func reportedDead(_ sequence: UInt64, _ verdict: DeliveryVerdict) {
        guard let death = deaths[sequence] else { return }
        switch verdict {
        case .acknowledged:
            reporter.log(.warning, "record went to the dead letters: \(death.text)", reason: death.reason)
            ended(sequence, .dead(death.reason), .fulfilled)
        case .again:
            deaths[sequence]?.sentAt = nil
            unburied.append(sequence)
        case .failed(let failure):
            reporter.log(.warning, "the dead-letter topic refuses a record: \(failure.rawValue)")
            guard let (record, received) = shard.queue.record(sequence) else { return ended(sequence, .dropped(.damaged), .fulfilled) }
            keep(record, sequence, receivedUnixMilliseconds: received, death)
        }
    }

    private func keep(_ record: OutboxRecord, _ sequence: UInt64, receivedUnixMilliseconds: Int64, _ death: Death) {
        let changes = outbox.burial(
            of: record, sequence: sequence, receivedUnixMilliseconds: receivedUnixMilliseconds, in: shard, reason: death.reason,
            text: death.text)
        let (shard, reason) = (shard, death.reason)
        shard.store.commit(changes) { shard.tell(.buried(sequence, reason: reason)) }
    }

    func buried(_ sequence: UInt64, reason: String) {
        reporter.log(.warning, "record is kept among the local dead letters: \(deaths[sequence]?.text ?? reason)", reason: reason)
        ended(sequence, .dead(reason), .fulfilled)
    }
}
