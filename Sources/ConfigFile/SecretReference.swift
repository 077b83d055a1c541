/// A value that stands elsewhere: `${env:NAME}` or `${file:/path}`, alone or inside other text. So a configuration can be
/// shown to anybody. What comes out of it is never printed.
enum SecretReference {
    struct Fault: Error {
        let message: String
    }

    /// - Returns: The text with every reference replaced, and whether there was one.
    /// - Throws: What is wrong; the text of a secret is never part of it.
    static func resolve(_ text: String, environment: [String: String]) throws(Fault) -> (value: String, isSecret: Bool) {
        var result = ""
        var isSecret = false
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw Fault(message: "a ${ without its }; references are ${env:NAME} and ${file:/path}")
            }
            result += rest[..<start.lowerBound]
            let reference = rest[start.upperBound..<end]
            if reference.hasPrefix("env:") {
                let name = String(reference.dropFirst(4))
                guard let value = environment[name] else { throw Fault(message: "the environment has no variable \(name)") }
                result += value
            } else if reference.hasPrefix("file:") {
                result += try contents(of: String(reference.dropFirst(5)))
            } else {
                throw Fault(message: "unknown reference ${\(reference)}; known are ${env:NAME} and ${file:/path}")
            }
            isSecret = true
            rest = rest[rest.index(after: end)...]
        }
        return (result + rest, isSecret)
    }

    /// The file's text without the line end that editors add.
    private static func contents(of file: String) throws(Fault) -> String {
        guard file.hasPrefix("/") else { throw Fault(message: "${file:\(file)} needs an absolute path") }
        var text: String
        do {
            text = try ConfigurationText(file: file, maxBytes: ConfigurationText.maxSecretBytes).string
        } catch {
            throw Fault(message: error.description)
        }
        if text.hasSuffix("\r\n") || text.hasSuffix("\n") { text.removeLast() }
        return text
    }
}
