import Foundation
import Synchronization
import Testing

@testable import HTTPFetch

@Suite(.serialized, .enabled(if: LoopbackServer.isPossible)) struct HTTPFetchTests {
    static let server = Result { try LoopbackServer() }

    func fetch(_ path: String, change: (inout HTTPFetch.Options) -> Void = { _ in }) async throws(HTTPFetchError) -> [UInt8] {
        let server: LoopbackServer
        do { server = try Self.server.get() } catch { throw .transfer("no server: \(error)") }
        var options = HTTPFetch.Options(url: server.url(path), caFile: server.caFile, totalMilliseconds: 5_000)
        change(&options)
        return try await HTTPFetch(options).get()
    }

    func failure(_ path: String, change: (inout HTTPFetch.Options) -> Void = { _ in }) async -> HTTPFetchError? {
        do throws(HTTPFetchError) {
            _ = try await fetch(path, change: change)
            return nil
        } catch { return error }
    }

    @Test("a document comes whole")
    func document() async throws {
        #expect(try await fetch("/bytes/0") == [])
        #expect(try await fetch("/bytes/300000") == [UInt8](repeating: 0x78, count: 300_000))
    }

    @Test("a server that the authorities don't know, or of another name, is not believed")
    func verification() async {
        for failure in [
            await failure("/bytes/1", change: { $0.caFile = nil }),
            await failure("/bytes/1", change: { $0.url = $0.url.replacingOccurrences(of: "localhost", with: "127.0.0.1") }),
        ] {
            guard case .transfer(let reason)? = failure else {
                Issue.record("\(failure.map { "\($0)" } ?? "believed")")
                continue
            }
            #expect(reason.lowercased().contains("certificate") || reason.contains("SSL"), "\(reason)")
        }
        #expect(await failure("/bytes/1", change: { $0.caFile = "/nonexistent" }) != nil)
    }

    @Test("an answer larger than allowed is cut short, with a length and without")
    func size() async throws {
        #expect(try await fetch("/bytes/1000") { $0.maxBytes = 1_000 }.count == 1_000)
        #expect(await failure("/bytes/1001") { $0.maxBytes = 1_000 } == .tooLarge(maxBytes: 1_000))
        #expect(await failure("/endless") { $0.maxBytes = 100_000 } == .tooLarge(maxBytes: 100_000))
    }

    @Test("only status 200 is an answer", arguments: [204, 304, 400, 404, 500])
    func status(status: Int) async { #expect(await failure("/status/\(status)") == .status(status)) }

    @Test("redirects are followed, some of them, and to https alone")
    func redirects() async throws {
        #expect(try await fetch("/redirect/3") == Array("end".utf8))
        #expect(await failure("/redirect/4") != nil)
        #expect(await failure("/redirect/1") { $0.maxRedirects = 0 } == .status(302))
        for place in ["http", "file", "ftp", "gopher"] {
            guard case .transfer(let reason)? = await failure("/to/\(place)") else {
                Issue.record("followed to \(place)")
                continue
            }
            #expect(reason.lowercased().contains("protocol"), "\(reason)")
        }
    }

    @Test("a server that says nothing, says it slowly, or isn't there costs a bounded time")
    func time() async {
        let clock = ContinuousClock()
        for path in ["/silent", "/slow"] {
            let start = clock.now
            let failure = await failure(path) { $0.totalMilliseconds = 500 }
            guard case .transfer? = failure else {
                Issue.record("\(path): \(failure.map { "\($0)" } ?? "answered")")
                continue
            }
            #expect(clock.now - start < .seconds(4))
        }
        #expect(await failure("/bytes/1") { $0.url = "https://localhost:1/" } != nil)
    }

    @Test("a task that is cancelled ends its transfer")
    func cancelled() async throws {
        let server = try Self.server.get()
        let fetch = try HTTPFetch(.init(url: server.url("/silent"), caFile: server.caFile, totalMilliseconds: 60_000))
        let start = ContinuousClock.now
        let task = Task { () -> HTTPFetchError? in
            do throws(HTTPFetchError) {
                _ = try await fetch.get()
                return nil
            } catch { return error }
        }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        #expect(await task.value == .cancelled)
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test("plain HTTP is spoken only where it is allowed")
    func plain() async throws {
        let server = try Self.server.get()
        #expect(
            try await fetch("") {
                $0.url = server.plainURL("/bytes/3")
                $0.allowsPlain = true
            }.count == 3)
        #expect(throws: HTTPFetchError.self) { try HTTPFetch(.init(url: server.plainURL("/bytes/3"))) }
    }

    @Test(
        "what is no URL to fetch from is refused",
        arguments: [
            "", "localhost", "https:/x", "file:///etc/passwd", "ftp://x/", "https://a b/", "https://user:pass@host/", "https://x/\n",
            "HTTP://x/",
        ])
    func urls(url: String) { #expect(throws: HTTPFetchError.self) { try HTTPFetch(.init(url: url)) } }

    func answer(_ path: String, change: (inout HTTPFetch.Options) -> Void) throws -> HTTPAnswer {
        let server = try Self.server.get()
        var options = HTTPFetch.Options(url: server.url(path), caFile: server.caFile, totalMilliseconds: 5_000)
        change(&options)
        return try HTTPFetch(options).answer()
    }

    @Test("a POST carries its body, also an empty one, and every status is an answer")
    func post() throws {
        for body in [[], Array("{\"a\":1}".utf8), [UInt8](repeating: 0, count: 100_000)] {
            let answer = try answer("/echo") { $0.post = HTTPPost(contentType: "application/x-test", body: body) }
            #expect(answer == HTTPAnswer(status: 201, body: Array("application/x-test".utf8) + body))
        }
        #expect(try answer("/status/404") { _ in }.status == 404)
    }

    @Test("credentials and what is accepted are told to the server")
    func headers() throws {
        func said(_ change: (inout HTTPFetch.Options) -> Void) throws -> String {
            String(decoding: try answer("/headers", change: change).body, as: UTF8.self)
        }
        #expect(try said { $0.accept = "text/x" } == "text/x None")
        #expect(try said { $0.credentials = .basic(user: "me", password: "a:é") } == "*/* Basic bWU6YTrDqQ==")
        #expect(try said { $0.credentials = .bearer(token: "abc.def") } == "*/* Bearer abc.def")
    }

    @Test("credentials don't follow a redirect to another place")
    func redirectedCredentials() throws {
        for credentials in [HTTPCredentials.basic(user: "me", password: "secret"), .bearer(token: "secret")] {
            let answer = try answer("/to/mutual") {
                $0.credentials = credentials
                $0.clientCertificateFile = try? Self.server.get().bothFile
            }
            #expect(String(decoding: answer.body, as: UTF8.self) == "*/* None")
        }
    }

    @Test("a client's certificate is shown, from one file or two")
    func clientCertificate() throws {
        let server = try Self.server.get()
        #expect(throws: HTTPFetchError.self) { try answer("") { $0.url = server.mutualURL("/bytes/3") } }
        for (certificate, key) in [(server.bothFile, nil), (server.caFile, server.keyFile)] as [(String, String?)] {
            let answer = try answer("") {
                $0.url = server.mutualURL("/bytes/3")
                ($0.clientCertificateFile, $0.clientKeyFile) = (certificate, key)
            }
            #expect(answer.body.count == 3)
        }
    }

    @Test("a header that would begin another is refused, and secrets stand in no description")
    func hidden() {
        func options(_ change: (inout HTTPFetch.Options) -> Void) -> HTTPFetch.Options {
            var options = HTTPFetch.Options(url: "https://x/")
            change(&options)
            return options
        }
        for bad in [
            options { $0.accept = "a\r\nX: y" }, options { $0.post = HTTPPost(contentType: "a\nb", body: []) },
            options { $0.credentials = .bearer(token: "a\r\nX: y") }, options { $0.credentials = .bearer(token: "") },
            options { $0.credentials = .basic(user: "a:b", password: "c") },
            options { $0.credentials = .basic(user: "a", password: "c\0d") },
        ] { #expect(throws: HTTPFetchError.self) { try HTTPFetch(bad) } }
        let secret = options { $0.credentials = .basic(user: "someone", password: "s3cret") }
        var dumped = ""
        dump(secret, to: &dumped)
        for text in [dumped, "\(secret)", String(reflecting: secret)] {
            #expect(!text.contains("s3cret") && !text.contains("someone"), "\(text)")
        }
    }
}

/// A small server of Python's, with a certificate of its own for `localhost`. It ends with this process.
final class LoopbackServer: Sendable {
    static let isPossible =
        FileManager.default.isExecutableFile(atPath: "/usr/bin/python3") && FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    let caFile: String
    let keyFile: String
    /// Certificate and key.
    let bothFile: String
    private let port: Int
    private let mutualPort: Int
    private let plainPort: Int

    struct Failure: Error {}

    init() throws {
        let directory = NSTemporaryDirectory() + "headwater-fetch-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        caFile = directory + "/cert.pem"
        keyFile = directory + "/key.pem"
        bothFile = directory + "/both.pem"
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
            .split(separator: " ").map(String.init)
            + ["-keyout", directory + "/key.pem", "-out", caFile]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        try (String(contentsOfFile: caFile, encoding: .utf8) + String(contentsOfFile: keyFile, encoding: .utf8))
            .write(toFile: bothFile, atomically: true, encoding: .utf8)
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        python.arguments = ["-u", "-c", Self.script, caFile, directory + "/key.pem"]
        let output = Pipe()
        python.standardOutput = output
        python.standardError = FileHandle.nullDevice
        try python.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).split(whereSeparator: \.isWhitespace)
            .compactMap { Int($0) }
        guard line.count == 3 else { throw Failure() }
        (port, plainPort, mutualPort) = (line[0], line[1], line[2])
    }

    func url(_ path: String) -> String { "https://localhost:\(port)\(path)" }
    /// Where a client must have a certificate.
    func mutualURL(_ path: String) -> String { "https://localhost:\(mutualPort)\(path)" }
    func plainURL(_ path: String) -> String { "http://localhost:\(plainPort)\(path)" }

    private static let script = #"""
        import http.server, os, random, ssl, sys, threading, time
        parent = os.getppid()
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *a): pass
            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items(): self.send_header(name, value)
                if status not in (204, 304): self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(201, self.headers["Content-Type"].encode() + body)
            def do_GET(self):
                parts = self.path.split("/")
                if parts[1] == "bytes": self.answer(200, b"x" * int(parts[2]))
                elif parts[1] == "headers": self.answer(200, ("%s %s" % (self.headers["Accept"], self.headers["Authorization"])).encode())
                elif parts[1] == "status": self.answer(int(parts[2]))
                elif parts[1] == "redirect":
                    left = int(parts[2])
                    if left == 0: self.answer(200, b"end")
                    else: self.answer(302, Location="/redirect/%d" % (left - 1))
                elif parts[1] == "to":
                    self.answer(302, Location={"mutual": "https://localhost:%d/headers" % mutual.server_port, "http": "http://localhost:%d/bytes/1" % plain.server_port, "file": "file:///etc/hostname",
                                               "ftp": "ftp://localhost/x", "gopher": "gopher://localhost/x"}[parts[2]])
                elif parts[1] == "silent": time.sleep(60)
                elif parts[1] in ("slow", "endless"):
                    self.send_response(200)
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.close_connection = True
                    try:
                        while True:
                            self.wfile.write(b"x" if parts[1] == "slow" else b"x" * 65536)
                            self.wfile.flush()
                            if parts[1] == "slow": time.sleep(0.05)
                    except OSError: pass
        def serve():
            while True:
                try:
                    server = http.server.ThreadingHTTPServer(("localhost", random.randrange(12000, 32000)), Handler)
                    server.daemon_threads = True
                    return server
                except OSError: pass
        secure, plain, mutual = serve(), serve(), serve()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        context.load_verify_locations(sys.argv[1])
        context.verify_mode = ssl.CERT_REQUIRED
        mutual.socket = context.wrap_socket(mutual.socket, server_side=True)
        for server in (secure, plain, mutual): threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write("%d %d %d\n" % (secure.server_port, plain.server_port, mutual.server_port))
        while os.getppid() == parent: time.sleep(0.5)  # the end of the tests is its end
        os._exit(0)
        """#
}
