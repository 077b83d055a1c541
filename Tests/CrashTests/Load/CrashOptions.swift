/// One run: a broker on a fresh store, a cast of clients, some kills.
struct CrashOptions: Sendable, CustomStringConvertible {
    enum Durability: String, Sendable, CaseIterable {
        case commit
        case sync
    }

    var seed: UInt64
    /// Distinguishes the runs of one seed.
    var number = 0
    var loops = 1
    /// `nil`: a broker without a store, which must not be killed.
    var durability: Durability?
    var kills = 5
    /// How long the load goes on after the last kill.
    var lastLoad = Duration.milliseconds(100)
    /// Points at which the process kills itself (`HEADWATER_FAULT`), for a share of the kills; release builds have none.
    var faultPoints: [String] = []
    /// Lines added to `store:` of the configuration.
    var storeOptions: [String] = []
    /// Most kills are power cuts: what was not synced is lost, kept or torn.
    var cutsPower = false
    /// `storeshim.c` is under the broker.
    var usesShim = false
    /// Before some kills the store's files fail for a while.
    var breaksDisk = false
    /// Further environment of the broker.
    var environment: [String: String] = [:]

    static let everyFaultPoint = [
        "batch-taken", "transaction-begun", "operation-applied", "before-commit", "after-commit", "before-sync", "after-sync",
        "before-report", "after-report", "checkpoint-written", "page-read", "restored",
    ]

    var description: String {
        "seed \(seed) run \(number): \(loops) loop\(loops == 1 ? "" : "s"), durability \(durability?.rawValue ?? "none"), \(kills) \(cutsPower ? "kills and power cuts" : "kills")"
    }
}
