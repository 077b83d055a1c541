import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

/// Says what the proxy has told, and what came after, and hangs up.
private final class Witness: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let header: ProxyHeader
    init(_ header: ProxyHeader) { self.header = header }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let tls = header.tls.map {
            "\($0.version ?? "?") \($0.cipher ?? "?") verified=\($0.hasVerifiedCertificate) cn=\($0.commonName ?? "-")"
        }
        let ip = header.source?.ip.map { "\($0)" } ?? "-"
        let text = """
            source=\(ip) tls=\(tls ?? "-") alpn=\(header.alpn ?? "-") sni=\(header.authority ?? "-") \
            said=\(String(buffer: unwrapInboundIn(data)).trimmingCharacters(in: .newlines))\n
            """
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        context.close(promise: nil)
    }
}

@Suite("PROXY protocol from HAProxy", .serialized)
struct HAProxyTests {
    private final class Seen: Sendable {
        let headers = Mutex<[ProxyHeader]>([])
        let refusals = Mutex<[ProxyRefusal]>([])
    }

    /// HAProxy in front of a listener, with a certificate authority of its own.
    private final class Site {
        let seen = Seen()
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("haproxy-\(UUID().uuidString)").path
        let listener: Listener
        var ports: [String: Int] = [:]
        private var process = Process()

        init(trusted: [String]) async throws {
            var options = ProxyOptions()
            options.trusted = try TrustedPeers(trusted)
            listener = try await Listener.open(
                name: "behind", address: .tcp(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton
            ) { [options, seen] channel in
                try ProxyProtocolHandler.install(on: channel, options: options) { why in
                    seen.refusals.withLock { $0.append(why) }
                } identified: { channel, header in
                    seen.headers.withLock { $0.append(header) }
                    try channel.pipeline.syncOperations.addHandler(Witness(header))
                }
            }
            try await listener.accept()
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        func file(_ name: String) -> String { directory + "/" + name }

        func makeCertificates() throws {
            let script = """
                set -e; cd '\(directory)'
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
                for name in server device-1; do
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
                  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.crt
                  cat $name.crt $name.key > $name.pem
                done
                """
            let (code, output) = try Program.run("sh", ["-c", script])
            try #require(code == 0, "\(output)")
        }

        /// Ports below 32,768, where the system takes none for outgoing connections. Another attempt where one is taken.
        func start() async throws {
            var errors = ""
            for _ in 0..<5 {
                ports = Dictionary(uniqueKeysWithValues: ["v1", "v2", "tls", "check"].map { ($0, Int.random(in: 12_000...31_999)) })
                let backend = "127.0.0.1:\(listener.port ?? 0)"
                let tls = "ssl crt \(file("server.pem")) ca-file \(file("ca.pem")) verify optional crt-ignore-err all alpn mqtt"
                let configuration = """
                    global
                        maxconn 50
                    defaults
                        mode tcp
                        timeout connect 5s
                        timeout client 10s
                        timeout server 10s
                    listen v1
                        bind 127.0.0.1:\(ports["v1"]!)
                        server broker \(backend) send-proxy
                    listen v2
                        bind 127.0.0.1:\(ports["v2"]!)
                        server broker \(backend) send-proxy-v2 proxy-v2-options crc32c
                    listen tls
                        bind 127.0.0.1:\(ports["tls"]!) \(tls)
                        server broker \(backend) send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c
                    listen check
                        bind 127.0.0.1:\(ports["check"]!)
                        server broker \(backend) send-proxy-v2 check check-send-proxy inter 100

                    """
                try configuration.write(toFile: file("haproxy.cfg"), atomically: true, encoding: .utf8)
                process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
                process.arguments = ["haproxy", "-db", "-f", file("haproxy.cfg")]
                process.environment = ProcessInfo.processInfo.environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]) { $1 }
                _ = FileManager.default.createFile(atPath: file("errors"), contents: nil)
                process.standardError = FileHandle(forWritingAtPath: file("errors"))
                process.standardOutput = FileHandle.nullDevice
                try process.run()
                for _ in 0..<200 where process.isRunning {
                    if let answer = try? await Exchange.send([0x21, 0x0A], port: ports["v1"]!, seconds: 5), !answer.isEmpty { return }
                    try await Task.sleep(for: .milliseconds(25))
                }
                if process.isRunning { process.terminate() }
                errors = (try? String(contentsOfFile: file("errors"), encoding: .utf8)) ?? ""
            }
            throw Program.Missing(description: "haproxy does not run; install haproxy, or run scripts/setup: \(errors)")
        }

