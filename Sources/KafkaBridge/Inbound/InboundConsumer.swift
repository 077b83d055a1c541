import CRdKafka
import Logging
import MQTTModel
import PluginAPI

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Reads the records of one inbound route and publishes them. Owned by its thread.
///
/// A record is behind us when everybody for whom the store keeps its message has it; the lowest offset that is not is what the store
/// remembers of the partition, in one transaction with forgetting who has the records before. After a crash the records from there on are
/// published again, and the broker leaves out whoever has them.
final class InboundConsumer {
    private let route: InboundRoute
    private let bootstrapServers: String
    private let flushMilliseconds: UInt64
    private var renderer: InboundRenderer
    private var client: ConsumerClient?
    private var partitions: [InboundPartition] = []
    private var places: [Place: Int] = [:]
    /// Records that must wait until others have been stored (`InboundWindow.mayTake`), in order. In no window yet.
    private var waiting: [InboundRecord] = []
    private var outstanding = 0
    private var outstandingBytes = 0
    private var isStoring = false
    private var lastStored: UInt64 = 0
    private var lastCommit: UInt64 = 0
    /// Fetching is stopped in librdkafka.
    private var isPaused = false
    private var fullSince: UInt64?
    private var isFatal = false
    private var openNotBefore: UInt64 = 0
    private var openDelay: UInt64 = 100

    private struct Place: Hashable {
        let topic: String
        let partition: Int32
    }

    /// What may be on its way to sessions and the store at a time.
    static let maxOutstanding = 1_000
    static let maxOutstandingBytes = 8 << 20
    /// One transaction is better shared by many records.
    private static let storeMilliseconds: UInt64 = 20
    /// The group is told for the sake of those who watch its lag.
    private static let commitMilliseconds: UInt64 = 2_000
    /// Pausing throws away what has been fetched, so a short jam is waited out instead. Kafka takes partitions from who does not poll for
    /// minutes.
    private static let patienceMilliseconds: UInt64 = 2_000
    private static let longestDelay: UInt64 = 10_000
    private static let askMilliseconds: Int32 = 5_000

    init(_ route: InboundRoute, bootstrapServers: String, flushSeconds: Int) {
        self.route = route
        self.bootstrapServers = bootstrapServers
        flushMilliseconds = UInt64(max(flushSeconds, 0)) * 1000
        renderer = InboundRenderer(route.configuration, broker: route.brokerName)
    }

    private var now: UInt64 { MessageClock.now.monotonicMilliseconds }
    private var isFull: Bool { outstanding >= Self.maxOutstanding || outstandingBytes >= Self.maxOutstandingBytes }

    func run() {
        while !route.isStopping {
            openClient()
            steer()
            read()
            settle()
            commitToGroup()
            if isFatal { replaceClient() }
        }
        if let client {
            finish(within: flushMilliseconds)
            client.close(milliseconds: max(flushMilliseconds, 1_000)) { MessageClock.now.monotonicMilliseconds }
        }
        route.ended()
    }

    // MARK: The client

    private func openClient() {
        guard client == nil, now >= openNotBefore else { return }
        do throws(KafkaClientError) {
            // With a store, a place that Kafka no longer has was lost to retention: the oldest record that is left is the nearest.
            let configuration = try ConsumerProperties.configuration(
                of: route.configuration, cluster: route.cluster, bootstrapServers: bootstrapServers, group: route.group,
                resets: route.store == nil ? route.configuration.start : .earliest)
            let made = try ConsumerClient(configuration, events: self)
            client = made
            isFatal = false
            isPaused = false
            if let fault = made.subscribe(to: route.configuration.topics) { throw KafkaClientError(reason: "subscription: \(fault)") }
        } catch {
            route.log(.error, "Kafka consumer can't be made: \(error.reason)")
            client?.close(milliseconds: 0) { 0 }
            client = nil
            delayOpening()
        }
    }

    private func delayOpening() {
        openNotBefore = now + openDelay
        openDelay = min(openDelay * 2, Self.longestDelay)
    }

    private func replaceClient() {
        route.log(.notice, "Kafka consumer is replaced")
        route.counters.update { $0.replacements += 1 }
        client?.close(milliseconds: 2_000) { MessageClock.now.monotonicMilliseconds }
        client = nil
        waiting = []  // they are read again
        for index in partitions.indices { partitions[index].isAssigned = false }
        isFatal = false
        delayOpening()
    }

    /// Stops and resumes fetching: by the operator's word, and while too much is on its way for long.
    private func steer() {
        guard let client else { return }
        if isFull || !waiting.isEmpty { fullSince = fullSince ?? now } else if outstanding <= Self.maxOutstanding / 2 { fullSince = nil }
        let isJammed = fullSince.map { now >= $0 + Self.patienceMilliseconds } ?? false
        let wanted = route.control.isPaused || isJammed
        guard wanted != isPaused else { return }
        isPaused = wanted
        client.pause(wanted, assigned.map { ($0.topic, $0.number) })
    }

