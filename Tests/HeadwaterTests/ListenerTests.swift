import BrokerTestKit
import Headwater
import Logging
import MQTTModel
import MQTTWire
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

@Suite("Listeners")
struct ListenerTests {
    private func socketPath() -> String { "/tmp/headwater-test-\(UInt32.random(in: 0 ... .max)).sock" }

    @Test("IPv4, IPv6 and a Unix socket serve the same broker", arguments: loopCounts)
    func everyKind(loops: Int) async throws {
        let path = socketPath()
        try await withBroker(loops, configure: { configuration in
            configuration.listeners.append(ListenerConfiguration(name: "six", address: .tcp(host: "::1", port: 0), allowsAnonymous: true))
            configuration.listeners.append(ListenerConfiguration(name: "unix", address: .unix(path: path), allowsAnonymous: true))
        }) { harness in
            let bound = harness.broker.boundListeners
            #expect(bound.map(\.name) == ["local", "six", "unix"])
            guard case .tcp("::1", let port)? = bound.first(where: { $0.name == "six" })?.address else { throw BrokerError("\(bound)") }
            let six = try await ScriptedClient.open(.tcp(host: "::1", port: port))
            let unix = try await ScriptedClient.open(.unix(path: path))
            let four = try await harness.open()
            let clients = [four, six, unix]
            for (index, client) in clients.enumerated() {
                try await client.connect(clientID: "client-\(index)")
                try await client.subscribe("t", qos: .atLeastOnce)
            }
            for (index, client) in clients.enumerated() {
                try await client.publish("t", payload: [UInt8(index)], qos: .exactlyOnce)
                for receiver in clients { #expect(try await receiver.messages(1).map(\.payload) == [[UInt8(index)]]) }
            }
            for client in clients { await client.close() }
        }
        #expect(access(path, F_OK) != 0, "the socket's file goes with the listener")
    }

    @Test("a takeover crosses listeners and loops", arguments: loopCounts)
    func takeover(loops: Int) async throws {
        let path = socketPath()
        try await withBroker(loops, configure: { configuration in
            configuration.listeners.append(ListenerConfiguration(name: "unix", address: .unix(path: path), allowsAnonymous: true))
        }) { harness in
            for _ in 0..<4 {
                let first = try await harness.connect("same", cleanStart: false) { $0.sessionExpirySeconds = 100 }
                let second = try await ScriptedClient.open(.unix(path: path))
                try await second.connect("same", cleanStart: false) { $0.sessionExpirySeconds = 100 }
                try await first.expectEnd(.sessionTakenOver)
                try await second.ping()
                await second.close()
            }
        }
    }

    @Test("a socket file that a dead broker left is replaced, another file is not touched")
    func leftovers() async throws {
        let path = socketPath()
        // A bound socket that nobody listens on, as kill -9 leaves it.
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        close(descriptor)
        try #require(bound == 0)
        try await withBroker(1, configure: {
            $0.listeners.append(ListenerConfiguration(name: "unix", address: .unix(path: path), allowsAnonymous: true))
        }) { _ in
            let client = try await ScriptedClient.open(.unix(path: path))
            try await client.connect(clientID: "client")
            await client.close()
        }

        let file = open(path, O_CREAT | O_WRONLY, 0o600)
        try #require(file >= 0)
        close(file)
        defer { unlink(path) }
        let broker = Broker(
            configuration: BrokerConfiguration(listeners: [ListenerConfiguration(name: "unix", address: .unix(path: path))]),
            logger: .silent)
        await #expect(throws: BrokerError.self) { try await broker.start() }
        #expect(access(path, F_OK) == 0)
    }
}
