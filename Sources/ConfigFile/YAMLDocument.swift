import Yams

/// The one document of a configuration file, and YAML's own faults in the words of this program.
enum YAMLDocument {
    /// - Returns: The root, `nil` for an empty file.
    /// - Throws: The first fault; after it nothing can be read.
    static func root(of text: String, file: String) throws(ConfigurationDiagnostic) -> Node? {
        do {
            return try Parser(yaml: text, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw diagnostic(error, text: text, file: file)
        } catch {
            throw ConfigurationDiagnostic(location: .file(file), message: "\(error)")
        }
    }

    private static func diagnostic(_ error: YamlError, text: String, file: String) -> ConfigurationDiagnostic {
        func at(_ mark: (line: Int, column: Int), _ message: String) -> ConfigurationDiagnostic {
            ConfigurationDiagnostic(location: .line(file: file, line: mark.line, column: mark.column), message: message)
        }
        switch error {
        case .scanner(_, let problem, let mark, _) where problem.contains("cannot start any token"):
            return at(
                (mark.line, mark.column),
                "this character can't begin a value: indent with blanks, not tabs, and quote texts that begin with a special character")
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            return at((mark.line, mark.column), "not valid YAML: \(context.map { "\($0.text), " } ?? "")\(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let key = duplicates.first ?? ""
            let again = secondLine(of: key, after: context.mark, in: text)
            let place = (line: again ?? context.mark.line, column: context.mark.column)
            return at(
                place, "\(OptionType.shown(key)) stands twice\(again == nil ? "" : ", first in line \(context.mark.line)"); remove one")
        case .reader(let problem, _, _, _):
            return ConfigurationDiagnostic(location: .file(file), message: "holds a character that YAML does not allow: \(problem)")
        default:
            return ConfigurationDiagnostic(location: .file(file), message: "not valid YAML: \(error)")
        }
    }

    /// Yams tells where a repeated key stood first. The second place is the next line that has it in the same column.
    private static func secondLine(of key: String, after first: Mark, in text: String) -> Int? {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for line in first.line..<max(first.line, lines.count) {
            let rest = lines[line].unicodeScalars.dropFirst(first.column - 1)
            let written = String(String.UnicodeScalarView(rest))
            if [key, "\"\(key)\"", "'\(key)'"].contains(where: { written.hasPrefix($0 + ":") || written.hasPrefix($0 + " :") }) {
                return line + 1
            }
        }
        return nil
    }
}
