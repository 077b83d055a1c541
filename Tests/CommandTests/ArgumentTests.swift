import ArgumentParser
import MQTTModel
import MQTTWire
import Testing

@testable import headwater_cli

/// The command lines of Mosquitto's clients mean the same here.
@Suite struct ArgumentTests {
    static func pub(_ arguments: String...) throws -> PubCommand {
        try #require(try HeadwaterCommand.parseAsRoot(["pub"] + arguments) as? PubCommand)
    }

    static func sub(_ arguments: String...) throws -> SubCommand {
        try #require(try HeadwaterCommand.parseAsRoot(["sub"] + arguments) as? SubCommand)
    }

    @Test("options of mosquitto_pub")
    func pubOptions() throws {
        let command = try Self.pub(
            "-h", "broker", "-p", "1884", "-t", "a/b", "-m", "-5", "-q", "1", "-r", "-i", "me", "-u", "user", "-P", "-secret", "-k", "30",
            "-c",
            "-x", "3600", "-M", "5", "--repeat", "3", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
        #expect(command.message == "-5")
        #expect(command.retain)
        #expect(command.client.host == "broker")
        #expect(command.client.port == 1884)
        let connect = try command.client.connect(password: try command.client.readPassword())
        #expect(connect.protocolVersion == .v5)
        #expect(connect.clientID == "me")
        #expect(connect.password == Array("-secret".utf8))
        #expect(!connect.cleanStart)
        #expect(connect.sessionExpirySeconds == 3_600)
        #expect(connect.keepAliveSeconds == 30)
        #expect(connect.will == Connect.Will(topic: "w", payload: Array("gone".utf8), qos: .atLeastOnce, retain: true))
    }

    @Test("-h is the host and never the help, -V the version of MQTT")
    func shortNames() throws {
        #expect(try Self.sub("-h", "example", "-t", "#", "-V", "mqttv311").client.version.value == .v3_1_1)
        #expect(try Self.sub("-t", "#", "-V", "31").client.version.value == .v3_1)
    }

    @Test("options of mosquitto_sub")
    func subOptions() throws {
        let command = try Self.sub(
            "-t", "a/#", "-t", "+/b", "-T", "a/x", "-U", "old", "-C", "2", "-W", "1.5", "-v", "-R", "-E", "-N", "-F", "%t")
        #expect(command.topic == ["a/#", "+/b"])
        #expect(command.filterOut == ["a/x"])
        #expect(command.unsubscribe == ["old"])
        #expect(command.count == 2)
        #expect(command.timeout == 1.5)
    }

    @Test("-D names properties as Mosquitto does")
    func properties() throws {
        let command = try Self.pub(
            "-t", "a", "-n", "-D", "publish", "content-type", "text/plain", "-D", "publish", "user-property", "name", "value", "-D",
            "connect",
            "receive-maximum", "7", "-D", "publish", "message-expiry-interval", "60", "-D", "disconnect", "user-property", "why", "done")
        let properties = try command.client.properties()
        var publish = Publish(topic: "a", payload: [])
        properties.apply(to: &publish)
        #expect(publish.properties.contentType == "text/plain")
        #expect(publish.properties.userProperties == [UserProperty("name", "value")])
        #expect(publish.expirySeconds == 60)
        #expect(try command.client.connect(password: nil).receiveMaximum == 7)
        var disconnect = Disconnect()
        properties.apply(to: &disconnect)
        #expect(disconnect.userProperties == [UserProperty("why", "done")])
    }

    @Test(
        "a wrong command line is refused with its reason",
        arguments: [
            (["pub", "-t", "a/#", "-m", "x"], "-t: the topic holds a wildcard"),
            (["pub", "-t", "a"], "one of -m, -f, -n, -s and -l"),
            (["pub", "-t", "a", "-m", "x", "-n"], "one of -m, -f, -n, -s and -l"),
            (["pub", "-t", "a", "-n", "-q", "3"], "-q is 0, 1 or 2"),
            (["pub", "-t", "a", "-n", "-D", "publish", "receive-maximum", "1"], "-D publish: expected one of"),
            (["pub", "-t", "a", "-n", "-D", "publish", "topic-alias", "0"], "-D publish topic-alias is a number from 1 to 65535"),
            (["pub", "-t", "a", "-n", "-V", "311", "-D", "publish", "content-type", "x"], "-D needs MQTT 5"),
            (["pub", "-t", "a", "-n", "-c"], "name it with -i"),
            (["pub", "-t", "a", "-n", "--will-retain"], "--will-topic"),
            (["sub", "-t", "a/#/b"], "-t: the topic filter has a wildcard out of place"),
            (["sub"], "-t says what to subscribe to"),
            (["sub", "-t", "a", "-F", "%z"], "%z is not known"),
            (["run", "--http", "9883"], "--http \"9883\" has no host"),
            (["run", "--port", "70000"], "--port is a number"),
            (["health", "--path", "metrics"], "--path begins with /"),
            (["dev-kafka", "--brokers", "0"], "--brokers is a number"),
        ])
    func refused(arguments: [String], reason: String) throws {
        do {
            _ = try HeadwaterCommand.parseAsRoot(arguments)
            Issue.record("\(arguments) was accepted")
        } catch {
            #expect(HeadwaterCommand.fullMessage(for: error).contains(reason))
        }
    }

    @Test("no password is in what a wrong command line is answered with")
    func passwords() throws {
        for arguments in [
            ["pub", "-t", "a", "-P", "geheim", "-q", "9", "-n"], ["sub", "-t", "a", "-P", "geheim", "--password-file", "/x"],
        ] {
            do {
                _ = try HeadwaterCommand.parseAsRoot(arguments)
                Issue.record("\(arguments) was accepted")
            } catch {
                #expect(!HeadwaterCommand.fullMessage(for: error).contains("geheim"))
            }
        }
    }

    @Test("every subcommand's help teaches with an example")
    func help() {
        for command in HeadwaterCommand.configuration.subcommands {
            #expect(HeadwaterCommand.helpMessage(for: command).contains("Example"))
        }
    }

    @Test("placeholders of -F")
    func format() throws {
        var publish = Publish(topic: "a/b", payload: [0x68, 0x00, 0xFF], qos: .atLeastOnce, retain: true, packetID: 7)
        publish.properties.contentType = "text/plain"
        publish.properties.userProperties = [UserProperty("n", "v")]
        #expect(
            try MessageFormat("%t|%l|%q|%r|%m|%x|%C|%P|%%|\\t").bytes(of: publish) == Array("a/b|3|1|1|7|6800ff|text/plain|n:v|%|\t".utf8))
        #expect(try MessageFormat("%p").bytes(of: publish) == [0x68, 0x00, 0xFF])
        #expect(throws: MessageFormat.Fault.self) { try MessageFormat("%") }
    }

    @Test("NAME:PARTITIONS of dev-kafka")
    func topics() {
        #expect(TopicArgument(argument: "a:3")?.partitions == 3)
        #expect(TopicArgument(argument: "a")?.partitions == 4)
        for wrong in [":1", "a:0", "a:x", "a:1:2", ""] { #expect(TopicArgument(argument: wrong) == nil, "\(wrong)") }
    }
}
