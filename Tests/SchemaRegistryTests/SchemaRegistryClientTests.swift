import Foundation
import HTTPFetch
import NIOHTTP1
import Testing

@testable import SchemaRegistry

@Suite struct SchemaRegistryClientTests {
    static let int = #"{"type":"int"}"#

    func directory() -> String { NSTemporaryDirectory() + "headwater-schemas-\(UInt64.random(in: 0 ... .max))" }

    @Test("a schema is fetched once, by id and by subject")
    func once() async throws {
        let registry = try await DevelopmentRegistry.start()
        let id = registry.register(subject: "a/ä value", format: .avro, text: Self.int)
        let client = try SchemaRegistryClient(options(registry.url))
        #expect(client.cachedSchema(id: id) == nil)
        #expect(client.cachedSchema(subject: "a/ä value", version: .latest) == nil)
        for _ in 0..<3 {
            #expect(try client.schema(subject: "a/ä value", version: .latest) == RegisteredSchema(id: id, format: .avro, text: Self.int))
            #expect(try client.schema(subject: "a/ä value", version: .number(1)).id == id)
            #expect(try client.schema(id: id).text == Self.int)
        }
        #expect(registry.requests == 2)
        #expect(client.cachedSchema(subject: "a/ä value", version: .latest)?.id == id)
        await registry.stop()
    }

