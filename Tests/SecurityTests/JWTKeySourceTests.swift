import Foundation
import Synchronization
import Testing

@testable import Security

@Suite struct JWTKeySourceTests {
    static let ed = JWTVectorTests.vectors[4].key.dropFirst()
    static func document(_ ids: String...) -> [UInt8] {
        Array(#"{"keys":[\#(ids.map { #"{"kid":"\#($0)",\#(ed)"# }.joined(separator: ","))]}"#.utf8)
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// A server whose answer the test sets.
    final class Server: Sendable {
        let calls = Atomic(0)
        let answer: Mutex<Result<[UInt8], Failure>>
        init(_ answer: Result<[UInt8], Failure>) { self.answer = Mutex(answer) }
        func get() throws -> [UInt8] {
            calls.add(1, ordering: .relaxed)
            return try answer.withLock { $0 }.get()
        }
    }

    static func ids(_ source: JWKSource) -> [String?] { source.keys.keys.map(\.id) }

    @Test("keys that can be used are used, the others are passed over with a reason, and those of other use silently")
    func unusable() throws {
        let zero = String(repeating: "A", count: 43)
        let text = #"""
            {"keys":[{"kid":"good",\#(Self.ed),{"kid":"enc","use":"enc",\#(Self.ed),{"kid":"ops","key_ops":["sign"],\#(Self.ed),
            {"kid":"alg","alg":"HS256",\#(Self.ed),{"kid":"x","kty":"OKP","crv":"Ed25519","x":"AAAA"},{"kid":"new","kty":"AKP"},
            {"kty":"oct","k":"AAAA"},7,
            {"kid":"rsa","kty":"RSA","n":"AQAB","e":"AQAB"},{"kid":"ec","kty":"EC","crv":"P-256","x":"\#(zero)","y":"\#(zero)"},
            {"kid":5,\#(Self.ed),{"kid":"verify","key_ops":["verify"],"x5c":["not looked at"],"use":"sig",\#(Self.ed)]}
            """#
        let document = try JWKSDocument(text.utf8, allowsSecrets: false)
        #expect(document.keys.keys.map(\.id) == ["good", "verify"])
        #expect(document.unusable.count == 8, "\(document.unusable)")
        #expect(document.unusable.contains { $0.contains("kid \"alg\"") && $0.contains("no algorithm") })
        #expect(document.unusable.contains { $0.contains("a secret in a document that is fetched") })
        #expect(document.unusable.contains { $0.contains("kid \"rsa\"") && $0.contains("bits") })
        #expect(document.unusable.contains { $0.contains("kid \"ec\"") }, "a point that is not on its curve")
    }

    @Test(
        "a document that gives no key is a fault",
        arguments: [
            "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "<html>",
            "{\"keys\":[],\"keys\":[]}",
        ])
    func empty(text: String) { #expect(throws: JWKSFault.self) { try JWKSDocument(text.utf8, allowsSecrets: false) } }

    @Test("the number of keys is bounded")
    func bounded() {
        let keys = Array(repeating: "{\(Self.ed)", count: 1_001).joined(separator: ",")
        #expect(throws: JWKSFault.tooManyKeys) { try JWKSDocument(#"{"keys":[\#(keys)]}"#.utf8, allowsSecrets: false) }
    }

    @Test("a refresh that fails keeps the last good set, and says how old it is and why")
    func lastGood() async {
        let server = Server(.success(Self.document("a")))
        let source = JWKSource(refreshMilliseconds: 60_000, leastMilliseconds: 10_000, fetch: { try server.get() })
        #expect(source.dueIn(now: 5) == 0 && source.keys.keys.isEmpty && source.status.ageMilliseconds(now: 5) == nil)
        #expect(await source.refresh(now: 1_000))
        #expect(Self.ids(source) == ["a"] && source.dueIn(now: 2_000) == 59_000)
        for (answer, reason) in [
            (.failure(Failure(description: "no route")), "no route"), (.success(Array("<html>".utf8)), "it is not JSON"),
            (.success(Array("{\"keys\":[]}".utf8)), "no key"),
        ] as [(Result<[UInt8], Failure>, String)] {
            server.answer.withLock { $0 = answer }
            #expect(await source.refresh(now: 70_000) == false)
            #expect(Self.ids(source) == ["a"])
            #expect(source.status.lastError?.contains(reason) == true && source.status.ageMilliseconds(now: 71_000) == 70_000)
        }
        #expect(source.status.failures == 3 && source.status.successes == 1 && source.dueIn(now: 70_000) == 10_000)
        server.answer.withLock { $0 = .success(Self.document("b", "c")) }
        #expect(await source.refresh(now: 80_000))
        #expect(Self.ids(source) == ["b", "c"] && source.status.lastError == nil && source.status.keys == 2)
    }

    @Test("unknown keys lead to a fetch, but not to many")
    func rateLimit() async {
        let server = Server(.success(Self.document("a")))
        let changes = Atomic(0)
        let source = JWKSource(leastMilliseconds: 30_000, fetch: { try server.get() }, changed: { _ in changes.add(1, ordering: .relaxed) })
        #expect(await source.refreshForUnknownKey(now: 0))
        for now in stride(from: 0, to: 29_999, by: 100) { #expect(await source.refreshForUnknownKey(now: Int64(now)) == false) }
        #expect(server.calls.load(ordering: .relaxed) == 1)
        #expect(await source.refreshForUnknownKey(now: 30_000))
        server.answer.withLock { $0 = .failure(Failure(description: "down")) }
        #expect(await source.refreshForUnknownKey(now: 60_000) == false)
        #expect(await source.refreshForUnknownKey(now: 60_001) == false)
        #expect(server.calls.load(ordering: .relaxed) == 3 && changes.load(ordering: .relaxed) == 2)
    }

    @Test("callers at once share one fetch")
    func shared() async {
        let server = Server(.success(Self.document("a")))
        let source = JWKSource(
            leastMilliseconds: 30_000,
            fetch: {
                try await Task.sleep(for: .milliseconds(100))
                return try server.get()
            })
        let results = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 { group.addTask { await source.refreshForUnknownKey(now: 1) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results == Array(repeating: true, count: 50) && server.calls.load(ordering: .relaxed) == 1)
    }

    @Test("run refreshes at once, again when it is due, and ends with its task")
    func run() async {
        let server = Server(.success(Self.document("a")))
        let source = JWKSource(refreshMilliseconds: 20, leastMilliseconds: 1, fetch: { try server.get() })
        let task = Task { await source.run() }
        await Until.holds { server.calls.load(ordering: .relaxed) >= 3 }
        task.cancel()
        await task.value
    }
}
