import Headwater
import NIOHTTP1

/// What stands under each path. A path is compared as it was sent, never resolved, so there is nothing to climb out of.
struct AdminPages: Sendable {
    let broker: Broker
    /// Lines that the embedding program adds to `/status`.
    let status: @Sendable () -> [String]
    let plugins: PluginPages

    private enum Page: String, CaseIterable {
        case metrics = "/metrics"
        case health = "/healthz"
        case readiness = "/readyz"
        case status = "/status"
    }

    func response(to request: AdminRequest) async -> AdminResponse {
        if AdminRequest.isForPlugin(request.target) { return await plugins.response(to: request) }
        guard let page = Page(rawValue: String(request.path)) else {
            return AdminResponse(.notFound, "not found; there are \(Page.allCases.map(\.rawValue).joined(separator: ", "))\n")
        }
        guard request.method == .GET || request.method == .HEAD else {
            return AdminResponse(.methodNotAllowed, "only GET and HEAD\n", allow: "GET, HEAD")
        }
        switch page {
        case .metrics:
            let text = BrokerMetrics.text(await broker.statistics(), plugins: broker.pluginMetrics(), process: ProcessFigures.current)
            return AdminResponse(.ok, text, contentType: PrometheusText.contentType)
        case .health:
            // Every event loop is asked for its figures; if one doesn't answer, the connection's own clock does.
            _ = await broker.statistics()
            return AdminResponse(.ok, "ok\n")
        case .readiness:
            return Self.readiness(missing: broker.readiness(), alarms: broker.alarms())
        case .status:
            return AdminResponse(.ok, await statusText())
        }
    }

    /// An alarm is for a person to read; it doesn't make the broker less ready.
    static func readiness(missing: [String], alarms: [String]) -> AdminResponse {
        let text = lines((missing.isEmpty ? ["ready"] : missing) + alarms.map { "alarm: \($0)" })
        return AdminResponse(missing.isEmpty ? .ok : .serviceUnavailable, text)
    }

    /// The answer where `response` took too long.
    static let overdue = AdminResponse(.serviceUnavailable, "an event loop of the broker has not answered in time\n")

    private func statusText() async -> String {
        let figures = await broker.statistics()
        var lines = broker.boundListeners.map { "listener \($0.name): \($0.address)" }
        lines += status()
        lines.append("clients connected: \(figures.connections), sessions: \(figures.sessions), subscriptions: \(figures.subscriptions)")
        lines.append(
            "messages received: \(figures.messagesReceived.total), delivered: \(figures.delivered), "
                + "dropped: \(figures.dropped.values.reduce(0, +))")
        if let store = figures.store { lines.append(Self.storeLine(store)) }
        lines += broker.alarms().map { "alarm: \($0)" }
        let missing = broker.readiness()
        lines.append(missing.isEmpty ? "ready" : "not ready: \(missing.joined(separator: "; "))")
        return Self.lines(lines)
    }

    static func storeLine(_ store: StoreStatistics) -> String {
        let state = store.failure.map { "takes nothing: \($0)" } ?? "writable"
        return "store: \(state), \(store.usedBytes - store.freeBytes) bytes used of \(store.maxBytes), \(store.commits) transactions"
    }

    /// A name with a line end in it must not look like a line of its own.
    private static func lines(_ lines: [String]) -> String {
        lines.map { line in
            String(String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 })) + "\n"
        }.joined()
    }
}
