@testable import KafkaBridge

/// What Kafka promises about transactions, in small: one transaction coordinator, one log in order of arrival, one group offset.
final class ModelKafka {
    struct Record: Equatable {
        let topic: String
        let key: UInt8
        let message: Int
        let transaction: Int
    }

    private(set) var log: [Record] = []
    private(set) var committedTransactions: Set<Int> = []
    var cursor: Cursor?
    fileprivate(set) var epoch = 0
    /// Grows with every commit.
    private(set) var changes = 0
    private var open: (transaction: Int, cursor: Cursor?)?
    private var transactions = 0
    /// Messages whose records the topic refuses; dead letters are refused if `refusesDeadLetters`.
    var poison: Set<Int> = []
    var refusesDeadLetters = false
    /// Whether a refusal names all records of the transaction, as a broker does for a batch.
    var blamesBatch = false

    /// Messages in the order in which a `read_committed` consumer sees them.
    func committed(topic: String) -> [Record] { log.filter { $0.topic == topic && committedTransactions.contains($0.transaction) } }

    fileprivate func initTransactions() -> Int {
        open = nil
        epoch += 1
        return epoch
    }

    fileprivate func check(_ producerEpoch: Int) throws(ProducerFault) {
        guard producerEpoch == epoch else { throw .fenced("INVALID_PRODUCER_EPOCH") }
    }

    fileprivate func begin() {
        transactions += 1
        open = (transactions, nil)
    }

    fileprivate func append(_ record: OutboxRecord) throws(ProducerFault) {
        guard let open else { throw .abortable("INVALID_TXN_STATE") }
        log.append(Record(topic: record.topic, key: record.key?.first ?? 0, message: Int(record.value[0]), transaction: open.transaction))
    }

    fileprivate func refuses(_ record: OutboxRecord) -> Bool {
        poison.contains(Int(record.value[0])) && (record.topic == ModelWorld.topic || refusesDeadLetters)
    }

    fileprivate func setCursor(_ cursor: Cursor) throws(ProducerFault) {
        guard open != nil else { throw .abortable("INVALID_TXN_STATE") }
        open?.cursor = cursor
    }

    fileprivate func end(commit: Bool) {
        if let open, commit {
            committedTransactions.insert(open.transaction)
            changes += 1
            if let moved = open.cursor { cursor = moved }
        }
        open = nil
    }
}

/// A producer on `ModelKafka`. Each call may be interrupted before its effect and between effect and answer.
final class ModelProducer: TransactionalProducer {
    private enum State { case new, ready, inTransaction, committed, aborted }
    private let kafka: ModelKafka
    private let world: ModelWorld
    private let instance: ModelInstance
    private var epoch = -1
    private var state = State.new
    private var produced: [UInt64] = []
    private var failures: [FailedRecord] = []
    private var isClosed = false

    init(world: ModelWorld, instance: ModelInstance) {
        self.kafka = world.kafka
        self.world = world
        self.instance = instance
    }

    func initTransactions() throws(ProducerFault) {
        try call(.initTransactions) { () throws(ProducerFault) in
            epoch = kafka.initTransactions()
            state = .ready
        }
    }

    func committedCursor() throws(ProducerFault) -> Cursor? {
        try call(.committedCursor) { () throws(ProducerFault) in kafka.cursor }
    }

    func begin() throws(ProducerFault) {
        try call(.begin) { () throws(ProducerFault) in
            try kafka.check(epoch)
            guard state != .inTransaction, state != .new else { throw .fatal("begin in \(state)") }
            state = .inTransaction
            (produced, failures) = ([], [])
            kafka.begin()
        }
    }

    func produce(_ record: OutboxRecord, sequence: UInt64) throws(ProducerFault) {
        try call(.produce) { () throws(ProducerFault) in
            try kafka.check(epoch)
            guard state == .inTransaction else { throw .fatal("produce in \(state)") }
            if kafka.refuses(record) {
                failures.append(FailedRecord(sequence: sequence, failure: .tooLarge, blamesBatch: kafka.blamesBatch, text: "too large"))
            } else {
                try kafka.append(record)
            }
            produced.append(sequence)
        }
    }

    func flush() throws(ProducerFault) -> [FailedRecord] {
        try call(.flush) { () throws(ProducerFault) in
            try kafka.check(epoch)
            guard kafka.blamesBatch, let first = failures.first else { return failures }
            return produced.map { FailedRecord(sequence: $0, failure: first.failure, blamesBatch: true, text: first.text) }
        }
    }

    func send(_ cursor: Cursor) throws(ProducerFault) {
        try call(.sendCursor) { () throws(ProducerFault) in
            try kafka.check(epoch)
            try kafka.setCursor(cursor)
        }
    }

    func commit() throws(ProducerFault) {
        try call(.commit) { () throws(ProducerFault) in
            if state == .committed { return }  // resumed: it was carried out, and only the answer is new
            try kafka.check(epoch)
            guard state == .inTransaction else { throw .fatal("commit in \(state)") }
            guard failures.isEmpty else { throw .abortable("records failed") }
            kafka.end(commit: true)
            state = .committed
        }
    }

    func abort() throws(ProducerFault) {
        try call(.abort) { () throws(ProducerFault) in
            if state == .aborted { return }
            try kafka.check(epoch)
            guard state == .inTransaction else { throw .fatal("abort in \(state)") }
            kafka.end(commit: false)
            state = .aborted
        }
    }

    func poll() {}

    func close() { isClosed = true }

    private func call<Result>(_ call: ProducerCall, _ effect: () throws(ProducerFault) -> Result) throws(ProducerFault) -> Result {
        precondition(!isClosed, "\(call) after close")
        try interrupt(world.point(.producer(call, .before), of: instance))
        let result = try effect()
        try interrupt(world.point(.producer(call, .after), of: instance))
        return result
    }

    private func interrupt(_ fault: ModelFault?) throws(ProducerFault) {
        switch fault {
        case nil: break
        case .dead, .fatal: throw .fatal("model")
        case .retriable: throw .retriable("model")
        case .abortable: throw .abortable("model")
        case .fenced: throw .fenced("model")
        }
    }
}
