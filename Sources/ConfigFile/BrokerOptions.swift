import Admin
import Headwater

/// The options that stand once: everything but `security` and the entries of `listeners`, `tenants`, `kafka.clusters` and `kafka.routes`.
enum BrokerOptions {
    typealias Option = ConfigurationOption<HeadwaterConfiguration>

    /// Keys whose values are lists or mappings of entries with tables of their own.
    static let structures = ["security", "listeners", "tenants", "kafka.clusters", "kafka.routes"]

    static let table: [Option] =
        [
            Option(
                "event_loops", .integer(1...64, word: "auto"), \.broker.eventLoops,
                "Threads that serve connections. auto: one less than the processors, at least one.")
        ] + limits + quotas + sessions + rest

    private static let limits: [Option] = [
        Option(
            "limits.max_packet_size", .bytes(20...268_435_460), \.broker.limits.maxPacketBytes,
            "Largest packet, fixed header included; announced as Maximum Packet Size."),
        Option(
            "limits.max_connect_packet_size", .bytes(20...268_435_460), \.broker.limits.maxConnectPacketBytes,
            "Largest first packet, from a peer that is nobody yet."),
        Option(
            "limits.connect_timeout", .seconds(1...3_600), \.broker.limits.connectTimeoutSeconds,
            "How long a connection may stay without a complete CONNECT."),
        Option(
            "limits.max_topic_levels", .integer(1...65_535), \.broker.limits.maxTopicLevels,
            "Levels of a topic name or filter."),
        Option(
            "limits.max_topic_length", .bytes(1...65_535), \.broker.limits.maxTopicBytes,
            "Bytes of a topic name or filter."),
        Option(
            "limits.max_subscriptions_per_session", .integer(1...100_000_000), \.broker.limits.maxSubscriptionsPerSession,
            "Subscriptions of one session; more are refused with 0x97 Quota exceeded."),
        Option(
            "limits.max_filters_per_packet", .integer(1...1_000_000), \.broker.limits.maxFiltersPerPacket,
            "Topic filters in one SUBSCRIBE or UNSUBSCRIBE."),
        Option(
            "limits.max_user_properties", .integer(0...1_000_000), \.broker.limits.maxUserProperties,
            "User properties in one packet."),
        Option(
            "limits.max_client_id_length", .bytes(1...65_535), \.broker.limits.maxClientIDBytes,
            "Bytes of a client identifier."),
        Option(
            "limits.max_connections", .integer(1...100_000_000, word: "unlimited"), \.broker.limits.maxConnections,
            "Network connections at once. unlimited: as many as descriptors allow."),
        Option(
            "limits.max_authentication_rounds", .integer(1...1_000), \.broker.limits.maxAuthenticationRounds,
            "Round trips of one enhanced authentication exchange."),
        Option(
            "limits.max_handshakes", .integer(1...1_000_000), \.broker.limits.maxHandshakes,
            "TLS handshakes that wait for a processor; at it, listeners accept nobody until some are done."),
        Option(
            "limits.max_half_open_per_address", .integer(1...1_000_000, word: "auto"), \.broker.limits.maxHalfOpenPerAddress,
            "Connections of one address (IPv6: one /64) that have no CONNACK yet; more are closed. auto: half of all that there may be."),
        Option(
            "limits.hashing_threads", .integer(1...256, word: "auto"), \.broker.limits.hashingThreads,
            "Threads that hash passwords. auto: half of the processors."),
        Option(
            "limits.max_waiting_logins", .integer(1...10_000_000), \.broker.limits.maxWaitingLogins,
            "Logins that may wait for those threads; more are refused with 0x97 Quota exceeded."),
        Option(
            "logins.max_failures", .integer(0...1_000_000), \.broker.logins.maxFailures,
            "Failed logins of one address (IPv6: one /64) within the window, after which it is banned. 0: never."),
        Option("logins.window", .seconds(1...86_400), \.broker.logins.windowSeconds, "Time in which failed logins are counted."),
        Option("logins.ban", .seconds(1...31_536_000), \.broker.logins.banSeconds, "How long an address is banned."),
    ]

    private static let quotas: [Option] =
        QuotaOptions.table(prefix: "quotas.client", \.broker.quotas.client, of: "one client")
        + QuotaOptions.table(prefix: "quotas.tenant", \.broker.quotas.tenant, of: "all clients of one tenant together")

