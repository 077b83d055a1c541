import Foundation
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import Transport

@Suite("Addresses and ranges")
struct AddressRangeTests {
    private func ip(_ text: String) -> IPAddress { IPAddress(text)! }

    @Test(
        "a range has its own addresses and no others",
        arguments: [
            (
                "10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                ["9.255.255.255", "11.0.0.0", "::a00:1", "::ffff:11.0.0.0"]
            ),
            ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("192.0.2.6/31", ["192.0.2.6", "192.0.2.7"], ["192.0.2.5", "192.0.2.8"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("::/0", ["::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["192.0.2.1"]),
            ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff::"], ["2001:db8:8000::", "2001:db9::"]),
            ("fe80::/10", ["fe80::1", "febf::1"], ["fec0::1"]),
            ("::1", ["::1"], ["::2", "0.0.0.1"]),
            ("2001:db8::8/125", ["2001:db8::8", "2001:db8::f"], ["2001:db8::7", "2001:db8::10"]),
            ("::ffff:192.0.2.0/24", ["192.0.2.9"], ["192.0.3.0"]),
        ])
    func contains(text: String, inside: [String], outside: [String]) throws {
        let range = try AddressRange(text)
        for address in inside { #expect(range.contains(ip(address)), "\(address)") }
        for address in outside { #expect(!range.contains(ip(address)), "\(address)") }
    }

    @Test(
        "a text that is no range is refused, and the fault shows the text",
        arguments: [
            "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.1/8", "10.0.0",
            "10.0.0.0.0",
            "010.0.0.0/8", "10.0.0.0/ 8", " 10.0.0.0/8", "::/129", "::g", "fe80::1%eth0", "[::1]", "2001:db8::1/32", "localhost", "*",
            "10.0.0.0/8\n",
            "10.0.0.0/99999999999999999999", "::ffff:192.0.2.0/120",
        ])
    func malformed(text: String) {
        #expect { _ = try AddressRange(text) } throws: { text.isEmpty || "\($0)".contains(text) }
    }

    @Test("a range with bits behind its prefix is refused with the range that was meant")
    func mend() {
        #expect { _ = try AddressRange("10.1.2.3/8") } throws: { "\($0)".contains("10.0.0.0/8") }
        #expect { _ = try AddressRange("2001:db8::1/64") } throws: { "\($0)".contains("2001:db8::/64") }
    }

    @Test("random ranges agree with a comparison bit by bit")
    func model() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<5_000 {
            let bytes = random.bytes(4)
            let bits = Int.random(in: 0...32, using: &random)
            let value = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let base = bits == 0 ? 0 : value & ~(UInt32.max >> UInt32(bits))
            let range = try AddressRange("\(IPAddress(v4: base))/\(bits)")
            var other = value
            if Bool.random(using: &random) { other ^= 1 << UInt32.random(in: 0..<32, using: &random) }
            let isInside = bits == 0 || (other ^ base) >> (32 - UInt32(bits)) == 0
            #expect(range.contains(IPAddress(v4: other)) == isInside)
        }
    }

    @Test("what a socket says and what a text says are the same address")
    func socketAddresses() throws {
        for text in ["192.0.2.1", "2001:db8::1", "::"] {
            let peer = PeerAddress(try SocketAddress(ipAddress: text, port: 8883))
            #expect(peer == .ip(ip(text), port: 8883))
            #expect(peer.description == (text.contains(":") ? "[\(text)]:8883" : "\(text):8883"))
        }
        #expect(PeerAddress(try SocketAddress(ipAddress: "::ffff:192.0.2.1", port: 1)) == .ip(ip("192.0.2.1"), port: 1))
        #expect(PeerAddress(try SocketAddress(unixDomainSocketPath: "/tmp/x")) == .unix)
        #expect(IPAddress("127.0.0.1\0") == nil)
    }

    @Test("a client of a Unix socket is one, and a channel without a peer is nobody")
    func channels() async throws {
        #expect(PeerAddress(of: EmbeddedChannel()) == .unknown)
        let group = MultiThreadedEventLoopGroup.singleton
        let path = NSTemporaryDirectory() + "hw-\(UInt32.random(in: 0 ... .max)).sock"
        for address in [ListenAddress.unix(path: path), .tcp(host: "127.0.0.1", port: 0)] {
            let (peers, continuation) = AsyncStream.makeStream(of: PeerAddress.self)
            let listener = try await Listener.open(name: "peers", address: address, group: group) {
                continuation.yield(PeerAddress(of: $0))
            }
            try await listener.accept()
            let bootstrap = ClientBootstrap(group: group)
            let client =
                if let port = listener.port {
                    try await bootstrap.connect(host: "127.0.0.1", port: port).get()
                } else {
                    try await bootstrap.connect(unixDomainSocketPath: path).get()
                }
            let peer = await peers.first { _ in true }
            #expect(listener.port == nil ? peer == .unix : peer?.ip == ip("127.0.0.1"))
            try await client.close()
            await listener.close()
        }
    }

    @Test("Unix sockets are trusted only when they are named")
    func unix() throws {
        #expect(!TrustedPeers().trusts(.unix))
        #expect(!(try TrustedPeers(["0.0.0.0/0", "::/0", "unix"]).trusts(.unknown)))
        #expect(!(try TrustedPeers(["0.0.0.0/0", "::/0"]).trusts(.unix)))
        let trusted = try TrustedPeers(["unix", "10.0.0.0/8"])
        #expect(trusted.trusts(.unix) && trusted.trusts(ip("10.1.1.1")) && !trusted.trusts(ip("11.1.1.1")))
    }
}
