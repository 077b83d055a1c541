/// One fault of an ACL file, or a note about a line that may not mean what was meant. Prints as compilers do, `file:line: text`.
package struct ACLDiagnostic: Sendable, Equatable, CustomStringConvertible {
    package let file: String
    /// Counts from 1; 0 for the file as a whole.
    package let line: Int
    /// What is wrong and how to mend it.
    package let message: String

    package var description: String { line == 0 ? "\(file): \(message)" : "\(file):\(line): \(message)" }
}

/// Everything that is wrong with an ACL file, all at once, so that one run mends all. The operator was wrong.
package struct ACLFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A file of garbage would fill the log.
    package static let shownFaults = 100

    /// The first `shownFaults` of them, in the order of the file.
    package let diagnostics: [ACLDiagnostic]
    /// How many more there are.
    package let omitted: Int

    /// One line per diagnostic.
    package var description: String {
        let lines = diagnostics.map(\.description)
        return (omitted == 0 ? lines : lines + ["and \(omitted) more faults"]).joined(separator: "\n")
    }
}

/// Bytes of a file for a terminal or a log: quoted, short, without control characters.
enum ShownText {
    static func quoted(_ bytes: some Collection<UInt8>, limit: Int = 60) -> String { "\"" + plain(bytes, limit: limit) + "\"" }

    /// At most `limit` characters. What could steer a terminal or hide text becomes `?`.
    static func plain(_ bytes: some Collection<UInt8>, limit: Int = 200) -> String {
        let scalars = String(decoding: bytes.prefix(limit * 4 + 4), as: UTF8.self).unicodeScalars
        var text = ""
        for (count, scalar) in scalars.enumerated() {
            if count == limit { return text + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: text += "?"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
