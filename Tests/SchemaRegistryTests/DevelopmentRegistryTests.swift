import Encodings
import Foundation
import HTTPFetch
import Testing

@testable import SchemaRegistry

enum Base64Text {
    static func encoded(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
}

@Suite struct DevelopmentRegistryTests {
    func ask(_ registry: DevelopmentRegistry, _ path: String, post: String? = nil) throws -> (status: Int, body: JSONValue) {
        var options = HTTPFetch.Options(url: registry.url + path, allowsPlain: true)
        if let post { options.post = HTTPPost(contentType: "application/vnd.schemaregistry.v1+json", body: Array(post.utf8)) }
        let answer = try HTTPFetch(options).answer()
        return (answer.status, try read(answer.body))
    }

    @Test("subjects, versions and ids are as Confluent's")
    func routes() async throws {
        let registry = try await DevelopmentRegistry.start()
        let schema = #"{"schema":"\"int\""}"#
        #expect(try ask(registry, "/subjects").body == .array([]))
        #expect(try ask(registry, "/subjects/a%2Fb/versions", post: schema).body == .members(["id": .integer(1)]))
        #expect(try ask(registry, "/subjects/a%2Fb/versions", post: schema).body == .members(["id": .integer(1)]))
        #expect(try ask(registry, "/subjects/c/versions", post: schema).body == .members(["id": .integer(1)]))
        #expect(
            try ask(registry, "/subjects/c/versions", post: #"{"schema":"{}","schemaType":"JSON"}"#).body == .members(["id": .integer(2)]))
        #expect(try ask(registry, "/subjects").body == .array([.string("a/b"), .string("c")]))
        #expect(try ask(registry, "/subjects/c/versions").body == .array([.integer(1), .integer(2)]))
        let latest = try ask(registry, "/subjects/c/versions/latest").body
        #expect(
            latest["id"] == .integer(2) && latest["version"] == .integer(2) && latest["schemaType"] == .string("JSON")
                && latest["subject"] == .string("c"))
        #expect(try ask(registry, "/subjects/c/versions/1").body["schemaType"] == nil)
        #expect(try ask(registry, "/schemas/ids/1").body == .members(["schema": .string("\"int\"")]))
        let pairs = JSONValue.array([
            .members(["subject": .string("a/b"), "version": .integer(1)]), .members(["subject": .string("c"), "version": .integer(1)]),
        ])
        #expect(try ask(registry, "/schemas/ids/1/versions").body == pairs)
        #expect(try ask(registry, "/subjects/c", post: schema).body["version"] == .integer(1))
        await registry.stop()
    }

    @Test("what isn't there, or is none, has Confluent's codes")
    func refusals() async throws {
        let registry = try await DevelopmentRegistry.start()
        registry.register(subject: "s", format: .avro, text: "\"int\"")
        for (path, post, status, code) in [
            ("/subjects/x/versions/1", nil, 404, 40401), ("/subjects/x/versions", nil, 404, 40401),
            ("/subjects/s/versions/2", nil, 404, 40402),
            ("/subjects/s/versions/0", nil, 422, 42202), ("/subjects/s/versions/one", nil, 422, 42202), ("/schemas/ids/9", nil, 404, 40403),
            ("/schemas/ids/x", nil, 404, 40403), ("/subjects/s", #"{"schema":"\"long\""}"#, 404, 40403),
            ("/subjects/x", #"{"schema":"\"int\""}"#, 404, 40401),
            ("/subjects/s/versions", "{}", 422, 42201), ("/subjects/s/versions", "{", 422, 42201),
            ("/subjects/s/versions", #"{"schema":"\"x\""}"#, 422, 42201),
            ("/subjects/s/versions", #"{"schema":"[]","schemaType":"JSON"}"#, 422, 42201),
            ("/subjects/s/versions", #"{"schema":"x","schemaType":"XML"}"#, 422, 42201),
            ("/subjects/s/versions", #"{"schema":"message","schemaType":"PROTOBUF"}"#, 422, 42201), ("/nothing", nil, 404, 404),
        ] as [(String, String?, Int, Int)] {
            let answer = try ask(registry, path, post: post)
            #expect(answer.status == status && answer.body["error_code"] == .integer(code), "\(path) \(answer)")
        }
        await registry.stop()
    }

    @Test("it stops, and its port is free for the next")
    func stopping() async throws {
        let first = try await DevelopmentRegistry.start()
        _ = try ask(first, "/subjects")
        #expect((12_000..<32_768).contains(first.port))
        await #expect(throws: (any Error).self) { try await DevelopmentRegistry.start(port: first.port) }
        await first.stop()
        #expect(throws: (any Error).self) { try ask(first, "/subjects") }
        let second = try await DevelopmentRegistry.start(port: first.port)
        #expect(second.port == first.port)
        #expect(try ask(second, "/subjects").status == 200)
        await second.stop()
    }
}
