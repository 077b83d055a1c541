import MQTTModel
import Security
import TLS

/// Decides the tenant of a client from what is known of it before CONNACK (`ListenerConfiguration.TenantRule`).
struct TenantNaming: Sendable {
    private let rule: ListenerConfiguration.TenantRule
    private let pattern: TenantPattern?

    /// - Throws: `TenantPattern.Fault`, what is wrong with the pattern.
    init(_ rule: ListenerConfiguration.TenantRule) throws(TenantPattern.Fault) {
        self.rule = rule
        if case .pattern(let source, let text) = rule {
            pattern = try TenantPattern(text, allowsUser: source == .username)
        } else {
            pattern = nil
        }
    }

    enum Decision: Equatable {
        /// `username` replaces the one that the tenant was part of.
        case tenant(String, username: String?)
        /// Nothing says whose it is.
        case unknown
    }

    func decide(_ login: Login, identity: PeerIdentity?, serverName: String?) -> Decision {
        if let tenant = login.tenant { return TenantPattern.isName(tenant) || tenant.isEmpty ? .tenant(tenant, username: nil) : .unknown }
        switch rule {
        case .none: return .tenant("", username: nil)
        case .listener(let name): return .tenant(name, username: nil)
        case .pattern(let source, _):
            for text in texts(of: source, login, identity, serverName) {
                guard let match = pattern?.match(text), TenantPattern.isName(match.tenant) else { continue }
                return .tenant(match.tenant, username: match.user)
            }
            return .unknown
        }
    }

    private func texts(
        of source: ListenerConfiguration.TenantRule.Source, _ login: Login, _ identity: PeerIdentity?, _ serverName: String?
    ) -> [String] {
        switch source {
        case .sni: serverName.map { [$0.lowercased()] } ?? []
        case .username: login.username.map { [$0] } ?? []
        case .issuer: identity.map { [$0.issuer] } ?? []
        case .organization: identity?.organizations ?? []
        case .organizationalUnit: identity?.organizationalUnits ?? []
        case .sanDNS: identity?.dnsNames ?? []
        case .sanURI: identity?.uris ?? []
        case .sanEmail: identity?.emails ?? []
        case .claim(let name): login.claims?.text(name).map { [$0] } ?? []
        }
    }
}

/// A text with `%t` where the tenant's name stands, and perhaps `%u` for the user's: `%u@%t`, `%t/%u`, `%t.mqtt.example.com`.
struct TenantPattern: Sendable, Equatable {
    struct Fault: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    private enum Piece: Equatable { case text([UInt8]), tenant, user }
    private let pieces: [Piece]

    init(_ text: String, allowsUser: Bool) throws(Fault) {
        var pieces: [Piece] = []
        var literal: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%"), let next = bytes.first, next == UInt8(ascii: "t") || next == UInt8(ascii: "u") else {
                literal.append(byte)
                continue
            }
            bytes.removeFirst()
            if !literal.isEmpty { pieces.append(.text(literal)) }
            literal = []
            pieces.append(next == UInt8(ascii: "t") ? .tenant : .user)
        }
        if !literal.isEmpty { pieces.append(.text(literal)) }
        guard pieces.count(where: { $0 == .tenant }) == 1 else {
            throw Fault(description: "a tenant's pattern has %t once, as in %u@%t")
        }
        guard pieces.count(where: { $0 == .user }) <= (allowsUser ? 1 : 0) else {
            throw Fault(description: allowsUser ? "a tenant's pattern has %u at most once" : "%u is for patterns of user names alone")
        }
        for (left, right) in zip(pieces, pieces.dropFirst()) where left != right {
            if case .text = left { continue }
            if case .text = right { continue }
            throw Fault(description: "between %t and %u stands a character that divides them, as in %u@%t")
        }
        self.pieces = pieces
    }

    /// The first place where a divider fits counts; `nil`: the text does not fit.
    func match(_ text: String) -> (tenant: String, user: String?)? {
        var rest = Array(text.utf8)[...]
        var tenant: String?
        var user: String?
        for (index, piece) in pieces.enumerated() {
            if case .text(let literal) = piece {
                guard rest.starts(with: literal) else { return nil }
                rest = rest.dropFirst(literal.count)
                continue
            }
            var value = rest
            if index + 1 < pieces.count, case .text(let literal) = pieces[index + 1] {
                let isLast = index + 2 == pieces.count
                let place = isLast
                    ? (rest.count > literal.count && rest.suffix(literal.count).elementsEqual(literal) ? rest.endIndex - literal.count : nil)
                    : rest.indices.first { rest[$0...].starts(with: literal) }
                guard let place else { return nil }
                value = rest[..<place]
            }
            guard !value.isEmpty else { return nil }
            rest = rest[value.endIndex...]
            let name = String(decoding: value, as: UTF8.self)
            if piece == .tenant { tenant = name } else { user = name }
        }
        guard rest.isEmpty, let tenant else { return nil }
        return (tenant, user)
    }

    /// Names go into metrics, rules and Kafka topics: letters, digits, `-`, `_` and `.`, 64 bytes at most.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
                default: false
                }
            }
    }
}
