#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Places between two steps of the store where a test can have the process killed: `HEADWATER_FAULT=NAME:COUNT` ends it with
/// SIGKILL at the COUNT-th passing. Debug builds only; nothing is left of it in a release.
package enum FaultPoint: String, CaseIterable, Sendable {
    case batchTaken = "batch-taken"
    case transactionBegun = "transaction-begun"
    case operationApplied = "operation-applied"
    case beforeCommit = "before-commit"
    case afterCommit = "after-commit"
    case beforeSync = "before-sync"
    case afterSync = "after-sync"
    case beforeReport = "before-report"
    case afterReport = "after-report"
    case checkpointWritten = "checkpoint-written"
    case pageRead = "page-read"
    case restored = "restored"
    case copyVerified = "copy-verified"

    #if DEBUG
    private static let armed: (point: FaultPoint, count: Int)? = {
        guard let text = getenv("HEADWATER_FAULT") else { return nil }
        let parts = String(cString: text).split(separator: ":")
        guard parts.count == 2, let point = FaultPoint(rawValue: String(parts[0])), let count = Int(parts[1]) else { return nil }
        return (point, count)
    }()
    private static let passed = FaultCounter()
    #endif

    @inline(__always)
    package static func reach(_ point: FaultPoint) {
        #if DEBUG
        guard let armed, armed.point == point else { return }
        if passed.next() == armed.count { kill(getpid(), SIGKILL) }
        #endif
    }
}

#if DEBUG
import Synchronization

private final class FaultCounter: Sendable {
    private let count = Atomic<Int>(0)
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }
}
#endif
