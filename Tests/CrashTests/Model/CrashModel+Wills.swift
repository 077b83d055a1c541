import MQTTModel

/// A will comes when its connection ended without DISCONNECT, and not otherwise.
extension CrashModel {
    mutating func checkWills(_ history: History) {
        let kills = history.entries.enumerated().compactMap { place, entry -> (place: Int, seconds: Double, isByItself: Bool)? in
            if case .killed(_, _, let isByItself) = entry.what { (place, entry.seconds, isByItself) } else { nil }
        }
        for life in lives(in: history) {
            guard let will = life.will else { continue }
            for watcher in watchers(of: will, since: life.start) {
                count { $0.willsChecked += 1 }
                let copies = receptions(of: will.name, at: watcher.client).count
                if copies > 1, min(will.qos, watcher.qos) == .exactlyOnce {
                    report(
                        .doubled, "\(watcher.client) received will \(will.name) \(copies) times at QoS 2", message: will.name,
                        client: life.client)
                }
                switch verdict(life, will, kills) {
                case .due where copies == 0:
                    report(
                        .will, "\(watcher.client) never received will \(will.name), which was due", message: will.name, client: life.client)
                case .forbidden(let why) where copies > 0:
                    report(.will, "\(watcher.client) received will \(will.name), although \(why)", message: will.name, client: life.client)
                default: break
                }
            }
        }
    }

    private enum Verdict {
        case due
        case allowed
        case forbidden(String)
    }

    private func verdict(_ life: WillLife, _ will: WillPromise, _ kills: [(place: Int, seconds: Double, isByItself: Bool)]) -> Verdict {
        guard life.isAcknowledged else { return .allowed }
        // A CONNACK says that what was before is stored.
        let kill = kills.first { $0.place > life.start && $0.place < life.successorConnected ?? .max }
        if life.disconnecting != nil {
            // DISCONNECT has no acknowledgement: a kill may have undone it.
            return kill == nil && life.isDisconnectSure ? .forbidden("the client took it back with DISCONNECT") : .allowed
        }
        guard life.ended != nil else { return .forbidden("the client is connected") }
        if will.delaySeconds == 0 { return .due }
        guard life.successorConnecting != nil else { return .due }
        guard life.successorConnected != nil else { return .allowed }
        // Who was killed died at a known time; who died by itself, before it was noticed.
        if let kill, kill.isByItself { return .allowed }
        let end = min(life.endedSeconds, kill?.seconds ?? .infinity)
        return life.successorSeconds - end < will.delaySeconds ? .forbidden("the client was back before its delay had passed") : .allowed
    }

    private func watchers(of will: WillPromise, since start: Int) -> [Subscription] {
        register.all.filter { subscription in
            guard let acknowledged = subscription.acknowledged else { return false }
            return acknowledged < start && subscription.endRequested == nil && subscription.isPersistent
                && subscription.interest.group == nil
                && filter(subscription.interest.filter, selects: will.topic)
        }
    }

    private func lives(in history: History) -> [WillLife] {
        var register = WillRegister()
        for (place, entry) in history.entries.enumerated() { register.take(entry, at: place) }
        return register.all
    }
}
