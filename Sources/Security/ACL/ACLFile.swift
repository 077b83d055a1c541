import MQTTModel

/// An ACL file, read and checked: Mosquitto's grammar (`acl_file` of mosquitto.conf), in which an old file means here what it
/// means there, and extensions, all of them lines for which Mosquitto refuses a file. docs/acl.md has the whole grammar.
///
/// Rules keep the order of the file; what decides among them is `ACLPolicy`'s business. The bytes of the file stay in memory,
/// since filters and explanations are read from them.
package struct ACLFile: Sendable {
    /// A file of a million rules has some 40 MB.
    package static let maximumBytes = 64 << 20

    /// What diagnostics and explanations call the file.
    package let name: String
    package let rules: [ACLRule]
    package let lists: [ACLList]
    package let memberships: [ACLMembership]
    /// Lines that are allowed and may not mean what was meant, in the order of the file; at most
    /// `ACLFileError.shownFaults`.
    package let notes: [ACLDiagnostic]
    /// Told to the operator when the rule denies, by number of the rule.
    let reasons: [Int: String]
    let bytes: [UInt8]

    /// - Parameters:
    ///   - bytes: The whole file. Empty, it allows nothing.
    ///   - name: For diagnostics, such as the file's path.
    /// - Throws: Everything that is wrong with the file.
    package init(_ bytes: [UInt8], name: String) throws(ACLFileError) {
        var parser = ACLParser(bytes, name: name)
        parser.parse()
        if let error = parser.error { throw error }
        self.name = name
        self.bytes = bytes
        rules = parser.rules
        lists = parser.lists
        memberships = parser.memberships
        notes = parser.notes
        reasons = parser.reasons
    }

    /// The bytes of a rule's filter, variables as they are written.
    package func filter(of rule: ACLRule) -> ArraySlice<UInt8> { bytes[rule.filter] }

    /// The line of a rule as it stands in the file, fit to be printed.
    package func text(of rule: ACLRule) -> String {
        var range = rule.filter
        while range.lowerBound > 0, bytes[range.lowerBound - 1] != 0x0A { range = (range.lowerBound - 1)..<range.upperBound }
        return ShownText.plain(bytes[range])
    }
}
