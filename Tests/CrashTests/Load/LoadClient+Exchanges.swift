import BrokerTestKit
import MQTTModel
import MQTTWire

/// The exchanges of a session: publishing, receiving, subscribing.
extension LoadClient {
    // MARK: After CONNACK

    /// What the specification has a client do when its session goes on.
    func resume() {
        var packets: [Packet] = []
        for index in outgoing.indices {
            if outgoing[index].isReleased {
                journal.note(.step(client: plan.name, "PUBREL \(outgoing[index].packet.packetID) again"))
                packets.append(.pubRel(Acknowledgement(packetID: outgoing[index].packet.packetID)))
            } else {
                outgoing[index].packet.dup = true
                noteSending(outgoing[index], isAgain: true)
                packets.append(.publish(outgoing[index].packet))
            }
        }
        for filter in parting.sorted() { packets.append(unsubscribe(filter)) }
        for filter in wanted.keys.sorted() where !granted.contains(filter) && !parting.contains(filter) {
            packets.append(subscribe(filter))
        }
        send(packets)
    }

    // MARK: Publishing

    func publishMore() {
        guard let publishing = plan.publishing, outgoing.count < publishing.window else { return }
        var packets: [Packet] = []
        for _ in 0..<Int.random(in: 1...(publishing.window - outgoing.count), using: &random) {
            let message = nextMessage(publishing)
            outgoing.append(message)
            noteSending(message, isAgain: false)
            packets.append(.publish(message.packet))
        }
        send(packets)
    }

    private func nextMessage(_ publishing: ClientPlan.Publishing) -> Outgoing {
        let name = MessageName(plan.name, nextNumber)
        nextNumber += 1
        let topic = "\(publishing.isRetained ? "keep" : "load")/\(plan.name)/\(Int.random(in: 0..<publishing.topics, using: &random))"
        let qos = publishing.qos[Int.random(in: 0..<publishing.qos.count, using: &random)]
        let bytes =
            random.oneIn(publishing.largeOneIn) ? Int.random(in: 2_000...20_000, using: &random) : Int.random(in: 10...200, using: &random)
        let isEmpty = publishing.isRetained && random.oneIn(3)
        return Outgoing(
            name: name,
            packet: Publish(
                topic: topic, payload: isEmpty ? [] : name.payload(bytes: bytes), qos: qos, retain: publishing.isRetained,
                packetID: freePacketID()))
    }

    private func noteSending(_ message: Outgoing, isAgain: Bool) {
        journal.note(
            .sending(
                message.name, topic: message.packet.topic, qos: message.packet.qos, retain: message.packet.retain,
                isEmpty: message.packet.payload.isEmpty, isAgain: isAgain, packetID: message.packet.packetID))
    }

    /// The lowest that is free, so that identifiers come round often.
    private func freePacketID() -> UInt16 {
        let used = Set(outgoing.map(\.packet.packetID)).union(requests.keys)
        return (1...UInt16.max).first { !used.contains($0) } ?? 1
    }

    // MARK: Receiving

    func received(_ packet: Packet) {
        switch packet {
        case .pubRec(let answer): journal.note(.step(client: plan.name, "PUBREC \(answer.packetID) \(answer.reason)"))
        case .pubComp(let answer): journal.note(.step(client: plan.name, "PUBCOMP \(answer.packetID) \(answer.reason)"))
        case .pubRel(let answer): journal.note(.step(client: plan.name, "PUBREL \(answer.packetID) from the broker"))
        default: break
        }
        switch packet {
        case .publish(let publish): received(publish)
        case .pubAck(let answer):
            guard let index = index(of: answer, .atLeastOnce, "PUBACK") else { return }
            let message = outgoing.remove(at: index)
            conclude(message, answer.reason)
        case .pubRec(let answer):
            guard let index = index(of: answer, .exactlyOnce, "PUBREC") else { return }
            if answer.reason.isError {
                conclude(outgoing.remove(at: index), answer.reason)
            } else {
                if !outgoing[index].isReleased { journal.note(.acknowledged(outgoing[index].name)) }
                outgoing[index].isReleased = true
                send([.pubRel(Acknowledgement(packetID: answer.packetID))])
            }
        case .pubComp(let answer):
            guard let index = index(of: answer, .exactlyOnce, "PUBCOMP") else { return }
            if !outgoing[index].isReleased { journal.note(.misbehaved(client: plan.name, "sent PUBCOMP before PUBREC")) }
            journal.note(.completed(outgoing.remove(at: index).name))
        case .pubRel(let release):
            let isKnown = unreleased.remove(release.packetID) != nil
            answer(.pubComp(Acknowledgement(packetID: release.packetID, reason: isKnown ? .success : .packetIdentifierNotFound)))
        case .subAck(let answer): received(answer)
        case .unsubAck(let answer):
            guard case .unsubscribe(let filter)? = requests.removeValue(forKey: answer.packetID) else { return }
            // No Subscription Existed (0x11) is what was wanted, too.
            if let reason = answer.reasons.first, reason.isError {
                journal.note(.unsubscriptionRefused(client: plan.name, filter: filter, reason))
                return
            }
            journal.note(.unsubscribed(client: plan.name, filter: filter))
            parting.remove(filter)
            granted.remove(filter)
        case .pingResp: break
        default: journal.note(.misbehaved(client: plan.name, "sent \(packet.type)"))
        }
    }

