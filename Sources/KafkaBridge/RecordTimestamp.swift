/// Where a record's timestamp comes from.
public enum RecordTimestamp: Sendable, Hashable {
    /// When the broker received the message.
    case received
    /// A value of the JSON payload. Where it is missing or no time, the record has the time of `received`, and that is counted.
    case payload(PayloadPath, Unit)

    /// How a time is written. Nothing is guessed: a small number of nanoseconds is a number of milliseconds too.
    public enum Unit: String, Sendable, CaseIterable {
        case milliseconds = "ms"
        case seconds = "s"
        case microseconds = "us"
        case nanoseconds = "ns"
        /// `2026-07-01T12:00:00.5+02:00`
        case rfc3339

        /// Of a second; `nil` for a text.
        fileprivate var perSecond: Int64? {
            switch self {
            case .seconds: 1
            case .milliseconds: 1_000
            case .microseconds: 1_000_000
            case .nanoseconds: 1_000_000_000
            case .rfc3339: nil
            }
        }
    }

    /// `received`, or a path such as `payload.time`.
    /// - Throws: `TemplateError` where the text is neither.
    public init(_ text: String, unit: Unit = .milliseconds) throws(TemplateError) {
        self = text == "received" ? .received : .payload(try PayloadPath(text), unit)
    }

    var path: PayloadPath? { if case .payload(let path, _) = self { path } else { nil } }

    /// The last millisecond of the year 9999: what lies behind it is a wrong unit.
    private static let latest: Int64 = 253_402_300_799_999

    /// Milliseconds since 1970-01-01T00:00:00Z that `text` says; `nil` where it says none from 1970 to 9999.
    static func milliseconds(_ text: [UInt8], _ unit: Unit) -> Int64? {
        let found = unit.perSecond.map { number(text, perSecond: $0) } ?? RFC3339(text)?.milliseconds
        return found.flatMap { (0...latest).contains($0) ? $0 : nil }
    }

    private static func number(_ text: [UInt8], perSecond: Int64) -> Int64? {
        // `Double` reads inf, nan and hexadecimal too; a number of JSON is at most some dozens of these.
        guard text.count <= 40, text.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return nil }
        let text = String(decoding: text, as: UTF8.self)
        if let whole = Int64(text) {
            if perSecond >= 1_000 { return whole / (perSecond / 1_000) }
            let (product, hasOverflown) = whole.multipliedReportingOverflow(by: 1_000 / perSecond)
            return hasOverflown ? nil : product
        }
        guard let value = Double(text) else { return nil }
        let milliseconds = value / Double(perSecond) * 1_000
        // A time in seconds with three decimals is some binary fraction beside the millisecond that is meant.
        return milliseconds >= 0 && milliseconds <= Double(latest) ? Int64((milliseconds + 0.001).rounded(.down)) : nil
    }
}

/// A time as RFC 3339 writes it: `2026-07-01T12:00:00.5+02:00`.
private struct RFC3339 {
    /// Since 1970-01-01T00:00:00Z; a fraction is cut after the milliseconds.
    let milliseconds: Int64

    init?(_ text: [UInt8]) {
        var rest = text[...]
        func number(_ digits: Int) -> Int64? {
            let taken = rest.prefix(digits)
            guard taken.count == digits, taken.allSatisfy(Self.isDigit) else { return nil }
            rest.removeFirst(digits)
            return taken.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        }
        func mark(_ allowed: String) -> Bool {
            guard let first = rest.first, allowed.utf8.contains(first) else { return false }
            rest.removeFirst()
            return true
        }
        guard let year = number(4), mark("-"), let month = number(2), mark("-"), let day = number(2), mark("Tt "), let hour = number(2),
            mark(":"), let minute = number(2), mark(":"), let second = number(2),
            (1...12).contains(month), day >= 1, day <= Self.days(in: month, of: year), hour < 24, minute < 60,
            second <= 60  // a leap second; it is the next one in Unix time
        else { return nil }
        var fraction: Int64 = 0
        if mark(".") {
            let digits = rest.prefix(while: Self.isDigit)
            if digits.isEmpty { return nil }
            rest.removeFirst(digits.count)
            for digit in (digits.map { Int64($0 - UInt8(ascii: "0")) } + [0, 0]).prefix(3) { fraction = fraction * 10 + digit }
        }
        var offset: Int64 = 0
        if !mark("Zz") {
            let isWest = rest.first == UInt8(ascii: "-")
            guard mark("+-"), let hours = number(2), mark(":"), let minutes = number(2), hours < 24, minutes < 60 else { return nil }
            offset = (hours * 60 + minutes) * (isWest ? -1 : 1)
        }
        if !rest.isEmpty { return nil }
        let minutes = (Self.daysSince1970(year, month, day) * 24 + hour) * 60 + minute - offset
        milliseconds = (minutes * 60 + second) * 1_000 + fraction
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Of the Gregorian calendar. Years are counted from March, so that the leap day is the last of its year.
    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year + 399 : year + 400  // 400 years more, so that nothing is negative
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468 - 146_097
    }
}
