/// Sizes and times as people write them in a configuration: `64KiB`, `1MB`, `10s`, `7d`; a plain number is bytes or seconds.
enum Quantity {
    enum Fault: Error {
        case notANumber
        /// The unit as written.
        case unknownUnit(String)
        /// A fraction that leaves no whole number of bytes or of the option's unit of time.
        case notWhole
        case tooLarge
    }

    private static let byteUnits: [(name: String, bytes: Int)] = [
        ("B", 1), ("kB", 1_000), ("KB", 1_000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20),
        ("GB", 1_000_000_000), ("GiB", 1 << 30), ("TB", 1_000_000_000_000), ("TiB", 1 << 40),
    ]
    private static let timeUnits: [(name: String, milliseconds: Int)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000),
    ]

    static func parseBytes(_ text: String) throws(Fault) -> Int {
        try parse(text, units: byteUnits.map { ($0.name, $0.bytes) }, plain: 1)
    }

    /// - Parameter unitMilliseconds: 1000 for an option in seconds, 1 for one in milliseconds.
    static func parseDuration(_ text: String, unitMilliseconds: Int) throws(Fault) -> Int {
        let milliseconds = try parse(text, units: timeUnits.map { ($0.name, $0.milliseconds) }, plain: 1_000)
        guard milliseconds % unitMilliseconds == 0 else { throw .notWhole }
        return milliseconds / unitMilliseconds
    }

    /// The shortest exact form: `64MiB`, `2MB`, `100000`.
    static func bytes(_ count: Int) -> String {
        for unit in [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000)]
        where count != 0 && count % unit.1 == 0 {
            return "\(count / unit.1)\(unit.0)"
        }
        return "\(count)"
    }

    /// The shortest exact form: `7d`, `90s`, `1500ms`.
    static func duration(milliseconds: Int) -> String {
        for unit in timeUnits.reversed() where unit.name != "w" && milliseconds % unit.milliseconds == 0 && milliseconds != 0 {
            return "\(milliseconds / unit.milliseconds)\(unit.name)"
        }
        return "0s"
    }

    private static func parse(_ text: String, units: [(String, Int)], plain: Int) throws(Fault) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty else { throw .notANumber }
        var rest = text.dropFirst(digits.count)
        var fraction: Substring = ""
        if rest.first == "." {
            fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            guard !fraction.isEmpty else { throw .notANumber }
            rest = rest.dropFirst(1 + fraction.count)
        }
        let name = rest.drop { $0 == " " }
        let factor: Int
        if name.isEmpty {
            factor = plain
        } else if let unit = units.first(where: { $0.0 == name }) {
            factor = unit.1
        } else {
            throw .unknownUnit(String(name))
        }
        guard let whole = Int(digits) else { throw .tooLarge }
        let (product, overflows) = whole.multipliedReportingOverflow(by: factor)
        guard !overflows else { throw .tooLarge }
        guard !fraction.isEmpty else { return product }
        // 0.5 of a unit is 5 * factor / 10: exact or refused.
        guard fraction.count <= 6, let numerator = Int(fraction) else { throw .notWhole }
        let denominator = (0..<fraction.count).reduce(1) { power, _ in power * 10 }
        let (scaled, overflowsToo) = numerator.multipliedReportingOverflow(by: factor)
        guard !overflowsToo, scaled % denominator == 0 else { throw .notWhole }
        let (sum, overflowsAtLast) = product.addingReportingOverflow(scaled / denominator)
        guard !overflowsAtLast else { throw .tooLarge }
        return sum
    }
}
