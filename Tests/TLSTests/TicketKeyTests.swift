import Foundation
import TestAuthority
import Testing

@testable import TLS

@Suite struct TicketKeyTests {
    let files = TestFiles()

    @Test("a new key spreads before it seals")
    func spreading() throws {
        var keys = TicketKeys([], nowSeconds: 0)
        #expect(try keys.rotate(nowSeconds: 1_000, rotationSeconds: 3_600, lifetimeSeconds: 7_200))
        let first = try #require(keys.sealingKey)
        #expect(try !keys.rotate(nowSeconds: 4_599, rotationSeconds: 3_600, lifetimeSeconds: 7_200))
        #expect(try keys.rotate(nowSeconds: 4_600, rotationSeconds: 3_600, lifetimeSeconds: 7_200))
        #expect(keys.keys.count == 2)
        #expect(keys.sealingKey == first)
        keys.chooseSealing(nowSeconds: 4_600 + TicketKeys.spreadSeconds)
        #expect(keys.sealingKey == keys.keys[0])
        #expect(keys.keys[0] != first)
        // The last ticket of the first key is from 4,900, and good until 12,100.
        _ = try keys.rotate(nowSeconds: 12_099, rotationSeconds: 3_600, lifetimeSeconds: 7_200)
        #expect(keys.keys.contains(first))
        _ = try keys.rotate(nowSeconds: 12_100, rotationSeconds: 3_600, lifetimeSeconds: 7_200)
        #expect(!keys.keys.contains(first))
    }

    @Test("the file is its owner's alone, and reads as it was written")
    func file() throws {
        let path = files.path("keys")
        let ring = try TicketKeyring(file: path, nowSeconds: 1_000_000)
        #expect(ring.count == 1)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let keys = try #require(try TicketKeyFile.read(path))
        try TicketKeyFile.write(keys, to: path)
        #expect(try TicketKeyFile.read(path) == keys)
        try ring.refresh(nowSeconds: 1_000_000 + 50_000)
        #expect(ring.count == 2)
        let left = try FileManager.default.contentsOfDirectory(atPath: files.directory)
        #expect(left.sorted() == ["keys", "keys.lock"])
    }

    @Test("a key that another node has made is taken over, and none is made beside it")
    func takeover() throws {
        let path = files.path("keys")
        let here = try TicketKeyring(file: path, nowSeconds: 1_000_000)
        let there = try TicketKeyring(file: path, nowSeconds: 1_000_000)
        try there.refresh(nowSeconds: 1_050_000)
        try here.refresh(nowSeconds: 1_050_010)
        #expect(here.count == 2)
        #expect(try TicketKeyFile.read(path)?.count == 2)
    }

    @Test("many that start at once end up with one key")
    func race() async throws {
        let path = files.path("keys")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 { group.addTask { _ = try TicketKeyring(file: path, nowSeconds: 1_000_000) } }
            try await group.waitForAll()
        }
        #expect(try TicketKeyFile.read(path)?.count == 1)
    }

    @Test("a file that others may read, or that isn't one of ticket keys, is refused, with its line")
    func refusals() throws {
        let good =
            "headwater-ticket-keys 1\n# a comment\n\n1 \(String(repeating: "0", count: 32)) "
            + "\(String(repeating: "a", count: 64)) \(String(repeating: "B", count: 64))\n"
        #expect(try TicketKeyFile.parse(Array(good.utf8), file: "x").count == 1)
        for (text, place) in [
            ("", "x"), ("nonsense\n", "x:1"), (good + "2 00 00 00\n", "x:5"), (good + "-2" + good.suffix(163), "x:5"),
            (good.replacing("aaaa", with: "aaag"), "x:4"), (good + String(repeating: String(good.suffix(165)), count: 64), "x:68"),
        ] {
            let error = #expect(throws: TLSConfigurationError.self) { try TicketKeyFile.parse(Array(text.utf8), file: "x") }
            #expect(error?.file == place)
            #expect(error?.description.contains("aaaa") == false)
        }
        let path = files.write("keys", good, mode: 0o644)
        let error = #expect(throws: TLSConfigurationError.self) { try TicketKeyring(file: path, nowSeconds: 0) }
        #expect(error?.problem.contains("others than its owner") == true)
        #expect(throws: TLSConfigurationError.self) { try TicketKeyring(file: files.path("no/such/place"), nowSeconds: 0) }
    }

    @Test("what is printed of a key has no key in it")
    func secrets() throws {
        let secret = SecretBytes(Array("hunter2".utf8))
        #expect("\(secret)\(String(reflecting: secret))" == "(secret)(secret)")
        var text = ""
        dump(secret, to: &text)
        dump(TLSServerConfiguration.PreSharedKeys(keys: ["a": secret]), to: &text)
        #expect(!text.contains("hunter2") && !text.contains("104"))
        #expect(secret == SecretBytes(Array("hunter2".utf8)))
        #expect(secret != SecretBytes(Array("hunter3".utf8)))
    }
}
