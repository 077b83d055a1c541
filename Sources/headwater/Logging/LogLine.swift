import Glibc
import Logging

/// One event as one line, in a form for people or for programs.
///
/// What peers say (client identifiers, topics, reasons) reaches the log. It never begins a line of its own and never
/// moves a terminal's cursor: control characters and those that reverse the reading direction are written as escapes.
struct LogLine {
    let time: timespec
    let level: Logger.Level
    let label: String
    let message: String
    /// Sorted by name.
    let metadata: [(name: String, value: String)]

    /// `2026-01-31T12:00:00.000Z info    headwater: a client connected client=sensor-17 peer="127.0.0.1:50123"`
    var text: String {
        let padded = level.rawValue + String(repeating: " ", count: max(0, 8 - level.rawValue.count))
        let fields = metadata.map { " \(Self.escaped($0.name))=\(Self.field($0.value))" }.joined()
        return "\(Self.rfc3339(time)) \(padded) \(label): \(Self.escaped(message))\(fields)\n"
    }

    /// `{"time":"…","level":"info","logger":"headwater","message":"…","metadata":{"client":"sensor-17"}}`
    var json: String {
        let fields = metadata.map { "\(Self.jsonText($0.name)):\(Self.jsonText($0.value))" }.joined(separator: ",")
        return """
            {"time":"\(Self.rfc3339(time))","level":"\(level.rawValue)","logger":\(Self.jsonText(label)),\
            "message":\(Self.jsonText(message))\(fields.isEmpty ? "" : ",\"metadata\":{\(fields)}")}

            """
    }

    /// Milliseconds, UTC.
    static func rfc3339(_ time: timespec) -> String {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: some BinaryInteger, _ width: Int = 2) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))T\(padded(parts.tm_hour)):"
            + "\(padded(parts.tm_min)):\(padded(parts.tm_sec)).\(padded(time.tv_nsec / 1_000_000, 3))Z"
    }

    /// Plain where the value can't be taken for anything else, otherwise in quotes.
    private static func field(_ value: String) -> String {
        let isPlain =
            !value.isEmpty && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" && $0 != "\\" && !isUnsafe($0) }
        return isPlain ? value : "\"\(escaped(value, quotes: true))\""
    }

    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": out.append(contentsOf: "\\n".unicodeScalars)
            case "\r": out.append(contentsOf: "\\r".unicodeScalars)
            case "\t": out.append(contentsOf: "\\t".unicodeScalars)
            case "\"" where quotes, "\\" where quotes:
                out.append("\\")
                out.append(scalar)
            case _ where isUnsafe(scalar): out.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            default: out.append(scalar)
            }
        }
        return String(out)
    }

    private static func jsonText(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case _ where isUnsafe(scalar):  // all of them below U+10000, so four digits do
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    /// C0, DEL, C1, line and paragraph separators, and the marks that turn the reading direction around.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