        func stop() async {
            if process.isRunning { process.terminate() }
            await listener.close()
        }
    }

    @Test("version 1, version 2, health checks, and TLS with a client's certificate", .timeLimit(.minutes(2)))
    func facts() async throws {
        let site = try await Site(trusted: ["127.0.0.1"])
        do {
            try site.makeCertificates()
            try await site.start()
            for name in ["v1", "v2"] {
                let answer = try await Exchange.send(Array("hello\n".utf8), port: site.ports[name]!)
                #expect(String(decoding: answer, as: UTF8.self) == "source=127.0.0.1 tls=- alpn=- sni=- said=hello\n")
            }
            let device = ["-cert", site.file("device-1.crt"), "-key", site.file("device-1.key")]
            for (arguments, expected) in [
                (
                    device + ["-tls1_3"],
                    "tls=TLSv1.3 TLS_AES_256_GCM_SHA384 verified=true cn=device-1 alpn=mqtt sni=broker.example said=hello"
                ),
                (
                    device + ["-tls1_2"],
                    "tls=TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 verified=true cn=device-1 alpn=mqtt sni=broker.example said=hello"
                ),
                (["-tls1_3"], "tls=TLSv1.3 TLS_AES_256_GCM_SHA384 verified=false cn=- alpn=mqtt sni=broker.example said=hello"),
                // Let through by the proxy, although nobody vouches for it.
                (
                    ["-tls1_3", "-cert", site.file("stranger.crt"), "-key", site.file("stranger.key")],
                    "tls=TLSv1.3 TLS_AES_256_GCM_SHA384 verified=false cn=- alpn=mqtt sni=broker.example said=hello"
                ),
            ] {
                if arguments.contains(site.file("stranger.crt")) {
                    let (code, output) = try Program.run(
                        "openssl",
                        [
                            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                            site.file("stranger.key"),
                            "-out", site.file("stranger.crt"), "-days", "2", "-subj", "/CN=admin",
                        ])
                    try #require(code == 0, "\(output)")
                }
                let base = [
                    "s_client", "-quiet", "-no_ign_eof", "-connect", "127.0.0.1:\(site.ports["tls"]!)", "-servername", "Broker.Example",
                    "-alpn", "mqtt",
                ]
                let (_, output) = try Program.run("openssl", base + arguments, input: "hello\n", seconds: 20)
                #expect(output.contains("source=127.0.0.1 \(expected)\n"), "\(arguments): \(output)")
            }
            for _ in 0..<200 where !site.seen.headers.withLock({ $0.contains { $0.isLocal } }) {
                try await Task.sleep(for: .milliseconds(25))
            }
            #expect(site.seen.headers.withLock { $0.contains(ProxyHeader(isLocal: true)) })
            #expect(site.seen.refusals.withLock { $0 } == [])
        } catch {
            await site.stop()
            throw error
        }
        await site.stop()
    }

    @Test("the same HAProxy gets nothing where it is not trusted", .timeLimit(.minutes(1)))
    func untrusted() async throws {
        let site = try await Site(trusted: ["10.0.0.0/8"])
        let answer = try await Exchange.send(Array("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nhello".utf8), port: site.listener.port!)
        #expect(answer.isEmpty && site.seen.refusals.withLock { $0 } == [.untrustedPeer] && site.seen.headers.withLock { $0.isEmpty })
        await site.stop()
    }
}
