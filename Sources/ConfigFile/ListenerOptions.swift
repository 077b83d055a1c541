import Headwater

/// One entry of `listeners` as it was written. Its `address`, or its `host` and `port`, become the listener's address.
struct ListenerEntry: Sendable {
    var name: String?
    var address: String?
    var host: String?
    var port: Int?
    var allowsAnonymous = false
    var maxConnections: Int?
}

enum ListenerOptions {
    typealias Option = ConfigurationOption<ListenerEntry>

    static let table: [Option] = [
        Option(
            "name", .text(meaning: "name, at most 64 bytes", word: "null", check: nameFault), \.name,
            "Name in logs and metrics. Default: the address."),
        Option(
            "address", .text(meaning: "HOST:PORT, [IPV6]:PORT or unix:/PATH", word: "null", check: { ListenerAddress.fault(in: $0) }),
            \.address,
            "Where to listen; port 0 lets the system choose."),
        Option("host", .text(meaning: "host name or address", word: "null"), \.host, "In place of address, with port. Default: 127.0.0.1."),
        Option("port", .integer(0...65_535, word: "null"), \.port, "In place of address, with host. Default: 1883."),
        Option(
            "allow_anonymous", \.allowsAnonymous,
            "Let clients in that no authenticator has accepted. Off, as soon as a listener is configured."),
        Option(
            "max_connections", .integer(1...100_000_000, word: "unlimited"), \.maxConnections,
            "Connections of this listener at once."),
    ]

    /// The listener, or what is wrong with the entry as a whole.
    static func listener(_ entry: ListenerEntry) -> Result<ListenerConfiguration, OptionType.Fault> {
        let text: String
        switch (entry.address, entry.host, entry.port) {
        case (let address?, nil, nil): text = address
        case (_?, _, _): return .failure(OptionType.Fault("address says it all; remove host and port, or write those two alone"))
        case (nil, nil, nil): return .failure(OptionType.Fault("a listener needs an address, as in address: 127.0.0.1:1883"))
        case (nil, let host, let port):
            let host = host ?? "127.0.0.1"
            text = (host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host) + ":\(port ?? 1883)"
        }
        guard let address = ListenerAddress.parse(text) else {
            return .failure(OptionType.Fault(ListenerAddress.fault(in: text) ?? "no address"))
        }
        return .success(
            ListenerConfiguration(
                name: entry.name ?? ListenerAddress.text(address), address: address, allowsAnonymous: entry.allowsAnonymous,
                maxConnections: entry.maxConnections))
    }

    /// The entry that `listener(_:)` makes `listener` of.
    static func entry(_ listener: ListenerConfiguration) -> ListenerEntry {
        ListenerEntry(
            name: listener.name, address: ListenerAddress.text(listener.address), allowsAnonymous: listener.allowsAnonymous,
            maxConnections: listener.maxConnections)
    }

    static let nameFault: @Sendable (String) -> String? = { name in
        if name.isEmpty { return "an empty name" }
        if name.utf8.count > 64 { return "a name of more than 64 bytes" }
        return name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? "a name with control characters" : nil
    }
}
