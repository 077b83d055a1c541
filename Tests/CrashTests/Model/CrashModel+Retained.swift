import MQTTModel

/// What a fresh subscriber sees is the last acknowledged state of each topic, or one that was under way.
extension CrashModel {
    mutating func checkRetained(_ history: History) {
        for (place, entry) in history.entries.enumerated() {
            guard case .retainedSeen(let client, let since, let topics) = entry.what else { continue }
            check(topics, at: client, since: since, until: place)
        }
    }

    /// Whether `seen` is what a subscriber may see that subscribed at `since`.
    static func retainedMatches(_ history: History, _ seen: [String: MessageName], since: Int) -> Bool {
        var model = CrashModel(history)
        model.read()
        let before = model.faults.count
        model.check(seen, at: "", since: since, until: history.entries.count)
        return model.faults.count == before
    }

    private mutating func check(_ seen: [String: MessageName], at client: String, since: Int, until: Int) {
        let changes = Dictionary(
            grouping: messages.values.filter { $0.isRetained && $0.firstSent < until && ($0.refused == nil || $0.isRepeated) }, by: \.topic)
        for topic in Set(changes.keys).union(seen.keys).sorted() {
            count { $0.retainedChecked += 1 }
            let all = (changes[topic] ?? []).sorted { $0.firstSent < $1.firstSent }
            let candidates = candidates(all, since: since)
            let state = seen[topic]
            if !candidates.contains(state) {
                let allowed = candidates.map { $0?.description ?? "nothing" }.joined(separator: " or ")
                report(
                    .retained, "\(client) sees \(state?.description ?? "nothing") on \(topic), expected \(allowed)",
                    message: state ?? candidates.compactMap { $0 }.last ?? all.last?.name, client: client)
            }
        }
    }

    /// What a topic may hold for somebody who looks at `since` or later; `nil` stands for no message.
    private func candidates(_ changes: [MessageRecord], since: Int) -> [MessageName?] {
        let settled = changes.last { ($0.acknowledged ?? .max) < since }
        // The others may have come in any order before or after it: a repetition of an unacknowledged one comes late.
        let open = changes.filter { ($0.acknowledged ?? .max) >= since }
        return [settled.flatMap { $0.isEmpty ? nil : $0.name }] + open.map { $0.isEmpty ? nil : $0.name }
    }
}
