import ArgumentParser

/// `headwater bridge pause`: a route's records wait.
struct BridgePauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Let a route's records wait in the outbox, also over restarts, until `resume`.",
        discussion: """
            Clients publish and are acknowledged as before. What is with Kafka's producer already still goes out. The outbox grows \
            meanwhile, and its bounds hold (max_bytes, max_age, overflow).

            Example: headwater bridge pause telemetry

            Exit codes: 0 paused, or was already; 1 not: there is no such route, it has no outbox, or no broker answers; 64 the command \
            line is wrong.
            """)

    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String

    func run() async throws { try await connection.setRoute(route, "pause", said: "paused; `headwater bridge resume` lets it go on") }
}

/// `headwater bridge resume`: they go on.
struct BridgeResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Send a paused route's records again, oldest first.",
        discussion: """
            Example: headwater bridge resume telemetry

            Exit codes: 0 it sends; 1 it does not: there is no such route, it has no outbox, or no broker answers; 64 the command line \
            is wrong.
            """)

    @OptionGroup var connection: BridgeConnection
    @Argument(help: "Name of the route.") var route: String

    func run() async throws { try await connection.setRoute(route, "resume", said: "resumed") }
}

extension BridgeConnection {
    fileprivate func setRoute(_ route: String, _ verb: String, said: String) async throws {
        let answer = try await post(["routes", route, verb])
        if json { _ = StandardStreams.write(answer) } else { StandardStreams.print("\(StandardStreams.printable(route)): \(said)") }
    }
}
