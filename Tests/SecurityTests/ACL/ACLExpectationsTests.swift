import Foundation
import MQTTModel
import Security
import Testing

@Suite struct ACLExpectationsTests {
    private func expectations(_ text: String) throws(ACLFileError) -> ACLExpectations {
        try ACLExpectations(Array(text.utf8), name: "cases")
    }

    @Test("cases are told what they miss, with the deciding line")
    func disappointment() throws {
        let policy = try ACLPolicy(text: "user bob\nallow readwrite max-qos=1 a/#\ndeny read reason=\"no\" a/x\ntenant t\nallow read %t\n")
        let file = try expectations(
            """
            # what holds
            allow bob c read a/b
            deny  bob c write qos=2 a/b
            deny  - c read a/b
            allow "bob" "c d" subscribe a/+
            deny  "-" c subscribe #
            allow - c read tenant=t t
            # what does not
            allow bob c read a/x
            deny bob c write retain=yes a/b
            allow - c subscribe a/b

            """)
        #expect(file.cases.count == 9)
        let missed = file.cases.compactMap { policy.disappointment($0, in: file) }
        #expect(missed.count == 3)
        #expect(missed[0][0] == "cases:9: expected allow, got deny by acl:3: no")
        #expect(missed[1][0] == "cases:10: expected deny, got allow by acl:2, at most QoS 1")
        #expect(missed[2][0] == "cases:11: expected allow, got deny for a subscription to \"a/b\"")
    }

    @Test(
        "a wrong line is told",
        arguments: [
            "perhaps bob c read a", "allow", "allow bob", "allow bob c", "allow bob c look a", "allow bob c read", "allow bob c read a/#",
            "allow \"bob c read a",
            "allow bob c read qos=3 a", "allow bob c subscribe a#",
        ])
    func faults(text: String) {
        #expect(throws: ACLFileError.self) { try expectations(text) }
    }

    /// The repository's own files.
    private static let directory = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(
            path: "acl")

    @Test("every ACL file of the repository loads, and says what its expectations say")
    func examples() throws {
        var (files, cases) = (0, 0)
        for place in ["", "examples", "examples/extended"] {
            let directory = Self.directory.appending(path: place)
            for url in try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
            where url.pathExtension == "acl" {
                files += 1
                let file = try ACLFile(Array(Data(contentsOf: url)), name: url.lastPathComponent)
                let beside = url.deletingPathExtension().appendingPathExtension("expect")
                guard place == "examples/extended" || FileManager.default.fileExists(atPath: beside.path) else { continue }
                let expectations = try ACLExpectations(Array(Data(contentsOf: beside)), name: beside.lastPathComponent)
                let policy = ACLPolicy(file)
                cases += expectations.cases.count
                for expected in expectations.cases {
                    if let missed = policy.disappointment(expected, in: expectations) { Issue.record("\(missed.joined(separator: "\n"))") }
                }
            }
        }
        #expect(files >= 6 && cases >= 40)
    }
}
