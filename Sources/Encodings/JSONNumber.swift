/// A number as it was written, with exact conversions.
package struct JSONNumber: Hashable, Sendable, Comparable {
    /// Fits the grammar of RFC 8259: the reader has seen to it.
    package let text: String
    /// The value when it is a whole number of 64 bits, however it is written: `1.0` and `10e-1` are 1.
    package let int64: Int64?
    /// The nearest value; infinite beyond the range of a double.
    package let double: Double

    init(text: String) {
        self.text = text
        if let plain = Int64(text) { int64 = plain } else { int64 = Decimal(text)?.whole }
        double = int64.flatMap { Double(exactly: $0) } ?? Double(text) ?? .nan
    }

    package var isWhole: Bool { int64 != nil || double.isFinite && double.rounded() == double }

    package static func == (a: JSONNumber, b: JSONNumber) -> Bool {
        if let a = a.int64, let b = b.int64 { return a == b }
        // One that fits 64 bits equals none that doesn't.
        guard (a.int64 == nil) == (b.int64 == nil) else { return false }
        return a.double == b.double
    }
    /// Exact within 64-bit whole numbers, as doubles otherwise.
    package static func < (a: JSONNumber, b: JSONNumber) -> Bool {
        if let a = a.int64, let b = b.int64 { return a < b }
        return a.double < b.double
    }
    package func hash(into hasher: inout Hasher) {
        if let int64 { hasher.combine(int64) } else { hasher.combine(double) }
    }

    /// Exact where both have at most 18 digits after scaling: 0.3 is a multiple of 0.1. As doubles otherwise.
    package func isMultiple(of divisor: JSONNumber) -> Bool {
        if let a = Decimal(text), let b = Decimal(divisor.text), b.digits != 0 {
            let exponent = min(a.exponent, b.exponent)
            if let a = a.scaled(to: exponent), let b = b.scaled(to: exponent) { return a % b == 0 }
        }
        let quotient = double / divisor.double
        return quotient.isFinite && quotient.rounded() == quotient
    }

    /// `digits` times ten to the power of `exponent`.
    private struct Decimal {
        private(set) var digits: Int64 = 0
        private(set) var exponent = 0

        /// `nil` when it has more digits than 64 bits hold.
        init?(_ text: String) {
            var isNegative = false
            var isFraction = false
            var bytes = text.utf8[...]
            if bytes.first == UInt8(ascii: "-") {
                isNegative = true
                bytes.removeFirst()
            }
            while let byte = bytes.first, byte | 0x20 != UInt8(ascii: "e") {
                bytes.removeFirst()
                if byte == UInt8(ascii: ".") {
                    isFraction = true
                    continue
                }
                let (tens, tooMany) = digits.multipliedReportingOverflow(by: 10)
                let digit = Int64(byte) - 48
                let (next, tooLarge) = isNegative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
                guard !tooMany, !tooLarge else { return nil }
                digits = next
                if isFraction { exponent -= 1 }
            }
            if !bytes.isEmpty {
                // A longer exponent is beyond every use of this type, unless nothing is scaled by it.
                guard let written = Int(bytes.dropFirst().drop { $0 == UInt8(ascii: "+") }.asString), abs(written) < 100_000 else {
                    if digits == 0 { exponent = 0 } else { return nil }
                    return
                }
                exponent += written
            }
            if digits == 0 { exponent = 0 }
            while digits != 0, digits % 10 == 0 {
                digits /= 10
                exponent += 1
            }
        }

        var whole: Int64? { exponent < 0 ? nil : scaled(to: 0) }

        /// The digits at a smaller exponent; `nil` when they don't fit.
        func scaled(to smaller: Int) -> Int64? {
            guard digits != 0 else { return 0 }
            guard exponent - smaller <= 18 else { return nil }
            var scaled = digits
            for _ in 0..<(exponent - smaller) {
                let (next, tooLarge) = scaled.multipliedReportingOverflow(by: 10)
                guard !tooLarge else { return nil }
                scaled = next
            }
            return scaled
        }
    }
}

extension Sequence where Element == UInt8 {
    fileprivate var asString: String { String(decoding: Array(self), as: UTF8.self) }
}
