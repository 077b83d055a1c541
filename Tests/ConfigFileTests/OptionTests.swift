import Headwater
import KafkaBridge
import Testing

@testable import ConfigFile

/// The tables against the reader: no option is in one and not in the other.
@Suite struct OptionTests {
    /// A value that is not the default, as YAML and as the option's `get` gives it back.
    static func sample<Target>(_ option: ConfigurationOption<Target>, default target: Target) -> (yaml: String, value: OptionValue) {
        let current = option.get(target)
        func number(_ range: ClosedRange<Int>) -> OptionValue {
            current == .integer(range.lowerBound) ? .integer(range.lowerBound + 1) : .integer(range.lowerBound)
        }
        let value: OptionValue =
            switch option.type {
            case .boolean: current == .boolean(true) ? .boolean(false) : .boolean(true)
            case .integer(let range, _), .bytes(let range, _), .seconds(let range, _), .milliseconds(let range): number(range)
            case .choice(let allowed, _): .text(allowed.first { .text($0) != current } ?? "")
            case .text: .text(option.path.last == "address" ? "127.0.0.1:1999" : "sample")
            case .texts: .texts(["one", "t w o"])
            case .fields: .fields([OptionField(name: "one", value: "1"), OptionField(name: "t: wo", value: "a \"b\"\n")])
            }
        return (option.type.scalarText(value), value)
    }

    /// Each option alone, read through YAML into a default target.
    static func settable<Target>(_ table: [ConfigurationOption<Target>], into target: Target) throws {
        for option in table {
            let (text, value) = sample(option, default: target)
            var yaml = ""
            for (depth, key) in option.path.enumerated() {
                yaml += String(repeating: "  ", count: depth) + key + ":" + (depth == option.path.count - 1 ? " \(text)\n" : "\n")
            }
            var reader = ConfigurationReader(file: "h.yaml")
            var filled = target
            let root = try #require(try YAMLDocument.root(of: yaml, file: "h.yaml"))
            _ = reader.read(root, place: "", into: &filled, table: table)
            #expect(reader.diagnostics == [], "\(yaml)")
            #expect(option.get(filled) == value, "\(yaml)")
            #expect(option.get(filled) != option.get(target), "\(yaml) is the default, so it shows nothing")
        }
    }

    @Test("every option can be set in the file")
    func file() throws {
        try Self.settable(BrokerOptions.table, into: HeadwaterConfiguration(listeners: []))
        try Self.settable(ListenerOptions.table, into: ListenerEntry())
        try Self.settable(KafkaOptions.clusters, into: KafkaClusterEntry())
        try Self.settable(KafkaOptions.routes, into: KafkaRouteEntry())
        try Self.settable(KafkaInboundOptions.table, into: KafkaInboundEntry())
    }

    @Test("every scalar option can be set by its variable")
    func environment() throws {
        let defaults = try HeadwaterConfiguration.load(file: nil, environment: [:])
        for option in BrokerOptions.table where option.type.isScalar {
            let (yaml, value) = Self.sample(option, default: defaults)
            let text = if case .text(let text) = value { text } else { yaml }
            let configuration = try HeadwaterConfiguration.load(
                file: nil, environment: [EnvironmentOptions.variable(for: option.path): text])
            #expect(option.get(configuration) == value, "\(option.path)")
        }
    }

    @Test("every word for none at all is accepted where it is promised")
    func words() throws {
        for option in BrokerOptions.table {
            guard let word = option.type.word else { continue }
            #expect(try option.type.value(of: word, isQuoted: false) == .none, "\(option.path)")
            var configuration = HeadwaterConfiguration(listeners: [])
            option.set(&configuration, .none)
            #expect(option.get(configuration) == .none, "\(option.path)")
        }
    }

    @Test("the reference names every option, its default and its variable")
    func reference() {
        let text = OptionReference.text
        #expect(text.contains("sessions.max_queued_messages: 100000\n"))
        #expect(text.contains("HEADWATER_SESSIONS_MAX_QUEUED_MESSAGES"))
        for option in BrokerOptions.table {
            #expect(text.contains("\n\(option.path.joined(separator: ".")): ") || text.hasPrefix(option.path[0]))
        }
        for option in ListenerOptions.table { #expect(text.contains("listeners[].\(option.path.joined(separator: ".")): ")) }
        for option in KafkaOptions.clusters { #expect(text.contains("kafka.clusters.NAME.\(option.path.joined(separator: ".")): ")) }
        for option in KafkaOptions.routes { #expect(text.contains("kafka.routes[].\(option.path.joined(separator: ".")): ")) }
        for option in KafkaInboundOptions.table { #expect(text.contains("kafka.inbound[].\(option.path.joined(separator: ".")): ")) }
    }

    @Test(
        "sizes",
        arguments: [("0", 0), ("17", 17), ("1B", 1), ("2kB", 2_000), ("64KiB", 65_536), ("1MB", 1_000_000), ("1.5 GiB", 1_610_612_736)])
    func size(text: String, bytes: Int) throws {
        #expect(try Quantity.parseBytes(text) == bytes)
        #expect(try Quantity.parseBytes(Quantity.bytes(bytes)) == bytes)
    }

    @Test(
        "times",
        arguments: [
            ("0", 0), ("17", 17_000), ("500ms", 500), ("0.5s", 500), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000),
            ("1w", 604_800_000),
        ])
    func time(text: String, milliseconds: Int) throws {
        #expect(try Quantity.parseDuration(text, unitMilliseconds: 1) == milliseconds)
        #expect(try Quantity.parseDuration(Quantity.duration(milliseconds: milliseconds), unitMilliseconds: 1) == milliseconds)
    }

    @Test(
        "what is no quantity is refused",
        arguments: [
            "", "-1", "1.", ".5", "1.5", "1e3", "0x10", "1 0", "9223372036854775807KiB", "9999999999999999999", "１２", "1.0000001kB",
        ])
    func noSize(text: String) {
        #expect(throws: Quantity.Fault.self) { try Quantity.parseBytes(text) }
    }

    @Test(
        "addresses, there and back",
        arguments: ["127.0.0.1:1883", "[::1]:1883", "localhost:0", "unix:/run/headwater/mqtt.sock"])
    func address(text: String) throws {
        #expect(ListenerAddress.text(try #require(ListenerAddress.parse(text))) == text)
    }

    @Test("a suggestion is near, or there is none")
    func suggestion() {
        #expect(Suggestion.nearest(to: "levle", in: ["level", "format"]) == "level")
        #expect(Suggestion.nearest(to: "max-packet-size", in: ["max_packet_size"]) == "max_packet_size")
        #expect(Suggestion.nearest(to: "xyz", in: ["level", "format"]) == nil)
        #expect(Suggestion.distance(Array("kitten".utf8), Array("sitting".utf8)) == 3)
        #expect(Suggestion.distance([], Array("abc".utf8)) == 3)
    }
}
