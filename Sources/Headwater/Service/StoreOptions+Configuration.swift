import Storage

extension StoreOptions {
    init(_ settings: BrokerConfiguration.Store) {
        self.init()
        durability =
            switch settings.durability {
            case .sync: .sync
            case .commit: .commit
            case .relaxed: .relaxed
            }
        onDamage =
            switch settings.onDamage {
            case .stop: .stop
            case .restore: .restore
            case .empty: .empty
            case .restoreOrEmpty: .restoreOrEmpty
            }
        syncIntervalMilliseconds = max(10, settings.syncIntervalMilliseconds)
        maxBytes = max(1 << 20, settings.maxBytes)
    }
}

extension BrokerConfiguration.Durability {
    /// For the line at the start.
    var meaning: String {
        switch self {
        case .sync: "an acknowledgement survives a power cut"
        case .commit: "an acknowledgement survives the end of the process; a power cut takes what came after the last synchronisation"
        case .relaxed: "an acknowledgement says that the message was received; the end of the process may take it"
        }
    }
}

extension Duration {
    /// Seconds with three decimals, for a log.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds / 1_000_000_000_000_000) / 1_000 }
}