    private static let sessions: [Option] = [
        Option(
            "sessions.max_expiry", .seconds(0...Int(UInt32.max) - 1, word: "never"),
            "Longest Session Expiry Interval; longer wishes are cut. never: sessions may stay for ever.",
            get: { $0.broker.sessions.maxExpirySeconds == .max ? .none : .integer(Int($0.broker.sessions.maxExpirySeconds)) },
            set: { target, value in
                if case .integer(let seconds) = value {
                    target.broker.sessions.maxExpirySeconds = UInt32(clamping: seconds)
                } else {
                    target.broker.sessions.maxExpirySeconds = .max
                }
            }),
        Option(
            "sessions.max_inflight_messages", .integer(1...65_535), \.broker.sessions.maxInflightMessages,
            "QoS 1 and 2 messages in flight towards one client; its Receive Maximum may lower it."),
        Option(
            "sessions.max_queued_messages", .integer(0...1_000_000_000), \.broker.sessions.maxQueuedMessages,
            "Messages waiting for one client, in flight not counted."),
        Option(
            "sessions.max_queued_bytes", .bytes(0...1 << 40), \.broker.sessions.maxQueuedBytes,
            "Bytes waiting for one client."),
        Option(
            "sessions.max_total_queued_bytes", .bytes(0...1 << 44), \.broker.sessions.maxTotalQueuedBytes,
            "Bytes waiting for all clients together."),
        Option(
            "sessions.overflow", \.broker.sessions.overflow,
            "What happens to a message for a full queue, or to its owner."),
        Option(
            "sessions.stalled_receiver_timeout", .milliseconds(0...3_600_000), \.broker.sessions.stalledReceiverMilliseconds,
            "How long a publisher waits at most for a connected receiver that has stopped reading."),
        Option(
            "sessions.queue_qos0_offline", \.broker.sessions.queuesQoS0WhenOffline,
            "Keep QoS 0 messages for persistent sessions that are offline."),
        Option(
            "sessions.receive_maximum", .integer(1...65_535), \.broker.sessions.receiveMaximum,
            "QoS 1 and 2 messages that a client may have unacknowledged; announced as Receive Maximum."),
        Option(
            "sessions.topic_alias_maximum", .integer(0...65_535), \.broker.sessions.topicAliasMaximum,
            "Topic aliases that a client may set; announced as Topic Alias Maximum."),
        Option(
            "sessions.outbound_topic_alias_maximum", .integer(0...65_535), \.broker.sessions.outboundTopicAliasMaximum,
            "Topic aliases that the broker sets towards a client that allows them."),
        Option(
            "sessions.max_keep_alive", .seconds(1...65_535, word: "unlimited"), \.broker.sessions.maxKeepAliveSeconds,
            "Longest keep alive; v5 clients are told with Server Keep Alive. unlimited: the client's wish."),
        Option(
            "sessions.max_qos", .integer(0...2), \.broker.sessions.maxQoS,
            "Highest QoS; announced as Maximum QoS."),
    ]

    private static let rest: [Option] = [
        Option(
            "retained.available", \.broker.retained.isAvailable,
            "Whether retained messages are kept; announced as Retain Available."),
        Option(
            "retained.max_messages", .integer(0...1_000_000_000), \.broker.retained.maxMessages,
            "Retained messages at once."),
        Option(
            "retained.max_bytes", .bytes(0...1 << 44), \.broker.retained.maxBytes,
            "Bytes of all retained messages."),
        Option(
            "shutdown.flush_timeout", .seconds(0...3_600), \.broker.shutdown.flushSeconds,
            "How long plugins may take at the end to flush what they hold."),
        Option(
            "store.directory", .text(meaning: "directory", word: "none", check: directoryFault), \.broker.store.directory,
            "Where sessions, queues and retained messages are kept. none: in memory, and they end with the broker."),
        Option(
            "store.durability", \.broker.store.durability,
            "What an acknowledgement survives. sync: a power cut; commit: the end of the process; relaxed: nothing."),
        Option(
            "store.sync_interval", .milliseconds(10...3_600_000), \.broker.store.syncIntervalMilliseconds,
            "Between synchronisations of the disk where commits don't wait for one (commit, relaxed)."),
        Option(
            "store.commit_window", .milliseconds(0...60_000), \.broker.store.commitWindowMilliseconds,
            "How long a change may wait for the receivers that make it unnecessary. Longer spares flash."),
        Option(
            "store.max_size", .bytes(1 << 20...1 << 44), \.broker.store.maxBytes,
            "Largest size of the store. At it, QoS 1 and 2 that need the store are refused until there is room."),
        Option(
            "store.on_damage", \.broker.store.onDamage,
            "What takes the place of a damaged store. stop: nothing, the broker does not start; restore: the last backup."),
        Option(
            "http.address", .text(meaning: "HOST:PORT or unix:/PATH", word: "off", check: { ListenerAddress.fault(in: $0) }),
            "Where metrics and health are served, and `headwater bridge` asks. off without an http section; 127.0.0.1:9883 with one that names no address.",
            get: { $0.http.map { .text(ListenerAddress.text($0.address)) } ?? .none },
            set: { target, value in
                if case .text(let text) = value, let address = ListenerAddress.parse(text) {
                    target.http = AdminConfiguration(address: address)
                } else {
                    target.http = nil
                }
            }),
        Option(
            "user", .text(meaning: "user name", word: "none", check: ListenerOptions.nameFault), \.user,
            "The user to go on as when the listeners are open, if started as root. none: no other."),
        Option("core_dumps", \.allowsCoreDumps, "Let a crash leave an image of the memory: keys and passwords are in it."),
        Option("log.level", \.log.level, "The least grave events that are logged."),
        Option("log.format", \.log.format, "text for people, json for programs: one line per event."),
    ]

    private static let directoryFault: @Sendable (String) -> String? = { path in
        path.isEmpty ? "an empty path" : path.utf8.count > 4_000 ? "a path of more than 4,000 bytes" : nil
    }
}
