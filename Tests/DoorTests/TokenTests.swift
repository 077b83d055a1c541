import BrokerTestKit
import Foundation
import MQTTModel
import MQTTWire
import TestAuthority
import Testing

/// Clients with JSON Web Tokens, signed by PyJWT.
@Suite("tokens at the door") struct TokenTests {
    let files = TestFiles()

    @Test("HS256, RS256, ES256 and EdDSA, with keys from files")
    func algorithms() async throws {
        let names = ["hs", "rs", "es", "ed"]
        let tokens = try await Tokens(files, "hs", "rs", "es", "ed", "rs-other")
        let keys = names.map(tokens.publicKey).joined(separator: ", ")
        try await Door.with([.init("plain", "jwt: {keys: [\(keys)]}")]) { door in
            for name in names {
                let token = try await tokens.sign(name, #"{"sub": "device-\#(name)", "exp": "+600"}"#)
                #expect(try await door.login("plain", "ignored", token, clientID: name) == .success, "\(name)")
                #expect(try await door.user(of: name) == "device-\(name)")
                var forged = Array(token)
                let middle = token.firstIndex(of: ".").map { token.distance(from: token.startIndex, to: $0) + 6 } ?? 0
                forged[middle] = forged[middle] == "A" ? "B" : "A"
                #expect(try await door.login("plain", "ignored-\(name)", String(forged)) == .badUserNameOrPassword, "\(name)")
                #expect(!door.log.contains(token))
            }
            let foreign = try await tokens.sign("rs-other", #"{"sub": "x", "exp": "+600"}"#)
            #expect(try await door.login("plain", "foreign", foreign) == .badUserNameOrPassword)
            #expect(try await door.publish("plain", ["-u", "x", "-P", tokens.sign("es", #"{"sub": "x", "exp": "+600"}"#)]).exitCode == 0)
        }
    }

    @Test("expired, early, for somebody else, from somebody else, without end or name: refused and counted")
    func claims() async throws {
        let tokens = try await Tokens(files, "es")
        let jwt = "jwt: {keys: [\(tokens.publicKey("es"))], audience: plant, issuer: home, leeway: 0s}"
        try await Door.with([.init("plain", jwt)], "logins: {max_failures: 0}") { door in
            let good = #""sub": "d", "aud": ["other", "plant"], "iss": "home""#
            let token = try await tokens.sign("es", "{\(good), \"exp\": \"+600\"}")
            #expect(try await door.login("plain", "u", token) == .success)
            let bad = [
                "{\(good), \"exp\": \"-10\"}", "{\(good), \"exp\": \"+600\", \"nbf\": \"+300\"}", "{\(good)}",
                #"{"sub": "d", "aud": "works", "iss": "home", "exp": "+600"}"#, #"{"sub": "d", "iss": "home", "exp": "+600"}"#,
                #"{"sub": "d", "aud": "plant", "iss": "away", "exp": "+600"}"#, #"{"aud": "plant", "iss": "home", "exp": "+600"}"#,
                #"{"sub": "", "aud": "plant", "iss": "home", "exp": "+600"}"#,
            ]
            for (number, claims) in bad.enumerated() {
                let token = try await tokens.sign("es", claims)
                #expect(try await door.login("plain", "bad-\(number)", token) == .badUserNameOrPassword, "\(claims)")
            }
            #expect(try await door.figure(#"headwater_logins_failed_total{reason="token-expired"}"#) == 1)
            #expect(try await door.figure(#"headwater_logins_failed_total{reason="token"}"#) == bad.count - 1)
        }
    }

    @Test("a connection ends with its token")
    func expiry() async throws {
        let tokens = try await Tokens(files, "es")
        try await Door.with([.init("plain", "jwt: {keys: [\(tokens.publicKey("es"))], leeway: 0s}")]) { door in
            let long = try await door.member("plain", "long", tokens.sign("es", #"{"sub": "long", "exp": "+600"}"#))
            let short = try await door.member("plain", "short", tokens.sign("es", #"{"sub": "short", "exp": "+8"}"#))
            try await short.expectEnd(.maximumConnectTime)
            try await long.subscribe("t")
            try await door.waits(for: "headwater_connections", toBe: 1)
            await long.close()
        }
    }

    @Test("user name and tenant are claims")
    func names() async throws {
        let tokens = try await Tokens(files, "es")
        let options = "jwt: {keys: [\(tokens.publicKey("es"))], username_claim: device}\ntenant: {from: claim, claim: org}"
        try await Door.with([.init("plain", options)]) { door in
            let token = try await tokens.sign("es", #"{"sub": "x", "device": "pump-7", "org": "works", "exp": "+600"}"#)
            let pump = try await door.member("plain", "u", token, clientID: "pump")
            #expect(try await door.user(of: "pump") == "pump-7")
            #expect(try await door.field("tenant", of: "pump") == "works")
            #expect(try await door.figure(#"headwater_tenant_connections{tenant="works"}"#) == 1)
            let other = try await tokens.sign("es", #"{"sub": "x", "device": "pump-7", "org": "mills", "exp": "+600"}"#)
            let twin = try await door.member("plain", "u", other, clientID: "pump")
            #expect(try await door.figure("headwater_takeovers_total") == 0)
            let none = try await tokens.sign("es", #"{"sub": "x", "device": "pump-8", "exp": "+600"}"#)
            #expect(try await door.login("plain", "u", none) == .notAuthorized)
            await pump.close()
            await twin.close()
        }
    }

    @Test("keys of a URL, over HTTPS with the site's authority; an unknown key is fetched, one that is gone is good no more")
    func rotation() async throws {
        let tokens = try await Tokens(files, "es-one", "rs-two")
        let file = files.write("set.json", try await tokens.set("es-one"))
        let (server, port) = try await Tokens.serve(file, files.pair("server", Site.server))
        defer { server.kill() }
        let jwt = "jwt: {jwks_url: 'https://localhost:\(port)/keys', jwks_ca_file: \(files.root), jwks_refresh: 10m}"
        try await Door.with([.init("plain", jwt)], "logins: {max_failures: 0}") { door in
            let one = try await tokens.sign("es-one", #"{"sub": "one", "exp": "+600"}"#)
            let two = try await tokens.sign("rs-two", #"{"sub": "two", "exp": "+600"}"#)
            #expect(try await door.login("plain", "a", one) == .success)
            #expect(try await door.login("plain", "b", two) == .badUserNameOrPassword)
            files.write("set.json", try await tokens.set("rs-two"))
            var tries = 0
            // Unknown keys are asked for twice a minute at most.
            try await door.eventually("the new key", within: .seconds(60)) {
                tries += 1
                try await Task.sleep(for: .milliseconds(500))
                return try await door.login("plain", "c-\(tries)", two) == .success
            }
            #expect(tries > 1, "fetched for each token, a broker would be a weapon against the key server")
            #expect(try await door.login("plain", "d", one) == .badUserNameOrPassword)
            #expect(server.output.split(separator: "\n").count(where: { $0 == "GET" }) == 2, "\(server.output)")
        }
    }

    @Test("keys of a URL over plain HTTP, from this machine alone")
    func plainHTTP() async throws {
        let tokens = try await Tokens(files, "ed")
        let (server, port) = try await Tokens.serve(files.write("set.json", try await tokens.set("ed")))
        defer { server.kill() }
        try await Door.with([.init("plain", "jwt: {jwks_url: 'http://127.0.0.1:\(port)/keys'}")]) { door in
            let token = try await tokens.sign("ed", #"{"sub": "x", "exp": "+600"}"#)
            #expect(try await door.login("plain", "t", token) == .success)
        }
        let elsewhere = try await Door.refused([.init("plain", "jwt: {jwks_url: 'http://keys.example.org/set'}")])
        #expect(elsewhere.contains("https"), "\(elsewhere)")
    }

    @Test("a key server that is not the site's, or not there, leaves tokens refused and the rest working")
    func badServer() async throws {
        let tokens = try await Tokens(files, "es")
        let file = files.write("set.json", try await tokens.set("es"))
        let impostor = files.pair("impostor", Site.stranger.issue(Profile("localhost", names: "DNS:localhost")))
        let (server, port) = try await Tokens.serve(file, impostor)
        defer { server.kill() }
        let jwt = "jwt: {jwks_url: 'https://localhost:\(port)/keys', jwks_ca_file: \(files.root)}"
        let passwords = files.write("passwords", Passwords.line("alice", "sesame"))
        try await Door.with([.init("plain", "password_file: \(passwords)\n" + jwt)]) { door in
            let token = try await tokens.sign("es", #"{"sub": "x", "exp": "+600"}"#)
            #expect(try await door.login("plain", "t", token) == .badUserNameOrPassword)
            #expect(try await door.login("plain", "alice", "sesame") == .success)
            #expect(door.log.contains("the key set can't be fetched"))
            #expect(!server.output.contains("GET"))
        }
    }
}
