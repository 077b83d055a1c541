import Logging

extension Logger {
    /// Keeps the test runner's output readable.
    static var silent: Logger { Logger(label: "broker", factory: { _ in SwiftLogNoOpLogHandler() }) }
}
