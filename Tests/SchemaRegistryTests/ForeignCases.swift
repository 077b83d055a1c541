import Encodings
import Foundation

@testable import SchemaRegistry

/// What other people's libraries say, by scripts in Python that print one JSON object a line.
enum ForeignCases {
    static let areThere = (try? run(["-c", "import avro.io, jsonschema, google.protobuf; print(1)"])) != nil

    struct Failure: Error {}

    static func lines(_ script: String, _ arguments: String...) throws -> [JSONValue] {
        guard let path = Bundle.module.path(forResource: script, ofType: "py", inDirectory: "Scripts") else { throw Failure() }
        return try run([path] + arguments).split(separator: "\n").map { try JSONReader.read(String($0)) }
    }

    private static func run(_ arguments: [String]) throws -> String {
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        python.arguments = arguments
        // The C++ library of protobuf reports each payload that it refuses.
        python.standardError = FileHandle.nullDevice
        let output = Pipe()
        python.standardOutput = output
        try python.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        python.waitUntilExit()
        guard python.terminationStatus == 0 else { throw Failure() }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Array where Element == UInt8 {
    func check(_ body: (UnsafeRawBufferPointer) throws(SchemaFailure) -> Void) -> SchemaFailure? {
        withUnsafeBytes { bytes in
            do throws(SchemaFailure) {
                try body(bytes)
                return nil
            } catch { return error }
        }
    }
}

/// What a call throws; `nil` when it doesn't.
func failure(_ body: () throws(SchemaFailure) -> Void) -> SchemaFailure? {
    do throws(SchemaFailure) {
        try body()
        return nil
    } catch { return error }
}

func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONValue {
    let result = bytes.withUnsafeBytes { bytes in Result { () throws(JSONFault) in try JSONReader.read(bytes) } }
    return try result.get()
}

/// The same numbers each time, so that what fails once fails again.
struct Dice: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
