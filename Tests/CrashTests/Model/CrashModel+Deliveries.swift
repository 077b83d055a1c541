import MQTTModel

/// Every promised message arrived, and none came twice that must not.
extension CrashModel {
    mutating func checkDeliveries() {
        let clients = Set(register.all.filter { $0.interest.group == nil }.map(\.client)).union(receivers)
        for client in clients.sorted() {
            let lives = register.all.filter { $0.client == client }
            for message in messages.values.sorted(by: { $0.firstSent < $1.firstSent }) where !message.isEmpty {
                check(message, at: client, lives)
            }
        }
        checkForeign()
    }

    private mutating func check(_ message: MessageRecord, at client: String, _ lives: [Subscription]) {
        let matching = lives.filter { filter($0.interest.filter, selects: message.topic) }
        let plain = matching.filter { $0.interest.group == nil }
        let all = receptions(of: message.name, at: client)
        if let strayed = all.first(where: { $0.topic != message.topic }) {
            report(
                .invented, "\(client) received \(message.name) on \(strayed.topic), published on \(message.topic)", message: message.name,
                client: client)
        }
        let live = all.filter { !$0.isRetained }

        let owed = plain.filter { $0.isOwed(message) }
        if !owed.isEmpty {
            count { $0.deliveriesChecked += 1 }
            if all.isEmpty {
                report(
                    .lost,
                    "\(client), subscribed to \(owed.map(\.interest.filter).joined(separator: " and ")), never received \(message.name)",
                    message: message.name, client: client)
            }
        }
        if !live.isEmpty, !matching.contains(where: { $0.mayReceive(message) }) {
            report(
                matching.isEmpty ? .invented : .unexpected,
                "\(client) received \(message.name) on \(message.topic) without a subscription to it",
                message: message.name, client: client)
        }
        // Members of a group are counted together.
        if !matching.contains(where: { $0.interest.group != nil }) { checkCopies(message, at: client, plain, owed, live) }
    }

    private mutating func checkCopies(
        _ message: MessageRecord, at client: String, _ plain: [Subscription], _ owed: [Subscription], _ live: [Reception]
    ) {
        guard live.count > 1 else { return }
        // Overlapping subscriptions get one copy, at the highest QoS among them.
        let isExact = message.qos == .exactlyOnce && owed.contains { $0.qos == .exactlyOnce }
        let copies = isExact ? live : live.filter { $0.qos == .exactlyOnce }
        if let most = copiesInOneSession(copies, at: client), most > 1 {
            report(.doubled, "\(client) received \(message.name) \(most) times in one session at QoS 2", message: message.name, client: client)
        } else {
            count { $0.duplicates += live.count - 1 }
        }
    }

    /// What was not acknowledged when a session ended may come to the client's next session, too.
    private func copiesInOneSession(_ copies: [Reception], at client: String) -> Int? {
        let starts = sessionStarts[client] ?? []
        return Dictionary(grouping: copies) { copy in starts.last { $0 < copy.place } ?? -1 }.values.map(\.count).max()
    }

    /// Messages that came and were never sent. Wills have a check of their own.
    private mutating func checkForeign() {
        for client in receivers {
            for name in receivedNames(at: client) where messages[name] == nil && !name.publisher.hasPrefix("will:") {
                report(.invented, "\(client) received \(name), which nobody has published", message: name, client: client)
            }
        }
    }

    // MARK: Shared subscriptions

    mutating func checkGroups() {
        let members = Dictionary(grouping: register.all.filter { $0.interest.group != nil }, by: \.interest)
        for (interest, lives) in members.sorted(by: { $0.key.filter < $1.key.filter }) {
            let clients = Set(lives.map(\.client)).sorted()
            for message in messages.values.sorted(by: { $0.firstSent < $1.firstSent })
            where !message.isEmpty && filter(interest.filter, selects: message.topic) {
                let live = clients.flatMap { receptions(of: message.name, at: $0) }.filter { !$0.isRetained }
                let isOwed = lives.contains { $0.isOwed(message) }
                if isOwed {
                    count { $0.deliveriesChecked += 1 }
                    if live.isEmpty {
                        report(.lost, "the group \(interest.group ?? "") never received \(message.name)", message: message.name)
                    }
                }
                guard live.count > 1 else { continue }
                if message.qos == .exactlyOnce, lives.allSatisfy({ $0.qos == .exactlyOnce && $0.isPersistent }) {
                    report(
                        .doubled, "the group \(interest.group ?? "") received \(message.name) \(live.count) times at QoS 2",
                        message: message.name)
                } else {
                    count { $0.duplicates += live.count - 1 }
                }
            }
        }
    }
}
