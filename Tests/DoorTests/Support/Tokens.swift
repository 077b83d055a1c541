import BrokerTestKit
import Foundation
import TestAuthority
import Testing

/// Keys and tokens of PyJWT, in one directory.
struct Tokens {
    let directory: String
    private static let python = "/usr/bin/python3"

    static func script(_ name: String) throws -> String {
        try #require(Bundle.module.path(forResource: name, ofType: "py", inDirectory: "Scripts"))
    }

    /// Names begin with what they are: hs, rs, es, ed.
    init(_ files: TestFiles, _ names: String...) async throws {
        directory = files.directory
        try await Tool.run(Self.python, [Self.script("tokens"), "keys", directory] + names)
    }

    func publicKey(_ name: String) -> String { "\(directory)/\(name).\(name.hasPrefix("hs") ? "secret" : "pem")" }

    func set(_ names: String...) async throws -> String {
        try await Tool.run(Self.python, [Self.script("tokens"), "set", directory] + names).text
    }

    /// - Parameter claims: JSON; times as "+60" are seconds from now.
    func sign(_ name: String, _ claims: String) async throws -> String {
        try await Tool.run(Self.python, [Self.script("tokens"), "sign", directory, name, claims])
            .text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Serves a file over HTTP, or HTTPS with a certificate.
    static func serve(_ file: String, _ pair: PairFiles? = nil) async throws -> (server: Tool, port: Int) {
        for _ in 0..<20 {
            let port = FreePort.next()
            let server = try Tool(
                python, [script("keyserver"), file, "\(port)"] + (pair.map { [$0.certificate, $0.key] } ?? []))
            if try await server.says("ready") { return (server, port) }
        }
        throw DoorFault("no key server")
    }
}
