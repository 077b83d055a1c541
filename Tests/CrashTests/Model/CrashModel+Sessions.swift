/// A session whose CONNACK was seen is found again; one that was ended is not.
extension CrashModel {
    mutating func checkSessions(_ history: History) {
        /// What the client may count on: `true` from the first CONNACK of a kept session on.
        var exists: [String: Bool] = [:]
        var connecting: [String: (isPersistent: Bool, cleanStart: Bool)] = [:]
        for (place, entry) in history.entries.enumerated() {
            switch entry.what {
            case .connecting(let client, let isPersistent, let cleanStart, _):
                connecting[client] = (isPersistent, cleanStart)
                // Until it is answered, nobody knows whether the old session is gone.
                if cleanStart { exists[client] = nil }
            case .connected(let client, let sessionPresent):
                guard let request = connecting[client] else { continue }
                if request.cleanStart, sessionPresent {
                    report(.sessionRevived, "\(client) asked for a clean start and was told of a session, #\(place)", client: client)
                }
                if !request.cleanStart, exists[client] == true {
                    count { $0.sessionsChecked += 1 }
                    if !sessionPresent { report(.sessionLost, "\(client) came back, and its session is gone, #\(place)", client: client) }
                }
                exists[client] = request.isPersistent
            default: break
            }
        }
        checkSubscriptions()
    }

    /// A subscription that never gets anything it is owed has been forgotten: said once, apart from the messages it lost.
    private mutating func checkSubscriptions() {
        for life in register.all where life.interest.group == nil && life.isPersistent {
            let owed = messages.values.filter { !$0.isEmpty && filter(life.interest.filter, selects: $0.topic) && life.isOwed($0) }
            guard let last = owed.max(by: { $0.firstSent < $1.firstSent }), owed.count >= 3 else { continue }
            let recent = owed.filter { receptions(of: $0.name, at: life.client).isEmpty }
            let isForgotten = recent.count >= 3 && recent.contains { $0.name == last.name }
            if isForgotten {
                report(
                    .subscriptionLost,
                    "\(life.client) gets nothing more for \(life.interest.filter), acknowledged at #\(life.acknowledged ?? -1)",
                    message: last.name, client: life.client)
            }
        }
    }
}
