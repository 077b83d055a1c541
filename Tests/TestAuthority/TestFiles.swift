import Foundation

/// A directory of one test, gone with it.
package final class TestFiles: Sendable {
    package let directory: String

    package init() {
        directory = NSTemporaryDirectory() + "headwater-test-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// A new file takes the place of the one that was there, in one instant.
    @discardableResult
    package func write(_ name: String, _ bytes: [UInt8], mode: Int = 0o600) -> String {
        let path = directory + "/" + name
        let new = "\(path).\(UUID().uuidString)"
        _ = FileManager.default.createFile(atPath: new, contents: Data(bytes), attributes: [.posixPermissions: mode])
        rename(new, path)
        return path
    }

    @discardableResult
    package func write(_ name: String, _ text: String, mode: Int = 0o600) -> String { write(name, Array(text.utf8), mode: mode) }

    package func path(_ name: String) -> String { directory + "/" + name }
}
