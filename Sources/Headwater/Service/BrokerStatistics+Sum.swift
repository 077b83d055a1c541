extension BrokerStatistics {
    /// Adds the figures of another loop.
    mutating func add(_ other: BrokerStatistics) {
        func sum<Key>(_ left: inout [Key: Int], _ right: [Key: Int]) { left.merge(right, uniquingKeysWith: +) }
        for path in Self.plainFigures { self[keyPath: path] += other[keyPath: path] }
        for path in [\Self.messagesReceived, \.messagesSent, \.payloadBytesReceived, \.payloadBytesSent] {
            for qos in 0...2 { self[keyPath: path][qos] += other[keyPath: path][qos] }
        }
        sum(&connectionsRefused, other.connectionsRefused)
        sum(&disconnects, other.disconnects)
        sum(&protocolErrors, other.protocolErrors)
        sum(&messagesRefused, other.messagesRefused)
        sum(&dropped, other.dropped)
        sum(&loginsFailed, other.loginsFailed)
        sum(&handshakes.failed, other.handshakes.failed)
        for (name, figures) in other.tenants { tenants[name, default: TenantStatistics()].add(figures) }
        deliveryLatency.add(other.deliveryLatency)
        eventLoopLag.add(other.eventLoopLag)
    }

    private static var plainFigures: [WritableKeyPath<BrokerStatistics, Int>] {
        [
            \.connections, \.connectionsAccepted, \.sessions, \.sessionsOffline, \.takeovers, \.subscriptions,
            \.sharedSubscriptions, \.retainedMessages, \.retainedBytes, \.bytesReceived, \.bytesSent, \.packetsReceived,
            \.packetsSent, \.messagesWithoutReceiver, \.duplicatesRecognized, \.willsPublished, \.deliveriesDue, \.delivered,
            \.expired, \.queuedMessages, \.queuedBytes, \.inflightMessages, \.heldPublishes, \.pausedPublishers, \.quotaPauses,
            \.eventLoops,
            \.handshakes.completed, \.handshakes.resumed, \.handshakes.stepsOnThreads, \.webSocketFailures, \.proxyFailures, \.connectionsRevoked,
        ]
    }
}
