import ArgumentParser

/// `headwater bridge status`: what each route does, and what became of its messages.
struct BridgeStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Print what each route does and what became of its messages.",
        discussion: """
            For each route: in = sent + outbox + dead + dropped. States: sending; paused (by an operator); down (no broker of the \
            cluster can be reached); stalled (brokers are there and acknowledge nothing); connecting (nothing is known yet). \
            A route without a store keeps what is in flight in memory alone; its outbox has no bytes here.

            Example: headwater bridge status --admin unix:/run/headwater/http.sock

            Exit codes: 0 printed, whatever the state; 1 there is no broker, or no bridge in it; 64 the command line is wrong.
            """)

    @OptionGroup var connection: BridgeConnection

    struct Status: Decodable {
        struct Route: Decodable {
            struct LastError: Decodable {
                let text: String
                let secondsAgo: Int
            }
            let name: String
            let cluster: String
            let level: String
            let state: String
            let stateSeconds: Int?
            let `in`: Int
            let sent: Int
            let outbox: Int
            let outboxBytes: Int?
            let oldestSeconds: Double?
            let deadLettersKept: Int?
            let dead: [String: Int]
            let dropped: [String: Int]
            let lastError: LastError?
        }
        struct Cluster: Decodable {
            let name: String
            let bootstrap: String?
            let state: String
            let brokers: Int
        }
        let routes: [Route]
        let clusters: [Cluster]
    }

    func run() async throws {
        let answer = try await connection.get([])
        if connection.json { _ = StandardStreams.write(answer) } else { Self.lines(try connection.decode(Status.self, answer)).forEach(StandardStreams.print) }
    }

    static func lines(_ status: Status) -> [String] {
        var table = TextTable([
            ("ROUTE", .left), ("CLUSTER", .left), ("LEVEL", .left), ("STATE", .left), ("IN", .right), ("SENT", .right), ("OUTBOX", .right),
            ("BYTES", .right), ("OLDEST", .right), ("DEAD", .right), ("DROPPED", .right),
        ])
        for route in status.routes {
            table.add([
                route.name, route.cluster, route.level, state(route), "\(route.in)", "\(route.sent)", "\(route.outbox)",
                route.outboxBytes.map(StoreArgument.byteText) ?? "-", route.oldestSeconds.map { duration(Int($0)) } ?? "-",
                "\(route.dead.values.reduce(0, +))", "\(route.dropped.values.reduce(0, +))",
            ])
        }
        var lines = table.lines
        func note(_ route: Status.Route, _ text: String) { lines.append(StandardStreams.printable("\(route.name): \(text)")) }
        for route in status.routes {
            if !route.dropped.values.allSatisfy({ $0 == 0 }) { note(route, "dropped: \(reasons(route.dropped))") }
            if !route.dead.isEmpty { note(route, "dead: \(reasons(route.dead))") }
            if let kept = route.deadLettersKept, kept > 0 {
                note(route, "\(kept) dead letters are kept here: headwater bridge dead-letters list \(route.name)")
            }
            if let error = route.lastError { note(route, "last error, \(duration(error.secondsAgo)) ago: \(error.text)") }
        }
        return lines
    }

    private static func state(_ route: Status.Route) -> String {
        switch route.state {
        case "sending", "paused": route.state
        case "down": "cluster down" + (route.stateSeconds.map { " for \(duration($0))" } ?? "")
        default: route.state + (route.stateSeconds.map { " for \(duration($0))" } ?? "")
        }
    }

    private static func reasons(_ counts: [String: Int]) -> String {
        counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    static func duration(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}
