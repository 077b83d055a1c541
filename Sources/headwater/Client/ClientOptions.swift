import ArgumentParser
import MQTTModel
import MQTTWire

/// Options that `pub` and `sub` share, named as those of mosquitto_pub and mosquitto_sub.
struct ClientOptions: ParsableArguments {
    @Option(name: [.short, .customLong("host")], help: "Host name or address of the broker.")
    var host = "localhost"

    @Option(name: [.short, .customLong("port")], help: "Port of the broker.")
    var port = 1883

    @Option(help: ArgumentHelp("Connect to this Unix socket instead.", valueName: "path"))
    var unix: String?

    @Option(
        name: [.customShort("i"), .customLong("id")], parsing: .unconditional,
        help: "Client identifier. Without it the broker (MQTT 5) or the process id makes one.")
    var clientID: String?

    @Option(name: [.short, .customLong("username")], parsing: .unconditional, help: "User name.")
    var username: String?

    @Option(
        name: [.customShort("P"), .customLong("pw")], parsing: .unconditional,
        help: "Password. Other users of this machine can see it in the process list; --password-file hides it.")
    var password: String?

    @Option(help: ArgumentHelp("Read the password from the first line of this file.", valueName: "path"))
    var passwordFile: String?

    @Option(name: [.short, .customLong("keepalive")], help: "Keep alive in seconds, 0 for none.")
    var keepAlive = 60

    @Option(name: [.customShort("V"), .customLong("protocol-version")], help: "mqttv5, mqttv311 or mqttv31.")
    var version = ProtocolVersionArgument.v5

    @Flag(
        name: [.customShort("c"), .customLong("disable-clean-session")],
        help: "Keep the session on the broker (needs -i); it never expires unless -x says so.")
    var keepsSession = false

    @Option(
        name: [.customShort("x"), .customLong("session-expiry-interval")], parsing: .unconditional,
        help: "MQTT 5: seconds until the session ends after the connection; -1 for never.")
    var sessionExpiry: Int?

    @Option(name: .shortAndLong, help: "QoS 0, 1 or 2.")
    var qos = 0

    @Flag(name: .shortAndLong, help: "Say on stderr which packets are sent and received.")
    var debug = false

    @Flag(help: "Print no error messages.")
    var quiet = false

    @Option(
        name: [.customShort("D"), .customLong("property")], parsing: .upToNextOption,
        help: ArgumentHelp(
            "MQTT 5 property, as in -D publish content-type text/plain or -D connect user-property NAME VALUE.",
            valueName: "command name value"))
    var property: [String] = []

    @Option(parsing: .unconditional, help: ArgumentHelp("Topic of the will.", valueName: "topic"))
    var willTopic: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Payload of the will.", valueName: "text"))
    var willPayload: String?

    @Option(help: "QoS of the will.")
    var willQos = 0

    @Flag(help: "The will is retained.")
    var willRetain = false

    func validate() throws {
        if !(1...65_535).contains(port) { throw ValidationError("-p is a number from 1 to 65535") }
        if !(0...65_535).contains(keepAlive) { throw ValidationError("-k is a number from 0 to 65535") }
        if QoS(argument: qos) == nil { throw ValidationError("-q is 0, 1 or 2") }
        if QoS(argument: willQos) == nil { throw ValidationError("--will-qos is 0, 1 or 2") }
        if password != nil, passwordFile != nil { throw ValidationError("-P or --password-file, not both") }
        if keepsSession, clientID == nil { throw ValidationError("-c keeps a session for a client identifier; name it with -i") }
        if let sessionExpiry, !(-1...Int(UInt32.max)).contains(sessionExpiry) { throw ValidationError("-x is a number of seconds, or -1") }
        if sessionExpiry != nil, version != .v5 { throw ValidationError("-x needs MQTT 5") }
        if !property.isEmpty, version != .v5 { throw ValidationError("-D needs MQTT 5") }
        if willTopic == nil, willPayload != nil || willQos != 0 || willRetain { throw ValidationError("a will needs --will-topic") }
        if let willTopic { try TopicArgumentCheck.name(willTopic, option: "--will-topic") }
        _ = try properties()
    }

    func properties() throws -> PropertyArguments {
        do {
            return try PropertyArguments(property)
        } catch {
            throw ValidationError(error.description)
        }
    }

    /// The CONNECT that these options ask for.
    func connect(password: [UInt8]?) throws -> Connect {
        let properties = try properties()
        // MQTT 3 brokers may refuse an empty identifier, and 3.1 always does.
        var connect = Connect(
            protocolVersion: version.value, clientID: clientID ?? (version == .v5 ? "" : "headwater-\(ProcessIdentity.number)"))
        connect.cleanStart = !keepsSession
        connect.keepAliveSeconds = UInt16(keepAlive)
        connect.username = username
        connect.password = password
        if version == .v5 {
            if let sessionExpiry {
                connect.sessionExpirySeconds = sessionExpiry < 0 ? .max : UInt32(sessionExpiry)
            } else if keepsSession {
                connect.sessionExpirySeconds = .max
            }
        }
        if let willTopic {
            connect.will = Connect.Will(
                topic: willTopic, payload: Array((willPayload ?? "").utf8), qos: QoS(argument: willQos) ?? .atMostOnce, retain: willRetain)
        }
        properties.apply(to: &connect)
        return connect
    }

    /// The password, from wherever it is.
    /// - Throws: `ValidationError` without a word of the password.
    func readPassword() throws -> [UInt8]? {
        guard let passwordFile else { return password.map { Array($0.utf8) } }
        guard let bytes = InputFile.read(passwordFile, maxBytes: 65_536) else {
            throw ValidationError("--password-file \(passwordFile) can't be read")
        }
        return Array(bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
    }
}

enum ProtocolVersionArgument: String, ExpressibleByArgument, CaseIterable {
    case v5 = "mqttv5"
    case v311 = "mqttv311"
    case v31 = "mqttv31"

    init?(argument: String) {
        switch argument {
        case "5", "mqttv5": self = .v5
        case "311", "mqttv311": self = .v311
        case "31", "mqttv31": self = .v31
        default: return nil
        }
    }

    var value: ProtocolVersion {
        switch self {
        case .v5: .v5
        case .v311: .v3_1_1
        case .v31: .v3_1
        }
    }
}

extension QoS {
    init?(argument: Int) {
        guard let byte = UInt8(exactly: argument) else { return nil }
        self.init(rawValue: byte)
    }
}

/// Topics from the command line, refused before anything is sent.
enum TopicArgumentCheck {
    static func name(_ text: String, option: String) throws {
        do { _ = try TopicName(text) } catch { throw ValidationError("\(option): the topic \(error)") }
    }

    static func filter(_ text: String, option: String) throws {
        do { _ = try TopicFilter(text) } catch { throw ValidationError("\(option): the topic filter \(error)") }
    }
}
