import MQTTModel
import PluginAPI

/// A message on its way into the outbox, on an event loop.
extension OutboxRoute {
    enum Admission {
        case stored
        /// The publisher's acknowledgement waits for Kafka.
        case awaited
        case dropped
        case refused
        /// Its payload does not fit the route's schema.
        case unfit
    }

    /// - Parameter hold: Who waits for Kafka, if the route's acknowledgement is Kafka's.
    func admit(_ message: Message, _ plan: RoutePlan, hold: PublishHold?, into publishOutbox: PublishOutbox) -> Admission {
        let frame: OutboxFrame
        do throws(RecordRefusal) {
            frame = try plan.frame(message)
        } catch {
            // Not refused: the device can't mend a template, and its message is not lost.
            frame = OutboxFrame(error, route: route, message: message)
        }
        if configuration.delivery.schema?.isEnforced == true, let schema, !frame.topic.isEmpty, !fits(message, frame, schema) { return .unfit }
        let tail = frame.tail(of: message)
        let tenant = message.publisher?.tenant ?? ""
        let bytes = RecordPage.charge(head: frame.head.count + tail.count, value: frame.value?.count ?? message.payloadLength)
        let (isTaken, isFull) = balance.admit(bytes: bytes, tenant: tenant.isEmpty ? nil : tenant, outbox: bounds)
        guard isTaken else { return bounds.overflow == .refuse ? .refused : .dropped }
        let shard = shard(for: frame.key, of: message)
        if isFull, bounds.overflow == .slow {
            publishOutbox.slow(for: shard.queue)
            slows(tenant)
        }
        let deduplication = deduplicationKey(of: message)
        var ticket: OutboxShard.Ticket?
        if hold != nil || deduplication != nil {
            ticket = shard.ticket(for: hold) { [weak self] in
                self?.balance.ended([.init(bytes: bytes, receivedUnixMilliseconds: 0, tenant: tenant)], .dropped(.duplicate))
            }
        }
        publishOutbox.append(
            to: shard.queue, head: frame.head, tail: tail, value: frame.value, deduplication: deduplication, ticket: ticket, owner: self,
            ownerBytes: bytes)
        return hold == nil ? .stored : .awaited
    }

    private func fits(_ message: Message, _ frame: OutboxFrame, _ schema: SchemaConversion) -> Bool {
        let fault = message.withParts { _, _, payload in
            if let value = frame.value { value.withUnsafeBytes { schema.fault(of: $0, topic: frame.topic) } } else { schema.fault(of: payload, topic: frame.topic) }
        }
        guard let fault else { return true }
        route.unfit(message, fault)
        balance.refused("schema")
        return false
    }

    /// Keys are a client's own: tenant and client identifier come first. What is too long for the store recognises nothing.
    private func deduplicationKey(of message: Message) -> (key: [UInt8], milliseconds: Int64)? {
        guard let rule = configuration.delivery.deduplication, message.propertiesLength > 0,
            let value = message.properties.userProperties.first(where: { $0.name == rule.userProperty })?.value, !value.isEmpty
        else { return nil }
        var key = Array((message.publisher?.tenant ?? "").utf8) + [0]
        key += (message.publisher?.clientID ?? "").utf8
        key.append(0)
        key += value.utf8
        return key.count <= 400 ? (key, Int64(rule.seconds) * 1000) : nil
    }
}
