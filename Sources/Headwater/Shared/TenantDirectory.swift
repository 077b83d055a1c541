import Encodings
import MQTTModel
import Synchronization

/// The numbers of tenants in this process. Loops, letters and messages know a tenant by its number; asked at CONNECT and at a
/// start, never on the way of a message.
///
/// A number is given once and never again: what still bears it, wherever it is under way, can't become another tenant's.
final class TenantDirectory: Sendable {
    /// A tenant without a name: everybody's, where nothing tells tenants apart.
    static let defaultTenant: UInt32 = 0
    /// Tenants that clients may bring in one life of the broker: a claim that differs for each client must not fill memory.
    static let maxTenants = 100_000
    static let maxNameBytes = 1_024

    private struct State {
        var numbers: [ExactText: UInt32] = [ExactText(""): TenantDirectory.defaultTenant]
        var names = [""]

        mutating func number(of name: ExactText) -> UInt32 {
            if let known = numbers[name] { return known }
            let number = UInt32(names.count)
            numbers[name] = number
            names.append(name.string)
            return number
        }
    }

    private let maxTenants: Int
    private let state = Mutex(State())

    init(maxTenants: Int = TenantDirectory.maxTenants) { self.maxTenants = maxTenants }

    /// The number of a tenant, which it gets now if it has none.
    ///
    /// - Returns: `nil`: there are `maxTenants` already, or the name is longer than `maxNameBytes`.
    func number(of name: String) -> UInt32? {
        if name.isEmpty { return Self.defaultTenant }
        guard name.utf8.count <= Self.maxNameBytes else { return nil }
        return state.withLock { state in
            let name = ExactText(name)
            guard state.names.count <= maxTenants || state.numbers[name] != nil else { return nil }
            return state.number(of: name)
        }
    }

    /// The number of a tenant that the store has something of: whatever was stored comes back.
    func restored(_ name: String) -> UInt32 {
        name.isEmpty ? Self.defaultTenant : state.withLock { $0.number(of: ExactText(name)) }
    }

    /// The name behind a number that was given.
    func name(of number: UInt32) -> String { state.withLock { $0.names[Int(number)] } }

    /// The message as one of `tenant`; with `nil`, of its publisher's, for a publisher that a program has made need not have a
    /// number yet.
    ///
    /// - Returns: `nil`: there is no room for the tenant.
    func assign(_ message: Message, to tenant: String?) -> Message? {
        if tenant == nil, message.tenant != Self.defaultTenant { return message }
        return number(of: tenant ?? message.publisher?.tenant ?? "").map { message.belonging(to: $0) }
    }
}