    private func index(of answer: Acknowledgement, _ qos: QoS, _ what: String) -> Int? {
        let index = outgoing.firstIndex { $0.packet.packetID == answer.packetID && $0.packet.qos == qos }
        if index == nil { journal.note(.misbehaved(client: plan.name, "sent \(what) \(answer.packetID) for nothing under way")) }
        return index
    }

    private func conclude(_ message: Outgoing, _ reason: ReasonCode) {
        if reason.isError {
            journal.note(.refused(message.name, reason))
            if reason != .quotaExceeded { journal.note(.misbehaved(client: plan.name, "refused \(message.name) with \(reason)")) }
        } else {
            journal.note(.acknowledged(message.name))
            journal.note(.completed(message.name))
        }
    }

    private func received(_ publish: Publish) {
        switch publish.qos {
        case .atMostOnce: note(publish)
        case .atLeastOnce:
            note(publish)
            answer(.pubAck(Acknowledgement(packetID: publish.packetID)))
        case .exactlyOnce:
            if unreleased.insert(publish.packetID).inserted { note(publish) }
            answer(.pubRec(Acknowledgement(packetID: publish.packetID)))
        }
    }

    private func note(_ publish: Publish) {
        // A cleared retained topic names no message.
        guard !publish.payload.isEmpty else { return }
        guard let name = MessageName(payload: publish.payload), name.isWhole(publish.payload) else {
            journal.note(.receivedNonsense(client: plan.name, topic: publish.topic, bytes: publish.payload.count))
            return
        }
        journal.note(
            .received(
                client: plan.name, name, topic: publish.topic, qos: publish.qos, isDuplicate: publish.dup, isRetained: publish.retain))
    }

    private func answer(_ packet: Packet) {
        guard plan.answersLate else { return send([packet]) }
        if lateAnswers.isEmpty { answersHeldUntil = .now + .milliseconds(Int.random(in: 0...30, using: &random)) }
        lateAnswers.append(packet)
    }

    // MARK: Subscribing

    private func received(_ answer: SubAck) {
        guard case .subscribe(let filter)? = requests.removeValue(forKey: answer.packetID) else { return }
        guard let reason = answer.reasons.first, !reason.isError else {
            journal.note(.subscriptionRefused(client: plan.name, filter: filter, answer.reasons.first ?? .unspecifiedError))
            return
        }
        journal.note(.subscribed(client: plan.name, filter: filter))
        granted.insert(filter)
    }

    private func subscribe(_ filter: String) -> Packet {
        let packetID = freePacketID()
        requests[packetID] = .subscribe(filter)
        let qos = wanted[filter] ?? .exactlyOnce
        journal.note(.subscribing(client: plan.name, filter: filter, qos: qos))
        return .subscribe(Subscribe(packetID: packetID, entries: [Subscribe.Entry(filter: filter, qos: qos)]))
    }

    private func unsubscribe(_ filter: String) -> Packet {
        let packetID = freePacketID()
        parting.insert(filter)
        requests[packetID] = .unsubscribe(filter)
        journal.note(.unsubscribing(client: plan.name, filter: filter))
        return .unsubscribe(Unsubscribe(packetID: packetID, filters: [filter]))
    }

    /// What a full disk has refused is asked for again.
    func retrySubscriptions() {
        guard requests.isEmpty else { return }
        if let filter = parting.min() { return send([unsubscribe(filter)]) }
        guard let filter = wanted.keys.sorted().first(where: { !granted.contains($0) }) else { return }
        send([subscribe(filter)])
    }

    func waver() {
        guard plan.isWavering else { return }
        for (filter, _) in plan.subscriptions
        where !requests.values.contains(.subscribe(filter)) && !requests.values.contains(.unsubscribe(filter)) {
            guard random.oneIn(12) else { continue }
            if granted.contains(filter) {
                wanted[filter] = nil
                send([unsubscribe(filter)])
            } else {
                wanted[filter] = plan.subscriptions.first { $0.filter == filter }?.qos
                send([subscribe(filter)])
            }
        }
        if random.oneIn(150), let connection {
            startsClean = true
            journal.note(.connectionEnded(client: plan.name))
            Task { await connection.reset() }
        }
    }

    /// At the end of a run: everything that is planned is subscribed.
    func settleSubscriptions() {
        for (filter, qos) in plan.subscriptions where !granted.contains(filter) && requests.isEmpty {
            wanted[filter] = qos
            send([subscribe(filter)])
        }
    }
}
