import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// Takes the tenant from the user name, `user@tenant`; without an `@` it is the default tenant.
struct TenantPlugin: BrokerPlugin, Authenticator {
    let name = "tenants"
    let methods = ["MOVE"]
    var authenticator: (any Authenticator)? { self }
    func makeLoopHooks(loop: Int) -> any LoopHooks { NoHooks() }

    func authenticate(_ request: AuthenticationRequest) async -> AuthenticationDecision {
        // Enhanced authentication names the tenant in its data.
        if request.method != nil { return .accept(tenant: request.data.map { String(decoding: $0, as: UTF8.self) }) }
        let parts = (request.client.username ?? "").split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        return .accept(username: parts.first, tenant: parts.count > 1 ? parts[1] : nil)
    }
}

/// Tenants that the tests tell apart; the last one is the default tenant.
let tenantNames = ["north", "south", ""]

/// A broker that takes the tenant from the user name.
func withTenants(
    _ loops: Int, configure: (inout BrokerConfiguration) -> Void = { _ in }, _ body: (BrokerHarness) async throws -> Void
) async throws {
    try await withBroker(loops, plugins: [TenantPlugin()], configure: configure, body)
}

extension BrokerHarness {
    /// A client of a tenant.
    func connect(
        _ clientID: String, of tenant: String, version: ProtocolVersion = .v5, cleanStart: Bool = true, file: String = #fileID,
        line: Int = #line, _ adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ScriptedClient {
        try await connect(clientID, version: version, cleanStart: cleanStart, file: file, line: line) {
            $0.username = tenant.isEmpty ? "user" : "user@\(tenant)"
            adjust(&$0)
        }
    }

    /// A client of a tenant with one subscription.
    func subscriber(
        _ clientID: String, of tenant: String, _ filter: String, qos: QoS = .atLeastOnce, version: ProtocolVersion = .v5,
        cleanStart: Bool = true, file: String = #fileID, line: Int = #line, _ adjust: (inout Connect) -> Void = { _ in }
    ) async throws -> ScriptedClient {
        try await subscriber(clientID, filter, qos: qos, version: version, cleanStart: cleanStart, file: file, line: line) {
            $0.username = tenant.isEmpty ? "user" : "user@\(tenant)"
            adjust(&$0)
        }
    }
}

extension ScriptedClient {
    /// Nothing is on its way: what was sent before the answer to a PING, and what other loops had for it, has come.
    func expectNoMessage(file: String = #fileID, line: Int = #line) async throws {
        try await ping(file: file, line: line)
        try await expectNothing(for: .milliseconds(60), file: file, line: line)
    }
}
