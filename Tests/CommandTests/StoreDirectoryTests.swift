import Foundation
import Testing

@testable import Storage
@testable import headwater_cli

@Suite struct StoreDirectoryTests {
    static func withDirectory(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("headwater-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test("the directory is made for its owner alone, and the addresses are in it")
    func made() throws {
        try Self.withDirectory { path in
            let store = try StoreDirectory(path: path)
            try AddressFile.write(["mqtt local: 127.0.0.1:1883"], in: store.path)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o700)
            #expect(try String(contentsOfFile: path + "/addresses", encoding: .utf8) == "mqtt local: 127.0.0.1:1883\n")
        }
    }

    @Test("two brokers can't share a directory; one after another can")
    func locked() throws {
        try Self.withDirectory { path in
            do {
                let first = try StoreDirectory(path: path)
                let fault = #expect(throws: StoreDirectory.Fault.self) { _ = try StoreDirectory(path: path) }
                #expect(fault?.description.contains("another broker (process \(getpid())) uses it") == true)
                _ = consume first
            }
            _ = try StoreDirectory(path: path)
        }
    }

    @Test("what is no directory is refused")
    func noDirectory() {
        #expect(throws: StoreDirectory.Fault.self) { _ = try StoreDirectory(path: "/dev/null") }
        #expect(throws: StoreDirectory.Fault.self) { _ = try StoreDirectory(path: "/nonexistent/a/b") }
    }
}