    private var assigned: some Sequence<InboundPartition> { partitions.lazy.filter(\.isAssigned) }

    // MARK: Records

    private func read() {
        guard let client else {
            usleep(50_000)
            return
        }
        if !waiting.isEmpty {
            let records = waiting
            waiting = []
            for record in records { takeInTurn(record) }
        }
        if !isPaused, isFull || !waiting.isEmpty {
            usleep(2_000)
            return
        }
        var wait: Int32 = outstanding > 0 || isStoring || partitions.contains(where: \.window.canAdvance) ? 10 : 100
        for _ in 0..<500 {
            guard let message = client.poll(milliseconds: wait) else { return }
            defer { rd_kafka_message_destroy(message) }
            wait = 0
            guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                if message.pointee.err != RD_KAFKA_RESP_ERR__PARTITION_EOF {
                    failed(message.pointee.err, rd_kafka_message_errstr(message).map { String(cString: $0) } ?? "")
                }
                continue
            }
            openDelay = 100
            let record = InboundRecord(message)
            takeInTurn(record)
            if isFull || !waiting.isEmpty { return }
        }
    }

    private func takeInTurn(_ record: InboundRecord) {
        let isBehind = waiting.contains { $0.partition == record.partition && $0.topic == record.topic }
        if isBehind || !take(record) { waiting.append(record) }
    }

    /// - Returns: `false`: it must wait.
    private func take(_ record: InboundRecord) -> Bool {
        let index = index(of: Place(topic: record.topic, partition: record.partition))
        // An assignment has always given a place, except where Kafka was left to choose it.
        if let end = partitions[index].window.end {
            if record.offset < end {
                route.log(
                    .warning, "Kafka has gone back: the partition begins anew, as after its topic was made again",
                    ["topic": "\(record.topic)", "partition": "\(record.partition)", "from": "\(end)", "to": "\(record.offset)"])
                begin(index, at: record.offset, isKnown: false)
            }
        } else {
            begin(index, at: record.offset, isKnown: false)
        }
        guard partitions[index].window.mayTake(record.offset) else { return false }
        let bytes = record.byteCount
        route.counters.update {
            $0.received += 1
            $0.receivedBytes += record.value?.count ?? 0
        }
        do throws(InboundRefusal) {
            let message = try renderer.message(of: record)
            partitions[index].window.took(record.offset, bytes: bytes, isPublished: true)
            outstanding += 1
            outstandingBytes += bytes
            let completion = InboundRoute.Completion(partition: index, generation: partitions[index].generation, offset: record.offset)
            route.counters.update {
                $0.published += 1
                $0.outstanding = outstanding
            }
            route.context.publish(message, from: partitions[index].source, number: UInt64(record.offset)) { [route] in route.completed(completion) }
        } catch {
            partitions[index].window.took(record.offset, bytes: bytes, isPublished: false)
            route.skipped(record, error)
        }
        return true
    }

    private func begin(_ index: Int, at offset: Int64, isKnown: Bool) {
        outstanding -= partitions[index].window.outstanding
        outstandingBytes -= partitions[index].window.outstandingBytes
        partitions[index].begin(at: offset, isKnown: isKnown)
    }

    private func index(of place: Place) -> Int {
        if let index = places[place] { return index }
        partitions.append(
            InboundPartition(topic: place.topic, number: place.partition, source: route.source(topic: place.topic, partition: place.partition)))
        places[place] = partitions.count - 1
        return partitions.count - 1
    }

    // MARK: Completions and the store

    private func settle() {
        let news = route.takeNews()
        for completion in news.completions where partitions[completion.partition].generation == completion.generation {
            guard let bytes = partitions[completion.partition].window.completed(completion.offset) else { continue }
            outstanding -= 1
            outstandingBytes -= bytes
        }
        if !news.completions.isEmpty { route.counters.update { $0.outstanding = outstanding } }
        if news.isStored {
            isStoring = false
            for index in partitions.indices {
                if let offset = partitions[index].storing { (partitions[index].stored, partitions[index].storing) = (offset, nil) }
            }
        }
        store()
    }

    private func store() {
        guard !isStoring, now >= lastStored + Self.storeMilliseconds else { return }
        var changes: [StoreChange] = []
        for index in partitions.indices {
            guard let advance = partitions[index].window.advance() else { continue }
            guard route.store != nil else {
                partitions[index].stored = advance.position
                continue
            }
            partitions[index].storing = advance.position
            changes.append(.set(key: partitions[index].source, value: InboundPartition.bytes(of: advance.position)))
            changes += advance.forgotten.map { .forget(source: partitions[index].source, number: UInt64($0)) }
        }
        guard !changes.isEmpty, let store = route.store else { return }
        isStoring = true
        lastStored = now
        store.commit(changes) { [route] in route.stored() }
    }

    private func commitToGroup(isLast: Bool = false) {
        guard let client, isLast || now >= lastCommit + Self.commitMilliseconds else { return }
        lastCommit = now
        var behind: [(topic: String, partition: Int32, offset: Int64)] = []
        for index in partitions.indices where partitions[index].isAssigned {
            guard let stored = partitions[index].stored, stored != partitions[index].committed else { continue }
            partitions[index].committed = stored
            behind.append((partitions[index].topic, partitions[index].number, stored))
        }
        client.commit(behind)
    }

    /// Waits until what is on its way has arrived and the store and the group know of it.
    private func finish(within milliseconds: UInt64) {
        let deadline = now + milliseconds
        while true {
            settle()
            if outstanding == 0, !isStoring, !partitions.contains(where: \.window.canAdvance) { break }
            if now >= deadline { break }
            usleep(2_000)
        }
        commitToGroup(isLast: true)
    }
}

