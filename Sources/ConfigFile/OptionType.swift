/// The value of one option, apart from YAML and from the field that it is written to.
enum OptionValue: Sendable, Equatable {
    /// No limit, none, automatic: what `nil` says in the configuration.
    case none
    case boolean(Bool)
    /// A number; for sizes bytes, for times the option's unit.
    case integer(Int)
    case text(String)
    case texts([String])
    case fields([OptionField])
}

/// A name and value of an option that is a mapping with names of the user's choice, such as headers.
struct OptionField: Sendable, Equatable {
    let name: String
    let value: String
}

/// What may stand as an option's value: the source of parsing, of error texts, of printing and of the reference.
enum OptionType: Sendable {
    case boolean
    /// - `word`: what is written for none at all, such as `unlimited`.
    case integer(ClosedRange<Int>, word: String? = nil)
    case bytes(ClosedRange<Int>, word: String? = nil)
    case seconds(ClosedRange<Int>, word: String? = nil)
    case milliseconds(ClosedRange<Int>)
    case choice([String], word: String? = nil)
    /// - `meaning`: what the text is, for the reference; `check` says what is wrong with a text, `nil` for nothing.
    case text(meaning: String, word: String? = nil, check: @Sendable (String) -> String? = { _ in nil })
    case texts(meaning: String, check: @Sendable (String) -> String? = { _ in nil })
    case fields(meaning: String, check: @Sendable (OptionField) -> String? = { _ in nil })

    /// Why a text can't be the value.
    struct Fault: Error {
        let message: String
        init(_ message: String) { self.message = message }
    }

    /// Reads a scalar: from YAML or from an environment variable.
    /// - Parameter isQuoted: Quotes make a text of what would be a number or `null`.
    func value(of text: String, isQuoted: Bool) throws(Fault) -> OptionValue {
        if let word, !isQuoted, text == word || Self.isNull(text) { return .none }
        switch self {
        case .boolean:
            switch text {
            case "true" where !isQuoted: return .boolean(true)
            case "false" where !isQuoted: return .boolean(false)
            default: throw Fault("\(Self.shown(text)) is not true or false")
            }
        case .integer(let range, _):
            guard !isQuoted, let number = Int(text) else { throw Fault("\(Self.shown(text)) is not a whole number\(orWord)") }
            return .integer(try within(range, number, text))
        case .bytes(let range, _):
            return .integer(try within(range, try size(text), text))
        case .seconds(let range, _):
            return .integer(try within(range, try duration(text, unitMilliseconds: 1_000), text))
        case .milliseconds(let range):
            return .integer(try within(range, try duration(text, unitMilliseconds: 1), text))
        case .choice(let allowed, _):
            guard allowed.contains(text) else {
                throw Fault("\(Self.shown(text)) is none of \(allowed.joined(separator: ", "))\(Suggestion.text(for: text, in: allowed))")
            }
            return .text(text)
        case .text(let meaning, _, let check):
            if !isQuoted, Self.isNull(text) { throw Fault("has no value; expected \(meaning)") }
            if let complaint = check(text) { throw Fault(complaint) }
            return .text(text)
        case .texts, .fields:
            throw Fault("can't be set by one value")
        }
    }

    /// Whether one value says it all, so that an environment variable can hold it.
    var isScalar: Bool {
        switch self {
        case .texts, .fields: false
        default: true
        }
    }

    var word: String? {
        switch self {
        case .integer(_, let word), .bytes(_, let word), .seconds(_, let word), .choice(_, let word), .text(_, let word, _): word
        default: nil
        }
    }

    /// What plain YAML calls null.
    static func isNull(_ text: String) -> Bool { text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL" }

    /// A value in a message: quoted, cut, and without the control characters that would forge a line.
    static func shown(_ text: String) -> String {
        let cut = text.unicodeScalars.prefix(60).map { $0.value < 0x20 || $0.value == 0x7F ? " " : String($0) }.joined()
        return "\"\(cut)\(text.unicodeScalars.count > 60 ? "…" : "")\""
    }

    private var orWord: String { word.map { " or \"\($0)\"" } ?? "" }

    private func within(_ range: ClosedRange<Int>, _ number: Int, _ text: String) throws(Fault) -> Int {
        guard range.contains(number) else {
            throw Fault("\(Self.shown(text)) is out of range; allowed is \(rangeText(range))\(orWord)")
        }
        return number
    }

    private func size(_ text: String) throws(Fault) -> Int {
        do {
            return try Quantity.parseBytes(text)
        } catch {
            throw quantityFault(error, text, expected: "a size such as 65536, 64KiB or 1MB", units: "B, kB, KiB, MB, MiB, GB, GiB, TB, TiB")
        }
    }

    private func duration(_ text: String, unitMilliseconds: Int) throws(Fault) -> Int {
        do {
            return try Quantity.parseDuration(text, unitMilliseconds: unitMilliseconds)
        } catch {
            throw quantityFault(error, text, expected: "a time such as 30, 10s, 5m or 7d", units: "ms, s, m, h, d, w")
        }
    }

    private func quantityFault(_ fault: Quantity.Fault, _ text: String, expected: String, units: String) -> Fault {
        switch fault {
        case .notANumber: Fault("\(Self.shown(text)) is not \(expected)\(orWord)")
        case .unknownUnit(let unit): Fault("unknown unit \(Self.shown(unit)); units are \(units)")
        case .notWhole: Fault("\(Self.shown(text)) is finer than the option's unit")
        case .tooLarge: Fault("\(Self.shown(text)) is too large")
        }
    }
}
