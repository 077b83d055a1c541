/// What is known of records that Kafka refuses, until the cursor has passed them: which are dead letters, and how small a
/// transaction has to be to find out which one is to blame.
///
/// In memory alone. After a crash a record is simply tried again: nothing of an earlier attempt has been committed.
struct DeadLetterMarks {
    enum Mark: Equatable {
        /// Its dead-letter record goes out in its place.
        case deadLetterTopic(FailedRecord)
        /// Kafka refuses that too, or there is none: to be kept locally.
        case local(FailedRecord)
    }

    private var marks: [UInt64: Mark] = [:]
    private var strikes: [UInt64: Int] = [:]
    private let strikesForUnknownFailure: Int
    /// Entries of a transaction while somebody in it is under suspicion; `nil`: no limit.
    private(set) var isolation: Int?
    /// The last sequence under suspicion.
    private var suspectsEnd: UInt64 = 0

    init(strikesForUnknownFailure: Int) { self.strikesForUnknownFailure = strikesForUnknownFailure }

    subscript(sequence: UInt64) -> Mark? { marks[sequence] }

    /// The next record to be kept locally.
    var nextLocal: FailedRecord? {
        var least: FailedRecord?
        for case .local(let failed) in marks.values where failed.sequence < least?.sequence ?? .max { least = failed }
        return least
    }

    mutating func moved(_ sequence: UInt64) { marks[sequence] = nil }

    /// There is no dead-letter record for it.
    mutating func hasNoDeadLetterRecord(_ failed: FailedRecord) { marks[failed.sequence] = .local(failed) }

    /// Takes the failures of a transaction of the entries `sequences`, which is going to be aborted.
    /// - Returns: Those that are dead letters now. Empty: it isn't clear yet who is to blame; smaller transactions will tell.
    mutating func failed(_ failures: [FailedRecord], of sequences: [UInt64]) -> [FailedRecord] {
        var certain: [FailedRecord] = []
        for failure in failures where sequences.count == 1 || (!failure.blamesBatch && failure.failure != .other) {
            if failure.failure == .other {
                strikes[failure.sequence, default: 0] += 1
                if strikes[failure.sequence, default: 0] < strikesForUnknownFailure { continue }
            }
            strikes[failure.sequence] = nil
            switch marks[failure.sequence] {
            case nil: marks[failure.sequence] = .deadLetterTopic(failure)
            case .deadLetterTopic(let first), .local(let first): marks[failure.sequence] = .local(first)
            }
            certain.append(failure)
        }
        if certain.isEmpty, let last = sequences.last {
            isolation = max(1, sequences.count / 2)
            suspectsEnd = max(suspectsEnd, last)
        }
        return certain
    }

    /// The cursor has reached `cursor` with a transaction.
    mutating func passed(_ cursor: UInt64) {
        for sequence in marks.keys where sequence < cursor { marks[sequence] = nil }
        for sequence in strikes.keys where sequence < cursor { strikes[sequence] = nil }
        if let limit = isolation { isolation = cursor > suspectsEnd ? nil : limit * 2 }
    }
}