    @Test("what the registry says is told apart: no such thing, no access, no sense, no answer")
    func failures() async throws {
        let server = try await ScriptedServer { request in
            switch request.line {
            case "GET /schemas/ids/1": (404, #"{"error_code":40403,"message":"Schema not found"}"#)
            case "GET /schemas/ids/2": (401, "who?")
            case "GET /schemas/ids/3": (403, "{}")
            case "GET /schemas/ids/4": (500, "{}")
            case "GET /schemas/ids/5": (429, "{}")
            case "GET /schemas/ids/6": (200, "<html>")
            case "GET /schemas/ids/7": (200, #"{"schemaType":"XML","schema":""}"#)
            case "GET /schemas/ids/8": (200, String(repeating: " ", count: 3_000))
            case "GET /schemas/ids/9": (302, "")
            default: (200, "{}")
            }
        }
        let client = try SchemaRegistryClient(options(server.url) { $0.maxBytes = 2_000 })
        var kinds: [String] = []
        for id in 1...10 {
            switch refusal({ () throws(SchemaRegistryFailure) in _ = try client.schema(id: Int32(id)) }) {
            case .notFound(let text): kinds.append(text.contains("Schema not found") ? "notFound" : text)
            case .unauthorized: kinds.append("unauthorized")
            case .unavailable: kinds.append("unavailable")
            case .invalid: kinds.append("invalid")
            case nil: kinds.append("none")
            }
        }
        #expect(
            kinds == ["notFound", "unauthorized", "unauthorized", "unavailable", "unavailable"] + Array(repeating: "invalid", count: 5))
        await server.stop()
        guard case .unavailable? = refusal({ () throws(SchemaRegistryFailure) in _ = try client.schema(id: 11) }) else {
            Issue.record("available")
            return
        }
    }

    @Test("a failure is an answer for a moment, so that not each message waits")
    func failuresAreRemembered() async throws {
        let server = try await ScriptedServer { _ in (503, "") }
        let clock = TestClock()
        let client = try SchemaRegistryClient(options(server.url), now: { clock.now })
        for _ in 0..<5 { #expect(refusal { () throws(SchemaRegistryFailure) in _ = try client.schema(id: 1) } != nil) }
        #expect(server.requests.count == 1)
        clock.advance(seconds: 1.5)
        #expect(refusal { () throws(SchemaRegistryFailure) in _ = try client.schema(id: 1) } != nil)
        #expect(server.requests.count == 2)
        await server.stop()
    }

    @Test("of several URLs the next is tried when one doesn't answer, and the one that did is asked first")
    func several() async throws {
        let broken = try await ScriptedServer { _ in (502, "") }
        let registry = try await DevelopmentRegistry.start()
        let ids = (0..<3).map { registry.register(subject: "s", format: .json, text: "{\"minimum\":\($0)}") }
        let client = try SchemaRegistryClient(options("http://127.0.0.1:1", broken.url + "/", registry.url))
        for id in ids { #expect(try client.schema(id: id).format == .json) }
        #expect(broken.requests.count == 1)
        await broken.stop()
        await registry.stop()
    }

    @Test("credentials are sent, and stand in no description")
    func credentials() async throws {
        let server = try await ScriptedServer { request in
            ["Basic dTpzM2NyZXQ=", "Bearer t0ken"].contains(request.headers["Authorization"].first)
                ? (200, #"{"schema":"\"int\""}"#) : (401, "")
        }
        for (credentials, secret) in [(HTTPCredentials.basic(user: "u", password: "s3cret"), "s3cret"), (.bearer(token: "t0ken"), "t0ken")]
        {
            let options = options(server.url) { $0.credentials = credentials }
            #expect(try SchemaRegistryClient(options).schema(id: 1).text == "\"int\"")
            var dumped = ""
            dump(options, to: &dumped)
            for text in [dumped, "\(options)", String(reflecting: options), "\(credentials)", String(reflecting: credentials)] {
                #expect(!text.contains(secret), "\(text)")
            }
        }
        #expect(refusal { () throws(SchemaRegistryFailure) in _ = try SchemaRegistryClient(options(server.url)).schema(id: 1) } != nil)
        #expect(server.requests.allSatisfy { $0.headers["Accept"].first?.contains("application/vnd.schemaregistry.v1+json") ?? false })
        await server.stop()
    }

    @Test("the latest version is asked for again behind the caller's back, and the old one serves meanwhile and when nobody answers")
    func refresh() async throws {
        let clock = TestClock()
        let registry = try await DevelopmentRegistry.start()
        let first = registry.register(subject: "s", format: .avro, text: Self.int)
        let client = try SchemaRegistryClient(options(registry.url) { $0.refreshSeconds = 60 }, now: { clock.now })
        #expect(try client.schema(subject: "s", version: .latest).id == first)
        let second = registry.register(subject: "s", format: .avro, text: "\"long\"")
        clock.advance(seconds: 59)
        #expect(try client.schema(subject: "s", version: .latest).id == first)
        clock.advance(seconds: 1)
        #expect(try client.schema(subject: "s", version: .latest).id == first)
        client.waitForRefreshes()
        #expect(try client.schema(subject: "s", version: .latest).id == second)
        #expect(registry.requests == 2)
        await registry.stop()
        clock.advance(seconds: 60)
        for _ in 0..<3 {
            #expect(try client.schema(subject: "s", version: .latest).id == second)
            client.waitForRefreshes()
        }
    }

    @Test("after a restart the disk serves while the registry is away; its files are whole and private")
    func disk() async throws {
        let path = directory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "unit", format: .json, text: "{}")
        let id = registry.register(
            subject: "s", format: .json, text: #"{"$ref":"unit.json"}"#, references: [.init(name: "unit.json", subject: "unit", version: 1)]
        )
        let configured = options(registry.url) { $0.cacheDirectory = path }
        let before = try SchemaRegistryClient(configured)
        let schema = try before.schema(subject: "s", version: .latest)
        #expect(try before.isRegistered(id: id, under: "s"))
        #expect(try before.references(of: schema).count == 1)
        await registry.stop()

        let after = try SchemaRegistryClient(configured)
        #expect(try after.schema(subject: "s", version: .latest) == schema)
        #expect(try after.schema(id: id) == schema)
        #expect(try after.isRegistered(id: id, under: "s"))
        #expect(try after.references(of: schema)["unit.json"]?.text == "{}")

        // A registry that answers is believed, also that the subject is gone.
        let emptied = try await DevelopmentRegistry.start()
        let elsewhere = try SchemaRegistryClient(options(emptied.url) { $0.cacheDirectory = path })
        guard case .notFound? = refusal({ () throws(SchemaRegistryFailure) in _ = try elsewhere.schema(subject: "s", version: .latest) })
        else {
            Issue.record("the disk is believed more than the registry")
            return
        }
        await emptied.stop()

        let files = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(files.count == 5 && files.allSatisfy { $0.hasSuffix(".json") }, "\(files)")
        for file in files {
            #expect(try FileManager.default.attributesOfItem(atPath: path + "/" + file)[.posixPermissions] as? Int == 0o600)
            try Data("{\"id\":".utf8).write(to: URL(fileURLWithPath: path + "/" + file))
        }
        // What is damaged isn't believed.
        guard case .unavailable? = refusal({ () throws(SchemaRegistryFailure) in _ = try SchemaRegistryClient(configured).schema(id: id) })
        else {
            Issue.record("believed")
            return
        }
    }

    @Test("registering gives an id, the same for the same schema, and what the registry refuses is told")
    func registering() async throws {
        let registry = try await DevelopmentRegistry.start()
        let client = try SchemaRegistryClient(options(registry.url))
        let id = try client.register(subject: "s", format: .avro, text: Self.int)
        #expect(try client.register(subject: "t", format: .avro, text: Self.int) == id)
        #expect(try client.isRegistered(id: id, under: "t"))
        #expect(try !client.isRegistered(id: id, under: "u"))
        #expect(try client.schema(subject: "t", version: .latest).id == id)
        guard
            case .invalid? = refusal({ () throws(SchemaRegistryFailure) in
                _ = try client.register(subject: "s", format: .avro, text: "\"nothing\"")
            })
        else {
            Issue.record("registered")
            return
        }
        await registry.stop()
    }

    @Test(
        "a URL that is none is refused at once",
        arguments: [[], ["registry"], ["http://x:y@registry/"], ["https://registry/", "ftp://x/"]])
    func urls(urls: [String]) {
        #expect(throws: SchemaRegistryFailure.self) { try SchemaRegistryClient(SchemaRegistryOptions(urls: urls)) }
    }

    @Test("many threads ask at once")
    func threads() async throws {
        let registry = try await DevelopmentRegistry.start()
        let ids = (0..<20).map { registry.register(subject: "s\($0)", format: .json, text: "{\"minimum\":\($0)}") }
        let client = try SchemaRegistryClient(options(registry.url))
        let found = await withTaskGroup(of: Int.self) { group in
            for turn in 0..<200 {
                group.addTask { (try? client.schema(subject: "s\(turn % 20)", version: .latest).id) == ids[turn % 20] ? 1 : 0 }
            }
            return await group.reduce(0, +)
        }
        #expect(found == 200)
        await registry.stop()
    }
}
