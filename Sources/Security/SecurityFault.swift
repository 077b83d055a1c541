/// One thing that is wrong with a file of the operator, told so that it can be mended: `file:line: what; how to mend`.
///
/// The text never holds a password, a hash or a key: lines of such files are told by number, not by content.
package struct SecurityFault: Error, Hashable, Sendable, CustomStringConvertible {
    package let file: String
    /// Counted from 1; `nil` where the fault is the file's and no line's.
    package let line: Int?
    package let what: String
    package let mend: String

    package init(file: String, line: Int? = nil, what: String, mend: String) {
        self.file = file
        self.line = line
        self.what = what
        self.mend = mend
    }

    package var description: String { "\(file)\(line.map { ":\($0)" } ?? ""): \(what); \(mend)" }
}

/// All that is wrong with a file, in the order of its lines.
package struct SecurityFaults: Error, Sendable, CustomStringConvertible {
    /// What is kept of a file that is wrong from end to end.
    package static let maxFaults = 100

    package private(set) var faults: [SecurityFault] = []
    /// Faults beyond `maxFaults`.
    package private(set) var omitted = 0

    package init() {}

    package init(_ fault: SecurityFault) { faults = [fault] }

    package var isEmpty: Bool { faults.isEmpty }

    package mutating func append(_ fault: SecurityFault) {
        if faults.count < Self.maxFaults { faults.append(fault) } else { omitted += 1 }
    }

    package var description: String {
        faults.map(\.description).joined(separator: "\n") + (omitted > 0 ? "\n… and \(omitted) more of the kind" : "")
    }
}
