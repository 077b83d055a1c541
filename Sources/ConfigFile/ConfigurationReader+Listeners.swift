import Headwater
import Yams

extension ConfigurationReader {
    /// The entries of `listeners`. Names and addresses may not repeat.
    /// - Parameter security: What the section of that name says for all of them.
    mutating func listeners(_ found: Found, security: ListenerEntry) -> [ListenerConfiguration] {
        var listeners: [ListenerConfiguration] = []
        let nodes = entries(of: found, place: "listeners")
        if case .sequence(let sequence) = found.value, sequence.isEmpty {
            report("listeners is empty, so nobody could connect; remove it for a listener on the loopback addresses", at: found.key)
        }
        for (index, node) in nodes.enumerated() {
            let place = "listeners[\(index + 1)]"
            let known = diagnostics.count
            var entry = security
            _ = read(node, place: place, into: &entry, table: ListenerOptions.table)
            guard diagnostics.count == known else { continue }
            switch ListenerOptions.listener(entry, general: security) {
            case .failure(let fault):
                report("\(place): \(fault.message)", at: node)
            case .success(let listener):
                if listeners.contains(where: { $0.address == listener.address && !$0.hasChosenPort }) {
                    report("\(place): another listener has the address \(ListenerAddress.text(listener.address))", at: node)
                } else if listeners.contains(where: { $0.name == listener.name }) {
                    report(
                        "\(place): another listener has the name \(OptionType.shown(listener.name)); give each a name of its own", at: node)
                } else {
                    listeners.append(listener)
                }
            }
        }
        return listeners
    }
}

extension ListenerConfiguration {
    /// Port 0: the system gives each such listener another one.
    fileprivate var hasChosenPort: Bool {
        if case .tcp(_, port: 0) = address { true } else { false }
    }
}
