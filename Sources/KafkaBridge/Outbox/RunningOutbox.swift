import Logging

/// A route's outbox with the threads that ship it.
final class RunningOutbox: Sendable {
    let outbox: OutboxRoute
    let reporters: [ShipReporter]
    let kept: KeptDeadLetters
    private let bootstrapServers: String
    private let flushSeconds: Int

    init(_ outbox: OutboxRoute, bootstrapServers: String, flushSeconds: Int) {
        self.outbox = outbox
        self.bootstrapServers = bootstrapServers
        self.flushSeconds = flushSeconds
        kept = KeptDeadLetters(outbox)
        reporters = outbox.shards.map { _ in
            ShipReporter(
                route: outbox.configuration.name, cluster: outbox.cluster.name, lastError: outbox.route.lastError, logger: outbox.logger)
        }
    }

    func start() {
        for (number, shard) in outbox.shards.enumerated() {
            let (outbox, reporter, servers, seconds) = (outbox, reporters[number], bootstrapServers, flushSeconds)
            BridgeThread(name: "ship-\(outbox.configuration.name)") {
                guard outbox.configuration.delivery.level != .exactlyOnce else {
                    return TransactionalShipping(
                        outbox, shard: shard, bootstrapServers: servers, flushSeconds: seconds, reporter: reporter
                    ).run()
                }
                OutboxShipper(
                    outbox, shard: shard, bootstrapServers: servers, flushSeconds: seconds, reporter: reporter
                ).run()
            }.start()
        }
    }

    func stop() async {
        await withTaskGroup(of: Void.self) { group in
            for shard in outbox.shards { group.addTask { await shard.stop() } }
        }
    }
}
