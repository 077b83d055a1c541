import ConfigFile
import Glibc
import Logging

/// Writes every event to stderr as one line (see `LogLine`).
struct LineLogHandler: LogHandler {
    let label: String
    let format: LogConfiguration.Format
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    /// Where lines go; tests look at them here.
    var write: @Sendable (String) -> Void = { _ = StandardStreams.write(Array($0.utf8), to: STDERR_FILENO) }

    /// Makes this the handler of every logger. Once, before the first logger is made.
    static func bootstrap(_ configuration: LogConfiguration) {
        LoggingSystem.bootstrap { label in LineLogHandler(label: label, configuration: configuration) }
    }

    init(label: String, configuration: LogConfiguration) {
        self.label = label
        format = configuration.format
        logLevel = Logger.Level(rawValue: configuration.level.rawValue) ?? .info
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var fields = metadata
        fields.merge(metadataProvider?.get() ?? [:]) { $1 }
        fields.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error { fields["error"] = "\(error)" }
        let line = LogLine(
            time: time, level: event.level, label: label, message: event.message.description,
            metadata: fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) })
        write(format == .json ? line.json : line.text)
    }
}
