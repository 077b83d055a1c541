/// Everything that is wrong with a configuration, all at once, so that one run mends all.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// In the order of the file; what concerns the environment comes last.
    public let diagnostics: [ConfigurationDiagnostic]

    init(_ diagnostics: [ConfigurationDiagnostic]) {
        self.diagnostics = diagnostics.enumerated()
            .sorted { ($0.element.location.order, $0.offset) < ($1.element.location.order, $1.offset) }
            .map(\.element)
    }

    /// One line per diagnostic.
    public var description: String { diagnostics.map(\.description).joined(separator: "\n") }
}

/// One fault: where it is, what is wrong and how to mend it. Prints as compilers do, `file:line:column: text`.
public struct ConfigurationDiagnostic: Sendable, Equatable, CustomStringConvertible {
    public enum Location: Sendable, Equatable {
        /// Line and column count from 1, columns in Unicode scalars.
        case line(file: String, line: Int, column: Int)
        case file(String)
        case environment(variable: String)
    }
    public let location: Location
    public let message: String

    public var description: String {
        switch location {
        case .line(let file, let line, let column): "\(file):\(line):\(column): \(message)"
        case .file(let file): "\(file): \(message)"
        case .environment(let variable): "environment variable \(variable): \(message)"
        }
    }
}

extension ConfigurationDiagnostic.Location {
    /// A file as a whole comes before its lines, the environment after them.
    fileprivate var order: (Int, Int, Int) {
        switch self {
        case .file: (0, 0, 0)
        case .line(_, let line, let column): (1, line, column)
        case .environment: (2, 0, 0)
        }
    }
}

private func < (left: ((Int, Int, Int), Int), right: ((Int, Int, Int), Int)) -> Bool {
    left.0 == right.0 ? left.1 < right.1 : left.0 < right.0
}
