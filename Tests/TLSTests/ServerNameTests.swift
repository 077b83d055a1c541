import COpenSSL
import NIOCore
import TestAuthority
import Testing

@testable import TLS

@Suite struct ServerNameTests {
    let files = TestFiles()

    private func server(_ change: (inout TLSServerConfiguration) -> Void = { _ in }) throws -> TLSContext {
        var configuration = files.server()
        for (name, names) in [("wild", "DNS:*.example.org"), ("exact", "DNS:mqtt.example.org,DNS:example.org"), ("cn", nil)] {
            configuration.certificates.append(files.pair(name, World.authority.issue(Profile("\(name).test", names: names))))
        }
        change(&configuration)
        return try load(configuration)
    }

    /// The common name of the certificate that the client is shown.
    private func shown(_ context: TLSContext, _ name: String?) throws -> String? {
        let pair = try EnginePair(context, load(files.client { $0.isInsecure = true }), host: nil, serverName: name)
        pair.run()
        guard pair.echoes() else { return pair.server.failure?.reason.rawValue }
        #expect(pair.server.serverName == name)
        return pair.client.peerIdentity().commonNames.first
    }

    @Test("exact names, then wildcards of one label, then the first certificate")
    func choice() throws {
        let context = try server()
        for (name, certificate) in [
            ("mqtt.example.org", "exact.test"), ("MQTT.Example.ORG", "exact.test"), ("example.org", "exact.test"),
            ("device.example.org", "wild.test"), ("a.b.example.org", "localhost"), (".example.org", "localhost"), ("cn.test", "cn.test"),
            ("unknown.net", "localhost"), ("localhost", "localhost"), ("192.0.2.1", "localhost"), ("example.org.", "exact.test"),
            (String(repeating: "a", count: 240) + ".example.org", "wild.test"), ("*.example.org", "wild.test"),
        ] {
            #expect(try shown(context, name) == certificate, "\(name)")
        }
        #expect(try shown(context, nil) == "localhost")
    }

    @Test("a listener may refuse unknown names")
    func refusing() throws {
        let context = try server { $0.refusesUnknownServerNames = true }
        #expect(try shown(context, "unknown.net") == "sni")
        #expect(try shown(context, "device.example.org") == "wild.test")
        #expect(try shown(context, nil) == "localhost")
    }

    @Test("a name that is empty, too long or has a NUL breaks nothing", arguments: [[], [UInt8](repeating: 97, count: 300), [97, 0, 98]])
    func odd(name: [UInt8]) throws {
        let context = try server()
        let pair = try EnginePair(context, load(files.client { $0.isInsecure = true }), host: nil, serverName: "placeholder.example.net")
        pair.client.start()
        var wire = ByteBuffer()
        pair.client.takeOutput(into: &wire)
        pair.deliver(ByteBuffer(bytes: replaceServerName(Array(wire.readableBytesView), by: name)), to: pair.server)
        #expect(pair.server.phase == .handshaking || pair.server.failure != nil)
        // In TLS 1.3 nothing but the Finished messages covers the name: the handshake can't complete.
        wire.clear()
        pair.server.takeOutput(into: &wire)
        pair.deliver(wire, to: pair.client)
        pair.run()
        #expect(pair.server.phase != .open)
    }

    @Test("every certificate of the listener asks for client certificates")
    func clientCertificates() throws {
        let context = try server {
            $0.clientCertificates = .required
            $0.clientCAFile = files.write("ca.pem", World.authority.own.pem)
        }
        #expect(try shown(context, "mqtt.example.org") == "certificate_required")
        let pair = try EnginePair(
            context, load(files.client(as: World.client) { $0.isInsecure = true }), host: nil, serverName: "mqtt.example.org")
        pair.run()
        #expect(pair.server.peerIdentity().commonNames == ["pump-7"])
    }

    @Test("sessions are resumed under a name that isn't the first certificate's")
    func resumption() throws {
        let tickets = try TicketKeyring(file: nil, nowSeconds: World.now)
        var configuration = files.server()
        configuration.certificates.append(files.pair("exact", World.authority.issue(Profile("x", names: "DNS:mqtt.example.org"))))
        let context = try load(configuration, tickets: tickets)
        for version in [TLSVersion.v1_2, .v1_3] {
            let client = try load(files.client { $0.maximumVersion = version })
            let first = try EnginePair(context, client, host: "mqtt.example.org")
            first.run()
            try #require(first.echoes())
            let second = try EnginePair(context, client, host: "mqtt.example.org", resuming: TLSSession(first.client))
            second.run()
            #expect(second.echoes())
            #expect(second.server.isResumed)
            #expect(second.server.serverName == "mqtt.example.org")
        }
    }

    /// A ClientHello in which the name of the server_name extension is another.
    private func replaceServerName(_ hello: [UInt8], by name: [UInt8]) -> [UInt8] {
        let old = Array("placeholder.example.net".utf8)
        let at = hello.indices.first { hello[$0...].starts(with: old) }!
        var changed = Array(hello[..<(at - 9)])
        func two(_ count: Int) -> [UInt8] { [UInt8(count >> 8), UInt8(count & 255)] }
        changed += [0, 0] + two(name.count + 5) + two(name.count + 3) + [0] + two(name.count) + name + hello[(at + old.count)...]
        let grown = name.count - old.count
        func grow(at index: Int, bytes: Int) {
            var value = changed[index..<(index + bytes)].reduce(0) { $0 << 8 | Int($1) } + grown
            for offset in stride(from: bytes - 1, through: 0, by: -1) {
                changed[index + offset] = UInt8(value & 255)
                value >>= 8
            }
        }
        grow(at: 3, bytes: 2)
        grow(at: 6, bytes: 3)
        // record header 5, message header 4, version 2, random 32, session id, ciphers, compression
        var extensions = 43
        extensions += 1 + Int(changed[extensions])
        extensions += 2 + Int(changed[extensions]) << 8 + Int(changed[extensions + 1])
        extensions += 1 + Int(changed[extensions])
        grow(at: extensions, bytes: 2)
        return changed
    }
}
