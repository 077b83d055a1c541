import Headwater

/// One entry of `listeners` as it was written. Its `address`, or its `host` and `port`, become the listener's address, and
/// `security` is what the section of that name says unless the entry says otherwise.
struct ListenerEntry: Sendable {
    var name: String?
    var address: String?
    var host: String?
    var port: Int?
    var maxConnections: Int?
    /// Everything but name and address.
    var listener = ListenerConfiguration(name: "", address: .tcp(host: "", port: 0))
    var tls = ListenerConfiguration.TLS()
    var certificate: String?
    var key: String?
    var moreCertificates: [OptionField] = []
    var proxyVersion: ListenerConfiguration.ProxyProtocol.Version?
    var proxy = ListenerConfiguration.ProxyProtocol()
    var jwt = ListenerConfiguration.JWT()
    var tenantFrom: TenantSource?
    var tenantName: String?
    var tenantPattern: String?
    var tenantClaim: String?

    /// `tenant.from` in the file.
    enum TenantSource: String, Sendable, CaseIterable {
        case none, listener, sni, username, claim
        case issuer = "cert_issuer"
        case organization = "cert_o"
        case organizationalUnit = "cert_ou"
        case sanDNS = "san_dns"
        case sanURI = "san_uri"
        case sanEmail = "san_email"
    }
}

enum ListenerOptions {
    typealias Option = ConfigurationOption<ListenerEntry>

    static let table: [Option] = place + SecurityOptions.table

    private static let place: [Option] = [
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
            "max_connections", .integer(1...100_000_000, word: "unlimited"), \.maxConnections,
            "Connections of this listener at once."),
    ]

    /// Without the sections that the listener does not have.
    static func table(for listener: ListenerConfiguration) -> [Option] {
        var absent: Set<String> = []
        if listener.tls == nil { absent.insert("tls") }
        if listener.jwt == nil { absent.insert("jwt") }
        if listener.proxyProtocol == nil { absent.insert("proxy_protocol") }
        if listener.wireProtocol == .mqtt, listener.webSocket == ListenerConfiguration.WebSocket() { absent.insert("websocket") }
        return table.filter { !absent.contains($0.path[0]) }
    }

    /// The listener, or what is wrong with the entry as a whole.
    static func listener(_ entry: ListenerEntry, general: ListenerEntry = ListenerEntry()) -> Result<ListenerConfiguration, OptionType.Fault> {
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
        var listener = entry.listener
        listener.name = entry.name ?? ListenerAddress.text(address)
        listener.address = address
        listener.maxConnections = entry.maxConnections
        do {
            try SecurityOptions.complete(&listener, entry, general: general)
        } catch {
            return .failure(error)
        }
        return .success(listener)
    }

    /// The entry that `listener(_:)` makes `listener` of.
    static func entry(_ listener: ListenerConfiguration) -> ListenerEntry {
        var entry = SecurityOptions.entry(listener)
        entry.name = listener.name
        entry.address = ListenerAddress.text(listener.address)
        entry.maxConnections = listener.maxConnections
        return entry
    }

    static let nameFault: @Sendable (String) -> String? = { name in
        if name.isEmpty { return "an empty name" }
        if name.utf8.count > 64 { return "a name of more than 64 bytes" }
        return name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } ? "a name with control characters" : nil
    }
}
