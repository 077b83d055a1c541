import Headwater

/// Addresses as they are written in a configuration and on the command line: `127.0.0.1:1883`, `[::1]:1883`,
/// `unix:/run/headwater/mqtt.sock`.
public enum ListenerAddress {
    /// Longest path of a Unix socket: `sun_path` with its final zero.
    private static let maxPathBytes = 107

    /// - Returns: The address, or `nil` where `fault(in:)` has something to say.
    public static func parse(_ text: String) -> ListenerConfiguration.Address? {
        if case .address(let address) = read(text) { address } else { nil }
    }

    /// What is wrong with `text` and what would be right; `nil` for nothing.
    public static func fault(in text: String) -> String? {
        if case .fault(let message) = read(text) { message } else { nil }
    }

    /// The form that `parse` reads.
    public static func text(_ address: ListenerConfiguration.Address) -> String {
        switch address {
        case .tcp: address.description
        case .unix(let path): "unix:\(path)"
        }
    }

    private enum Reading {
        case address(ListenerConfiguration.Address)
        case fault(String)
    }

    private static func read(_ text: String) -> Reading {
        let shown = OptionType.shown(text)
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard path.hasPrefix("/") else { return .fault("\(shown) needs an absolute path, as in unix:/run/headwater/mqtt.sock") }
            guard path.utf8.count <= maxPathBytes else {
                return .fault("\(shown) is longer than the \(maxPathBytes) bytes of a Unix socket's path")
            }
            return .address(.unix(path: path))
        }
        if text.hasPrefix("/") { return .fault("\(shown) looks like a Unix socket; write unix:\(text)") }
        guard let colon = text.lastIndex(of: ":") else {
            if Int(text) != nil {
                return .fault("\(shown) has no host; write 127.0.0.1:\(text), or 0.0.0.0:\(text) for every IPv4 address")
            }
            return .fault("\(shown) has no port; write HOST:PORT, as in 127.0.0.1:1883")
        }
        var host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        if host.hasPrefix("["), host.hasSuffix("]"), host.contains(":") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return .fault("\(shown): an IPv6 address needs brackets, as in [::1]:1883")
        } else if host.contains("[") || host.contains("]") {
            return .fault("\(shown) is not HOST:PORT; brackets are for IPv6 addresses alone")
        }
        guard !host.isEmpty else {
            return .fault("\(shown) has no host; write 0.0.0.0\(text) for every IPv4 address, 127.0.0.1\(text) for this machine")
        }
        guard host.utf8.count <= 253, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return .fault("\(shown): the host is no name or address")
        }
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits), port <= 65_535 else {
            return .fault("\(shown): the port is not a number from 0 to 65535")
        }
        return .address(.tcp(host: host, port: port))
    }
}