extension InboundConsumer: ConsumerEvents {
    func assigned(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>, by client: ConsumerClient) {
        for number in 0..<Int(list.pointee.cnt) {
            let place = Place(topic: String(cString: list.pointee.elems[number].topic), partition: list.pointee.elems[number].partition)
            let index = index(of: place)
            partitions[index].isAssigned = true
            partitions[index].committed = nil
            list.pointee.elems[number].offset = start(of: index, client)
        }
        route.counters.update { $0.partitions = assigned.reduce(0) { count, _ in count + 1 } }
        isPaused = false  // what has just been assigned is not; `steer` sees to it
        route.log(.info, "Kafka partitions assigned", ["partitions": "\(list.pointee.cnt)", "group": "\(route.group)"])
    }

    /// Where to begin reading, as librdkafka takes it.
    private func start(of index: Int, _ client: ConsumerClient) -> Int64 {
        // What is on its way is not read again: the broker would publish it twice.
        if let end = partitions[index].window.end { return end }
        guard let store = route.store else { return Int64(RD_KAFKA_OFFSET_INVALID) }  // the group's, else as `start` says
        let (topic, number) = (partitions[index].topic, partitions[index].number)
        while !route.isStopping {
            do throws(PluginStoreError) {
                if let offset = try store.value(partitions[index].source).flatMap(InboundPartition.offset) {
                    begin(index, at: offset, isKnown: true)
                    return offset
                }
                break
            } catch {
                route.log(
                    .error, "the store does not say where to go on, so the partition waits: \(error)", ["topic": "\(topic)", "partition": "\(number)"])
                usleep(500_000)
            }
        }
        guard route.configuration.start == .latest else { return Int64(RD_KAFKA_OFFSET_INVALID) }
        // The newest place is noted now: a restart before the first record must not skip what was written meanwhile.
        let place =
            client.committed(topic: topic, partition: number, milliseconds: Self.askMilliseconds)
            ?? client.highWatermark(topic: topic, partition: number, milliseconds: Self.askMilliseconds)
        guard let place else { return Int64(RD_KAFKA_OFFSET_END) }
        begin(index, at: place, isKnown: false)
        return place
    }

    func revoked(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>, by client: ConsumerClient) {
        finish(within: min(flushMilliseconds, 5_000))
        for number in 0..<Int(list.pointee.cnt) {
            let place = Place(topic: String(cString: list.pointee.elems[number].topic), partition: list.pointee.elems[number].partition)
            if let index = places[place] { partitions[index].isAssigned = false }
            // Whoever has the partition next reads them again.
            waiting.removeAll { $0.topic == place.topic && $0.partition == place.partition }
        }
        route.counters.update { $0.partitions = assigned.reduce(0) { count, _ in count + 1 } }
        route.log(.info, "Kafka partitions revoked", ["partitions": "\(list.pointee.cnt)", "group": "\(route.group)"])
    }

    func failed(_ error: rd_kafka_resp_err_t, _ text: String) {
        switch error {
        case RD_KAFKA_RESP_ERR__FATAL:
            isFatal = true
            route.log(.error, "Kafka consumer has a fatal error: \(text)")
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: route.log(.warning, "Kafka cluster is down: no broker can be reached")
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE: route.log(.debug, "librdkafka: \(text)")
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
            route.log(.warning, "Kafka topic is missing; it is asked for again: \(text)")
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
            route.log(.error, "Kafka refuses access; give the user read access to the topics and to group \(route.group): \(text)")
        default: route.log(.warning, "Kafka consumer: \(text)")
        }
    }

    func logged(level: Int32, facility: String, _ text: String) {
        // The cluster's properties are meant for producers too.
        if facility == "CONFWARN" { return }
        route.log(level <= 4 ? .warning : level <= 6 ? .info : .debug, "librdkafka: \(text)")
    }

    func measured(_ statistics: UnsafeRawBufferPointer) {
        let lags = ProducerStatistics.numbers(after: #""consumer_lag":"#, in: statistics)
        // -1 where the group has no place yet, and for a partition that librdkafka makes up.
        let isKnown = ProducerStatistics.numbers(after: #""consumer_lag":-"#, in: statistics).count < lags.count
        route.counters.update { $0.lag = isKnown ? lags.reduce(0, +) : nil }
    }
}
