/// Which certificate a client gets for the name that it asks for (RFC 6066 section 3).
struct ServerNames: Sendable {
    private var exact: [String: Int] = [:]
    /// By what stands behind the first dot.
    private var wildcards: [String: Int] = [:]

    /// `names`: as in the certificate; `*.` may stand in front, for exactly one label. The first certificate to have a name keeps it.
    mutating func add(_ names: [String], for certificate: Int) {
        for name in names {
            let name = name.lowercased()
            if name.hasPrefix("*.") {
                let rest = String(name.dropFirst(2))
                if !rest.isEmpty, !rest.contains("*"), wildcards[rest] == nil { wildcards[rest] = certificate }
            } else if !name.isEmpty, !name.contains("*"), exact[name] == nil {
                exact[name] = certificate
            }
        }
    }

    /// An exact name goes before a wildcard. A trailing dot is ignored.
    func certificate(for serverName: String) -> Int? {
        var name = serverName.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        if let found = exact[name] { return found }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[name.index(after: dot)...])]
    }
}
