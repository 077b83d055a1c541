import ArgumentParser
import MQTTModel
import Security

/// `headwater acl explain`: which line decides.
struct AclExplainCommand: AsyncParsableCommand {
    enum Access: String, ExpressibleByArgument, CaseIterable {
        case read, write, subscribe
    }

    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say which line of an ACL file allows or denies a client a topic, and what else matches.",
        discussion: """
            Every line whose filter matches is shown in the order in which lines are tested. `--access subscribe` takes a topic \
            filter and says whether a subscription could ever have a message.

            Example: headwater acl explain site.acl --user anna --client panel7 --topic plant/line1/speed --access write --qos 2

            Exit codes: 0 explained, whatever the decision; 1 the file can't be read; 64 the command line is wrong.
            """)

    @Argument(help: ArgumentHelp("The ACL file.", valueName: "file"))
    var file: String

    @Option(name: [.short, .long], help: "Username. Without it: a client without one.")
    var user: String?

    @Option(name: [.customShort("i"), .long], help: "Client identifier.")
    var client: String = ""

    @Option(name: [.short, .long], help: "Topic, or for --access subscribe a topic filter.")
    var topic: String

    @Option(help: "read, write or subscribe. Without it: read and write.")
    var access: Access?

    @Option(help: "The client's tenant.")
    var tenant: String = ""

    @Option(help: "QoS of the publish: 0, 1 or 2.")
    var qos: UInt8 = 0

    @Flag(help: "A retained publish, or a retained message to be sent.")
    var retain = false

    func validate() throws {
        guard QoS(rawValue: qos) != nil else { throw ValidationError("--qos is 0, 1 or 2") }
        do throws(TopicError) {
            if access == .subscribe { _ = try TopicFilter(topic) } else { _ = try TopicName(topic) }
        } catch {
            throw ValidationError("the topic \(error)\(error == .wildcardInName ? "; --access subscribe takes a filter" : "")")
        }
    }

    func run() async throws {
        let policy = ACLPolicy(try AclCommand.load(file))
        for line in lines(policy) { StandardStreams.print(line) }
    }

    func lines(_ policy: ACLPolicy) -> [String] {
        let subject = ACLClient(username: user, clientID: client, tenant: tenant)
        if access == .subscribe {
            // The part that topics are matched with; a share name is nobody's business here.
            let filter = (try? TopicFilter(topic))?.pattern ?? topic
            let granted = Array(filter.utf8).withUnsafeBytes { policy.maxReadQoS(policy.principal(subject), filter: $0) }
            return ["subscribe: " + (granted.map { "may have messages, at most QoS \($0)" } ?? "no topic below the filter may be read")]
        }
        let asked: [ACLAccess] = access.map { $0 == .read ? [.read] : [.write] } ?? ACLAccess.allCases
        return asked.flatMap { access in
            let explanation = policy.explain(subject, topic: topic, access: access, qos: QoS(rawValue: qos) ?? .atMostOnce, retain: retain)
            var lines = policy.lines(explanation)
            lines[0] = "\(access): \(lines[0])"
            return lines
        }
    }
}
