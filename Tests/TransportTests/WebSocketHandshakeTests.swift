import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite("WebSocket handshake")
struct WebSocketHandshakeTests {
    /// A handshake in memory, with time that passes when it is told to.
    private final class Handshake {
        /// What stands behind the upgrade.
        final class Recorder: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            var bytes: [UInt8] = []
            var activations = 0
            func channelActive(context: ChannelHandlerContext) { activations += 1 }
            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                #expect(activations == 1)
                bytes += unwrapInboundIn(data).readableBytesView
            }
        }

        let channel = EmbeddedChannel()
        let recorder = Recorder()
        var facts: WebSocketFacts?
        var refusals: [WebSocketRefusal] = []

        init(_ options: WebSocketOptions = WebSocketOptions(), peer: PeerAddress = .ip(IPAddress("192.0.2.1")!, port: 4000)) throws {
            try WebSocketHandshake.install(on: channel, peer: peer, options: options) { [unowned self] in
                refusals.append($0)
            } upgraded: { [unowned self] channel, facts in
                self.facts = facts
                try channel.pipeline.syncOperations.addHandler(recorder)
            }
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        }

        deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

        func send(_ bytes: some Sequence<UInt8>) {
            guard channel.isActive else { return }
            _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
            channel.embeddedEventLoop.run()
        }
        func send(_ text: String) { send(text.utf8) }

        lazy var answer: String = {
            var text = ""
            while let part = try? channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
            return text
        }()

        var status: Int? { Int(answer.split(separator: " ").dropFirst().first ?? "") }
        /// Closed at once, or after the client's time to read.
        var isClosed: Bool {
            channel.embeddedEventLoop.advanceTime(by: .seconds(2))
            return !channel.isActive
        }
    }

    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    /// A request that is right, but for what is replaced in it.
    private static func request(
        _ line: String = "GET /mqtt HTTP/1.1", without: [String] = [], _ more: [String] = []
    ) -> String {
        let headers = [
            "Host: broker.example", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: \(key)", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
        ]
        let kept = headers.filter { header in !without.contains { header.hasPrefix($0 + ":") } }
        return ([line] + kept + more).joined(separator: "\r\n") + "\r\n\r\n"
    }

    private static func request(_ more: [String]) -> String { request(without: [], more) }

    private static func options(_ change: (inout WebSocketOptions) throws -> Void) rethrows -> WebSocketOptions {
        var options = WebSocketOptions()
        try change(&options)
        return options
    }

    // MARK: Accepted

    @Test("the example of RFC 6455 section 1.3 gets its answer, and MQTT's handlers what comes behind it")
    func accepted() throws {
        let test = try Handshake()
        test.send(Self.request())
        #expect(test.status == 101)
        #expect(test.answer.lowercased().contains("\r\nsec-websocket-protocol: mqtt\r\n"))
        #expect(test.answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        #expect(test.facts == WebSocketFacts(forwardedAddress: nil, path: "/mqtt", origin: nil, subprotocol: "mqtt"))
        #expect(test.recorder.activations == 1)
        test.send([1, 2, 3])
        #expect(test.recorder.bytes == [1, 2, 3])
        #expect(throws: (any Error).self) { try test.channel.pipeline.syncOperations.handler(type: WebSocketHandshake.self) }
        #expect(throws: (any Error).self) { try test.channel.pipeline.syncOperations.handler(type: RequestHeadGate.self) }
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(test.channel.isActive && test.refusals.isEmpty)
    }

    @Test("a request split at every byte is the same request, and early frames arrive whole")
    func split() throws {
        let frames = ClientFrame.binary(Array("early".utf8))
        let wire = Array(Self.request().utf8) + frames
        for cut in 0...wire.count {
            let test = try Handshake()
            test.send(wire[..<cut])
            test.send(wire[cut...])
            #expect(test.status == 101 && test.recorder.bytes == frames && test.recorder.activations == 1, "cut at \(cut)")
        }
        let test = try Handshake()
        for byte in wire { test.send([byte]) }
        #expect(test.status == 101 && test.recorder.bytes == frames)
    }

    @Test(
        "headers that are lists, in any case of letters",
        arguments: [
            (["Upgrade"], ["Upgrade: h2c, WebSocket"]), (["Connection"], ["Connection: keep-alive, UPGRADE"]),
            (["Connection"], ["Connection: keep-alive", "Connection: upgrade"]),
            (["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: chat, mqtt"]),
            (["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: chat", "sec-websocket-protocol: mqtt"]),
            ([], ["Sec-WebSocket-Extensions: permessage-deflate"]), ([], ["Content-Length: 0"]),
        ])
    func lists(without: [String], more: [String]) throws {
        let test = try Handshake()
        test.send(Self.request(without: without, more))
        #expect(test.status == 101)
        #expect(!test.answer.lowercased().contains("extensions"))
    }

    @Test("mqttv3.1 is taken when it is all that is offered")
    func oldProtocol() throws {
        var test = try Handshake()
        test.send(Self.request(without: ["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: mqttv3.1"]))
        #expect(test.status == 101 && test.facts?.subprotocol == "mqttv3.1")
        test = try Handshake()
        test.send(Self.request(without: ["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: mqttv3.1, mqtt"]))
        #expect(test.facts?.subprotocol == "mqtt")
    }

    // MARK: Refused

    private static let wrongRequests: [(String, Int, WebSocketRefusal)] = [
        (request(without: ["Upgrade"]), 426, .notAnUpgrade),
        (request(without: ["Upgrade"], ["Upgrade: websockets"]), 426, .notAnUpgrade),
        (request(without: ["Upgrade"], ["Upgrade: h2c"]), 426, .notAnUpgrade),
        (request(without: ["Upgrade", "Connection"]), 426, .notAnUpgrade),
        (request(without: ["Connection"]), 426, .notAnUpgrade),
        (request(without: ["Connection"], ["Connection: keep-alive"]), 426, .notAnUpgrade),
        (request(without: ["Host"]), 400, .malformedRequest),
        (request().replacingHost(with: ""), 400, .malformedRequest),
        (request(["Host: other.example"]), 400, .malformedRequest),
        (request("GET /mqtt HTTP/1.0"), 400, .malformedRequest),
        (request("GET /mqtt HTTP/0.9"), 400, .malformedRequest),
        (request("GET /mqtt HTTP/2.0"), 400, .malformedRequest),
        (request("GET /mqtt"), 400, .malformedRequest),
        ("\u{10}\u{1A}\0\u{4}MQTT\u{4}\u{2}\0\u{3C}\0\u{E}aaaaaaaaaaaaaa\r\n\r\n", 400, .malformedRequest),
        ("\r\n\r\n", 400, .malformedRequest),
        (request("POST /mqtt HTTP/1.1"), 405, .method),
        (request("HEAD /mqtt HTTP/1.1"), 405, .method),
        (request("OPTIONS /mqtt HTTP/1.1"), 405, .method),
        (request("GET http://broker.example/mqtt HTTP/1.1"), 404, .path),
        (request("OPTIONS * HTTP/1.1"), 404, .path),
        (request("CONNECT broker.example:443 HTTP/1.1"), 404, .path),
        (request("GET /\(String(repeating: "a", count: 1024)) HTTP/1.1"), 404, .path),
        (request(without: ["Sec-WebSocket-Version"]), 426, .version),
        (request(without: ["Sec-WebSocket-Version"], ["Sec-WebSocket-Version: 8"]), 426, .version),
        (request(["Sec-WebSocket-Version: 13"]), 426, .version),
        (request(without: ["Sec-WebSocket-Key"]), 400, .key),
        (request(["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]), 400, .key),
        (request(without: ["Sec-WebSocket-Key"], ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"]), 400, .key),
        (request(without: ["Sec-WebSocket-Key"], ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ="]), 400, .key),
        (request(without: ["Sec-WebSocket-Key"], ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!=="]), 400, .key),
        (request(without: ["Sec-WebSocket-Protocol"]), 400, .subprotocol),
        (request(without: ["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: MQTT"]), 400, .subprotocol),
        (request(without: ["Sec-WebSocket-Protocol"], ["Sec-WebSocket-Protocol: mqttx, xmqtt, mqtt5"]), 400, .subprotocol),
        (request(["Content-Length: 5"]) + "hello", 400, .requestBody),
        (request(["Transfer-Encoding: chunked"]) + "0\r\n\r\n", 400, .requestBody),
        // Smuggling: two lengths, a length and chunks, strange chunks.
        (request(["Content-Length: 0", "Content-Length: 44"]), 400, .malformedRequest),
        (request(["Content-Length: 0", "Transfer-Encoding: chunked"]), 400, .malformedRequest),
        (request(["Transfer-Encoding: xchunked", "Content-Length: 3"]), 400, .malformedRequest),
        (request(["Content-Length: -1"]), 400, .malformedRequest),
        // Names that are prefixes, or nothing, or have a space before the colon.
        (request([": x"]), 400, .malformedRequest),
        (request(without: ["Sec-WebSocket-Key"], ["Sec-WebSocket-Ke: \(key)"]), 400, .key),
        (request(without: ["Host"], ["H: broker.example"]), 400, .malformedRequest),
        (request(["Sec WebSocket: x"]), 400, .malformedRequest),
        (request(["X-Null: a\0b"]), 400, .malformedRequest),
        // Lines that end in LF alone are no lines.
        (request().split(separator: "\r\n").joined(separator: "\n") + "\n\n\r\n\r\n", 400, .malformedRequest),
    ]

    @Test("a request that is wrong gets its status and the end, and never its own words", arguments: wrongRequests)
    func refused(request: String, status: Int, why: WebSocketRefusal) throws {
        let test = try Handshake()
        test.send(request)
        #expect(test.refusals == [why])
        #expect(test.status == status, "\(request) -> \(test.answer)")
        #expect(test.answer.contains("Connection: close"))
        #expect(!test.answer.contains("broker.example") && !test.answer.contains(Self.key) && !test.answer.contains("aaaa"))
        if why == .version { #expect(test.answer.contains("Sec-WebSocket-Version: 13")) }
        // A second request, right as it may be, is not read any more.
        test.send(Self.request())
        #expect(test.facts == nil && test.refusals.count == 1)
        #expect(test.isClosed)
    }

    @Test("a second request behind one that is refused is never answered")
    func pipelined() throws {
        let test = try Handshake(Self.options { $0.path = "/mqtt" })
        test.send(Self.request("GET /other HTTP/1.1") + Self.request())
        #expect(test.status == 404 && test.facts == nil && test.isClosed)
        #expect(test.answer.split(separator: "HTTP/1.1 ").count == 1)
    }

    @Test("a second request behind one that is accepted is bytes for the frame codec, which refuses it")
    func behindUpgrade() throws {
        let test = try Handshake()
        test.send(Self.request() + Self.request("GET /admin HTTP/1.1"))
        #expect(test.status == 101)
        var codec = CodecUnderTest()
        codec.receive(test.recorder.bytes)
        #expect(codec.closeCode == 1002)
    }

    @Test(
        "only the path itself is served",
        arguments: [
            ("/mqtt", 101), ("/mqtt?token=1", 101), ("/mqtt/", 404), ("/mqt", 404), ("/MQTT", 404),
            ("/mqtt/../mqtt", 404), ("/../etc/passwd", 404), ("/%6dqtt", 404), ("//mqtt", 404), ("/", 404),
        ])
    func path(path: String, status: Int) throws {
        let test = try Handshake(Self.options { $0.path = "/mqtt" })
        test.send(Self.request("GET \(path) HTTP/1.1"))
        #expect(test.status == status)
        if status == 101 { #expect(test.facts?.path == "/mqtt") }
    }

    @Test("a request above 16 kB is refused before more of it is taken, however it is put together")
    func tooLarge() throws {
        for filler in [
            "X-Long: " + String(repeating: "a", count: 20_000),
            (0..<400).map { "X-\($0): aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }.joined(separator: "\r\n"),
            String(repeating: "a", count: 1 << 20),
        ] {
            for step in [1 << 21, 1000] {
                let test = try Handshake()
                var rest = Array(Self.request([filler]).utf8)[...]
                while !rest.isEmpty, test.channel.isActive {
                    test.send(rest.prefix(step))
                    rest = rest.dropFirst(step)
                }
                #expect(test.refusals == [.requestTooLarge] && test.status == 431 && test.facts == nil && test.isClosed)
            }
        }
        let test = try Handshake()
        test.send(Self.request((0..<120).map { "X-\($0): a" }))
        #expect(test.refusals == [.requestTooLarge])
    }

    @Test("a client that sends its header slowly is closed when its time is up")
    func slow() throws {
        let test = try Handshake(Self.options { $0.timeoutSeconds = 10 })
        for byte in Self.request().utf8.prefix(9) {
            test.send([byte])
            test.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(test.channel.isActive)
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!test.channel.isActive && test.refusals == [.timeout] && test.answer.isEmpty)
    }

    @Test("a client that leaves in the middle of its request is no fault")
    func leaves() throws {
        let test = try Handshake()
        test.send(Self.request().utf8.prefix(50))
        test.channel.close(promise: nil)
        test.channel.embeddedEventLoop.run()
        test.channel.embeddedEventLoop.advanceTime(by: .seconds(20))
        #expect(test.refusals.isEmpty && test.facts == nil)
    }

    @Test("frames that come before the answer are bounded")
    func early() throws {
        let test = try Handshake()
        test.send(Array(Self.request().utf8) + [UInt8](repeating: 0, count: RequestHeadGate.maxEarlyBytes + 1))
        #expect(test.facts == nil && test.refusals == [.requestTooLarge] && test.isClosed)
    }

    // MARK: Origins

    @Test(
        "an origin must be one of the list, as a whole",
        arguments: [
            ("https://app.example.com", true), ("HTTPS://App.Example.COM", true), ("https://app.example.com:443", true),
            ("https://app.example.co", false), ("https://app.example.com.evil.example", false), ("https://app.example.com:8443", false),
            ("http://app.example.com", false), ("https://app.example.com/", false), ("https://x@app.example.com", false), ("", false),
            ("null", false),
            ("https://", false), ("https://app.example.com, https://evil.example", false), ("file://", false),
            ("https://localhost:3000", true),
            ("https://localhost:30000", false), ("https://localhost", false), ("http://[::1]:8080", true), ("http://[0:0::1]:8080", true),
        ])
    func origins(origin: String, isAllowed: Bool) throws {
        let list = ["https://app.example.com", "https://localhost:3000", "http://[::1]:8080"].compactMap(WebOrigin.init)
        #expect(list.count == 3)
        let test = try Handshake(Self.options { $0.origins = Set(list) })
        test.send(Self.request(["Origin: \(origin)"]))
        #expect(test.status == (isAllowed ? 101 : 403))
        #expect(test.refusals == (isAllowed ? [] : [.origin]))
    }

    @Test("without a list any origin will do; with one, null must be named, and two origins are none")
    func specialOrigins() throws {
        for (origins, requires, headers, status) in [
            ([], false, ["Origin: null"], 101), ([], false, ["Origin: nonsense"], 101), ([.null], false, ["Origin: null"], 101),
            ([.null], false, [], 101), ([.null], true, [], 403), ([.null], false, ["Origin: null", "Origin: null"], 403),
        ] as [([WebOrigin], Bool, [String], Int)] {
            let test = try Handshake(
                Self.options {
                    $0.origins = Set(origins)
                    $0.requiresOrigin = requires
                })
            test.send(Self.request(headers))
            #expect(test.status == status, "\(origins) \(requires) \(headers)")
        }
    }

    @Test("an origin is written as it is compared")
    func originText() {
        for (text, description) in [
            ("HTTPS://A.Example:443", "https://a.example"), ("http://a.example:8080", "http://a.example:8080"), ("null", "null"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ] { #expect(WebOrigin(text)?.description == description) }
        for text in [
            "a.example", "https:/a", "://a", "https://a:", "https://a:99999", "https://a b", "https://*.example", "https://[::1",
            "https://a\r\n", "1://a", "https://ä",
        ] {
            #expect(WebOrigin(text) == nil, "\(text)")
        }
    }

    // MARK: Proxies

    private static let proxyHeaders: [(String, [String], WebSocketOptions.ClientAddressHeader, String?)] = [
        ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9"], .xForwardedFor, "203.0.113.9"),
        ("10.0.0.1", ["X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2"], .xForwardedFor, "203.0.113.9"),
        ("10.0.0.1", ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9"], .xForwardedFor, "203.0.113.9"),
        ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9:4711"], .xForwardedFor, "203.0.113.9"),
        ("10.0.0.1", ["X-Forwarded-For: [2001:db8::1]:4711"], .xForwardedFor, "2001:db8::1"),
        ("10.0.0.1", ["X-Forwarded-For: 2001:db8::1"], .xForwardedFor, "2001:db8::1"),
        // All trusted: the one that is farthest away.
        ("10.0.0.1", ["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], .xForwardedFor, "10.0.0.3"),
        // What stands before nonsense may have been made up.
        ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9, unknown, 10.0.0.2"], .xForwardedFor, "10.0.0.2"),
        ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9, x"], .xForwardedFor, nil),
        ("10.0.0.1", ["X-Forwarded-For: "], .xForwardedFor, nil),
        ("10.0.0.1", [], .xForwardedFor, nil),
        // A peer that nobody trusts may say what it likes.
        ("192.0.2.1", ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"], .xForwardedFor, nil),
        // The header that was not chosen comes from the client.
        ("10.0.0.1", ["Forwarded: for=203.0.113.9"], .xForwardedFor, nil),
        ("10.0.0.1", ["X-Forwarded-For: 203.0.113.9"], .forwarded, nil),
        ("10.0.0.1", ["Forwarded: for=1.1.1.1, For=203.0.113.9;proto=https;by=10.0.0.1"], .forwarded, "203.0.113.9"),
        ("10.0.0.1", ["Forwarded: proto=https; for=\"[2001:db8::1]:4711\""], .forwarded, "2001:db8::1"),
        ("10.0.0.1", ["Forwarded: for=_hidden"], .forwarded, nil),
        ("10.0.0.1", ["Forwarded: proto=https"], .forwarded, nil),
        ("10.0.0.1", ["Forwarded: for=\"203.0.113.9"], .forwarded, nil),
    ]

    @Test("the client behind proxies is the last address that no trusted proxy has", arguments: proxyHeaders)
    func forwarded(peer: String, headers: [String], which: WebSocketOptions.ClientAddressHeader, client: String?) throws {
        let options = try Self.options {
            $0.trustedProxies = try TrustedPeers(["10.0.0.0/8"])
            $0.clientAddressHeader = which
        }
        let test = try Handshake(options, peer: .ip(IPAddress(peer)!, port: 1))
        test.send(Self.request(headers))
        #expect(test.status == 101)
        #expect(test.facts?.forwardedAddress == client.flatMap { IPAddress($0) }, "\(headers)")
    }

    @Test("random and damaged requests neither crash it nor get in by accident", arguments: 1...4)
    func damaged(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let right = Array(Self.request(["Origin: https://a.example"]).utf8)
        for _ in 0..<300 {
            var wire = right
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<wire.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: wire[index] = UInt8.random(in: 0...255, using: &random)
                case 1: wire.remove(at: index)
                default: wire.insert(contentsOf: wire[..<index].suffix(Int.random(in: 0...20, using: &random)), at: index)
                }
            }
            let test = try Handshake()
            let cut = Int.random(in: 0...wire.count, using: &random)
            test.send(wire[..<cut])
            test.send(wire[cut...])
            #expect(test.facts == nil || test.status == 101)
            #expect(test.refusals.count <= 1 && (test.facts == nil || test.refusals.isEmpty))
        }
    }
}

extension String {
    /// The same request with another value in its Host header.
    fileprivate func replacingHost(with value: String) -> String {
        split(separator: "broker.example", maxSplits: 1).joined(separator: value)
    }
}
