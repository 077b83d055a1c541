import BrokerTestKit
import Headwater
import MQTTModel
import MQTTWire
import PluginAPI
import Testing

/// Lets in whoever has the password `secret`, or answers challenges `1`, `2`, … up to `rounds` with the same number.
private struct TestAuthenticator: BrokerPlugin, Authenticator {
    let name = "test-authenticator"
    let methods = ["COUNT"]
    let rounds: Int

    var authenticator: (any Authenticator)? { self }
    func makeLoopHooks(loop: Int) -> any LoopHooks { NoHooks() }

    func authenticate(_ request: AuthenticationRequest) async -> AuthenticationDecision {
        if request.method != nil { return request.data == [0xFF] ? .refuse(.notAuthorized) : .challenge(data: [1]) }
        guard request.password == Array("secret".utf8) else { return .refuse(.badUserNameOrPassword) }
        return .accept(username: "known-\(request.client.username ?? "")")
    }

    func continueExchange(_ request: AuthenticationRequest, data: [UInt8]?) async -> AuthenticationDecision {
        guard let number = data?.first else { return .refuse(.notAuthorized) }
        return Int(number) < rounds ? .challenge(data: [number + 1]) : .accept(username: "counted", data: [0xAA])
    }
}

final class NoHooks: LoopHooks {
    let interests: HookInterests = []
}

