import ConfigFile
import Foundation
import Logging
import Synchronization
import Testing

@testable import headwater_cli

@Suite struct LogLineTests {
    static let time = timespec(tv_sec: 1_769_860_800, tv_nsec: 5_999_999)

    static func line(_ message: String, _ metadata: [(String, String)] = []) -> LogLine {
        LogLine(time: time, level: .info, label: "headwater", message: message, metadata: metadata.map { (name: $0.0, value: $0.1) })
    }

    @Test("a text line has time, level, logger, message and values")
    func text() {
        let line = Self.line("a client connected", [("client", "sensor-17"), ("note", "two words"), ("empty", "")])
        #expect(
            line.text == "2026-01-31T12:00:00.005Z info     headwater: a client connected client=sensor-17 note=\"two words\" empty=\"\"\n")
    }

    @Test("a JSON line is one object that a parser reads back")
    func json() throws {
        let line = Self.line("said \"hi\"\\", [("client", "a\nb\u{1B}[2J")]).json
        #expect(line.hasSuffix("}\n"))
        #expect(line.dropLast().allSatisfy { !$0.isNewline })
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message"] as? String == "said \"hi\"\\")
        #expect((object["metadata"] as? [String: String]) == ["client": "a\nb\u{1B}[2J"])
        #expect(object["time"] as? String == "2026-01-31T12:00:00.005Z")
    }

    @Test(
        "no text of a peer's makes a second line, moves the cursor or reverses the reading direction",
        arguments: [
            "\n", "\r\n", "\r", "\u{0}", "\u{1B}[2J", "\u{7F}", "\u{85}", "\u{9B}31m", "\u{2028}", "\u{2029}", "\u{202E}", "\u{2066}",
            "\u{FEFF}",
        ])
    func forging(hostile: String) {
        let forged = "x\(hostile)2026-01-31T12:00:00.000Z info headwater: forged"
        for line in [Self.line(forged), Self.line("m", [("client", forged)]), Self.line("m", [(forged, "x")])] {
            for text in [line.text, line.json] {
                #expect(text.hasSuffix("\n"))
                #expect(text.unicodeScalars.dropLast().allSatisfy { $0.value >= 0x20 && !($0.value >= 0x7F && $0.value <= 0x9F) })
                for scalar in hostile.unicodeScalars where scalar != "[" && scalar.value > 0x7E || scalar.value < 0x20 {
                    #expect(!text.unicodeScalars.dropLast().contains(scalar))
                }
            }
        }
    }

    @Test("a value can't pretend to be the next field")
    func fields() {
        #expect(Self.line("m", [("a", "1 b=2")]).text.hasSuffix("m a=\"1 b=2\"\n"))
        #expect(Self.line("m", [("a", "\" b=\"")]).text.hasSuffix("m a=\"\\\" b=\\\"\"\n"))
    }

    @Test("the handler joins the logger's values with the event's, which win")
    func handler() {
        var configuration = LogConfiguration()
        configuration.level = .debug
        var handler = LineLogHandler(label: "t", configuration: configuration)
        let lines = Lines()
        handler.write = { lines.append($0) }
        var logger = Logger(label: "t") { _ in handler }
        logger[metadataKey: "a"] = "1"
        logger[metadataKey: "b"] = "1"
        logger.debug("shown", metadata: ["b": "2"])
        logger.trace("not shown")
        #expect(lines.all.count == 1)
        #expect(lines.all.first?.hasSuffix(" debug    t: shown a=1 b=2\n") == true)
    }
}

final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func append(_ line: String) { lines.withLock { $0.append(line) } }
}
