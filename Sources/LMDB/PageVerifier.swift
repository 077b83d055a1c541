import Glibc

/// Checks a data file before LMDB opens it.
///
/// LMDB trusts what it reads: a damaged offset makes it read outside the map, and the process dies by a signal instead
/// of telling the operator which file to restore. So every page that LMDB could come to is looked at first, with reads
/// and bounds checks alone. What isn't structure isn't seen: a changed byte in a value is for the caller's `record`.
///
/// Not for a file that somebody is writing to.
package enum PageVerifier {
    package struct Options: Sendable {
        /// How long the databases in `databasesWithBudget` may take together. nil: as long as they need.
        package var budget: Duration?
        /// Those that may stay unfinished, walked last and in this order. All others are always walked whole.
        package var databasesWithBudget: [String]

        package init(budget: Duration?, databasesWithBudget: [String]) {
            self.budget = budget
            self.databasesWithBudget = databasesWithBudget
        }

        /// Every page of every database.
        package static let all = Options(budget: nil, databasesWithBudget: [])
    }

    package enum Verdict: Sendable, Equatable {
        case intact(Summary)
        /// `page` is where it was noticed, which may be the page that points to the damaged one.
        case damaged(page: UInt64?, what: String)
        /// The system refused; the text is its own.
        case unreadable(String)
        /// Not written by this version of LMDB on this kind of machine.
        case foreign(String)
    }

    package struct Summary: Sendable, Equatable {
        package var pageSize: Int
        package var lastTransactionID: UInt64
        /// Pages are numbered from 0. The file may end before, if the last ones are free.
        package var lastPage: UInt64
        package var fileBytes: Int
        /// As their records say; compared with what was found unless incomplete.
        package var entries: [String: UInt64]
        package var freePages: Int
        package var incompleteDatabases: [String]
        /// Neither used nor free: lost to the file until it is compacted, but harmless. nil unless all was walked.
        package var unclaimedPages: Int?
    }

    /// Lent each value of each named database, in order, as far as it is walked; false ends with `.damaged`.
    package typealias Record = (_ database: String, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool

    package static func verify(path: String, options: Options = .all, record: Record? = nil) -> Verdict {
        do throws(PageFinding) {
            return .intact(try summary(path: path, options, record))
        } catch {
            switch error {
            case .damaged(let page, let what): return .damaged(page: page, what: what)
            case .unreadable(let code): return .unreadable(String(cString: strerror(code)))
            case .foreign(let what): return .foreign(what)
            }
        }
    }

    private static func summary(path: String, _ options: Options, _ record: Record?) throws(PageFinding) -> Summary {
        let file = try PageFile(path: path)
        let meta = try currentMeta(of: file)
        var walk = TreeWalk(pageSize: meta.pageSize, lastPage: meta.lastPage)
        let databases = try namedDatabases(meta, file, &walk)
        let freePages = try checkFreeList(meta, file, &walk)
        try checkEnd(meta, file, walk)

        var incomplete: [String] = []
        for (name, database) in databases where !options.databasesWithBudget.contains(name) {
            _ = try check(name, database, file, &walk, deadline: nil, record)
        }
        let deadline = options.budget.map { ContinuousClock.now + $0 }
        for name in options.databasesWithBudget {
            guard let database = databases.first(where: { $0.name == name })?.record else { continue }
            if try !check(name, database, file, &walk, deadline: deadline, record) { incomplete.append(name) }
        }
        return Summary(
            pageSize: meta.pageSize, lastTransactionID: meta.transactionID, lastPage: meta.lastPage, fileBytes: file.byteCount,
            entries: Dictionary(databases.map { ($0.name, $0.record.entries) }, uniquingKeysWith: { first, _ in first }),
            freePages: freePages, incompleteDatabases: incomplete,
            unclaimedPages: incomplete.isEmpty ? Int(meta.lastPage) - 1 - walk.claims.count : nil)
    }

    private static func check(
        _ name: String, _ database: DatabaseRecord, _ file: borrowing PageFile, _ walk: inout TreeWalk,
        deadline: ContinuousClock.Instant?, _ record: Record?
    ) throws(PageFinding) -> Bool {
        guard let record else {
            return try walk.walk(database, .named, of: file, readsValues: false, deadline: deadline, visit: nil)
        }
        return try walk.walk(database, .named, of: file, readsValues: true, deadline: deadline) { (page, key, value) throws(PageFinding) in
            guard record(name, key, value) else { throw .damaged(page, "an entry of \(name) isn't what was written") }
        }
    }
}