@Suite("Authentication by a plugin")
struct AuthenticationTests {
    @Test("the right password is let in, another is refused", arguments: loopCounts, ProtocolVersion.allCases)
    func password(loops: Int, version: ProtocolVersion) async throws {
        try await withBroker(loops, plugins: [TestAuthenticator(rounds: 1)]) { harness in
            let client = try await harness.open(version: version)
            #expect(try await client.connect("client") { connect in
                connect.username = "me"
                connect.password = Array("secret".utf8)
            }.reason == .success)
            try await client.ping()
            let wrong = try await harness.open(version: version)
            #expect(try await wrong.connect("client") { connect in
                connect.username = "me"
                connect.password = Array("Secret".utf8)
            }.reason == .badUserNameOrPassword)
            try await wrong.expectClose()
            try await client.ping()
        }
    }

    @Test("anonymous clients need a listener that allows them", arguments: loopCounts)
    func anonymous(loops: Int) async throws {
        try await withBroker(loops, plugins: [TestAuthenticator(rounds: 1)], configure: { $0.listeners[0].allowsAnonymous = false }) { harness in
            let client = try await harness.open()
            #expect(try await client.connect("client").reason.isError)
            try await client.expectClose()
        }
    }

    @Test("packets behind CONNECT wait for the authenticator", arguments: loopCounts)
    func pipelined(loops: Int) async throws {
        try await withBroker(loops, plugins: [TestAuthenticator(rounds: 1)]) { harness in
            for _ in 0..<4 {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "client")
                connect.sessionExpirySeconds = 100
                connect.username = "me"
                connect.password = Array("secret".utf8)
                client.send(.connect(connect), .publish(message("t", "x", qos: .atLeastOnce)), .pingReq)
                _ = try await client.first("CONNACK") { if case .connAck(let answer) = $0 { answer.reason } else { nil } }
                try await client.expect(.pubAck(Acknowledgement(packetID: 1, reason: .noMatchingSubscribers)))
                try await client.expect(.pingResp)
                await client.close()
            }
        }
    }

    @Test("AUTH goes back and forth until the authenticator is content", arguments: loopCounts)
    func exchange(loops: Int) async throws {
        try await withBroker(loops, plugins: [TestAuthenticator(rounds: 3)]) { harness in
            // The second time the session may live on another loop than the connection.
            for _ in 0..<3 {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "client")
                connect.authenticationMethod = "COUNT"
                connect.sessionExpirySeconds = 100
                client.send(.connect(connect))
                for number: UInt8 in 1...3 {
                    try await client.expect(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [number])))
                    client.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [number])))
                }
                let answer = try await client.first("CONNACK") { if case .connAck(let answer) = $0 { answer } else { nil } }
                #expect(answer.reason == .success && answer.authenticationMethod == "COUNT" && answer.authenticationData == [0xAA])
                // Again on the living connection.
                client.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "COUNT")))
                for number: UInt8 in 1...3 {
                    try await client.expect(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [number])))
                    client.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [number])))
                }
                try await client.expect(.auth(Auth(reason: .success, authenticationMethod: "COUNT", authenticationData: [0xAA])))
                await client.close()
                try await harness.waitForOffline(1)
            }
        }
    }

    @Test("a method that nobody offers is refused with 0x8C, with and without an authenticator", arguments: [true, false])
    func unknownMethod(hasAuthenticator: Bool) async throws {
        try await withBroker(1, plugins: hasAuthenticator ? [TestAuthenticator(rounds: 1)] : []) { harness in
            let client = try await harness.open()
            #expect(try await client.connect("client") { $0.authenticationMethod = "SCRAM" }.reason == .badAuthenticationMethod)
            try await client.expectClose()
        }
    }

    @Test("another method in the middle, and packets other than AUTH, end the exchange")
    func brokenExchange() async throws {
        try await withBroker(1, plugins: [TestAuthenticator(rounds: 3)]) { harness in
            let wrong: [Packet] = [
                .auth(Auth(reason: .continueAuthentication, authenticationMethod: "OTHER", authenticationData: [1])),
                .auth(Auth(reason: .reauthenticate, authenticationMethod: "COUNT", authenticationData: [1])),
                .publish(message("t", "x")), .pingReq, .disconnect(Disconnect()),
                .connect(Connect(protocolVersion: .v5, clientID: "again")),
            ]
            for packet in wrong {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "client")
                connect.authenticationMethod = "COUNT"
                client.send(.connect(connect))
                _ = try await client.next()
                client.send(packet)
                try await client.expectClose(discardingPackets: true)
            }
            #expect(await harness.broker.statistics().sessions == 0)
        }
    }

    @Test("endless AUTH is cut off", arguments: [true, false])
    func endless(isReauthentication: Bool) async throws {
        try await withBroker(1, plugins: [TestAuthenticator(rounds: isReauthentication ? 1 : 200)], configure: { $0.limits.maxAuthenticationRounds = 5 }) { harness in
            let client = try await harness.open()
            var connect = Connect(protocolVersion: .v5, clientID: "client")
            connect.authenticationMethod = "COUNT"
            client.send(.connect(connect))
            if isReauthentication {
                _ = try await client.next()
                client.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [1])))
                _ = try await client.first("CONNACK") { if case .connAck(let answer) = $0 { answer.reason } else { nil } }
                // Its authenticator asks again and again where the answer is 0.
                client.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "COUNT")))
            }
            for _ in 0..<5 { client.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [0]))) }
            try await client.expectClose(discardingPackets: true)
        }
    }

    @Test("re-authentication that fails closes the connection with its reason")
    func failedReauthentication() async throws {
        try await withBroker(1, plugins: [TestAuthenticator(rounds: 1)]) { harness in
            let client = try await harness.open()
            var connect = Connect(protocolVersion: .v5, clientID: "client")
            connect.authenticationMethod = "COUNT"
            client.send(.connect(connect))
            _ = try await client.next()
            client.send(.auth(Auth(reason: .continueAuthentication, authenticationMethod: "COUNT", authenticationData: [1])))
            _ = try await client.next()
            client.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "COUNT", authenticationData: [0xFF])))
            try await client.expectEnd(.notAuthorized)
        }
    }

    @Test("AUTH on a connection that began without it is a protocol error")
    func unasked() async throws {
        try await withBroker(1, plugins: [TestAuthenticator(rounds: 1)]) { harness in
            let client = try await harness.connect("client")
            client.send(.auth(Auth(reason: .reauthenticate, authenticationMethod: "COUNT")))
            try await client.expectEnd(.protocolError)
        }
    }

    @Test("a client that goes while the authenticator thinks leaves nothing behind", arguments: loopCounts)
    func goneMeanwhile(loops: Int) async throws {
        try await withBroker(loops, plugins: [SlowAuthenticator()]) { harness in
            for number in 0..<20 {
                let client = try await harness.open()
                var connect = Connect(protocolVersion: .v5, clientID: "client-\(number)")
                connect.username = "me"
                client.send(.connect(connect))
                await client.reset()
            }
            try await harness.wait(for: "nobody") { $0.connections == 0 }
            try await elapse(.milliseconds(150))
            let statistics = await harness.broker.statistics()
            #expect(statistics.sessions == 0 && statistics.pausedPublishers == 0)
            try await harness.expectHealthy()
        }
    }
}

private struct SlowAuthenticator: BrokerPlugin, Authenticator {
    let name = "slow-authenticator"
    var authenticator: (any Authenticator)? { self }
    func makeLoopHooks(loop: Int) -> any LoopHooks { NoHooks() }
    func authenticate(_ request: AuthenticationRequest) async -> AuthenticationDecision {
        try? await Task.sleep(for: .milliseconds(100))
        return .accept()
    }
}
