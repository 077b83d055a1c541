import BrokerTestKit
import Foundation
import Testing

/// Runs the example program as its reader would: the built executable, its output and its exit code.
@Suite("The example program", .serialized)
struct EmbeddedBrokerTests {
    @Test("publishes, receives what it published, and ends by itself with exit code 0")
    func output() throws {
        var run = try ExampleProgram.run("EmbeddedBroker", port: FreePort.next())
        // A port that another program has taken meanwhile is no fault of the example's.
        for _ in 0..<10 where run.errors.contains("can't listen") {
            run = try ExampleProgram.run("EmbeddedBroker", port: FreePort.next())
        }
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(
            run.output == """
                clients may connect to 127.0.0.1:\(run.port)
                plant/4/temperature 20.5
                plant/4/temperature 21.0
                plant/4/temperature 21.5
                delivered 3 of 3

                """)
    }

    @Test("its documentation shows the program as it is")
    func documentation() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let program = try String(contentsOf: root.appending(path: "Examples/EmbeddedBroker/main.swift"), encoding: .utf8)
        let page = try String(contentsOf: root.appending(path: "docs/embedding.md"), encoding: .utf8)
        let code = try #require(program.range(of: "import Headwater")).lowerBound
        #expect(page.contains("```swift\n\(program[code...])```"))
        #expect(program.split(separator: "\n", omittingEmptySubsequences: false).count <= 40)
    }
}

/// An example program that has run to its end.
struct ExampleProgram {
    let port: Int
    let output: String
    let errors: String
    let exitCode: Int32

    /// Runs the executable that lies beside the test program, and kills it after a minute.
    static func run(_ name: String, port: Int) throws -> ExampleProgram {
        let products = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            .deletingLastPathComponent()
        let process = Process()
        process.executableURL = products.appending(path: name)
        process.arguments = ["\(port)"]
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let deadline = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + 60, execute: deadline)
        // Both are less than a pipe holds, so that reading one after the other blocks nobody.
        let outputText = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errorText = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        deadline.cancel()
        return ExampleProgram(port: port, output: outputText, errors: errorText, exitCode: process.terminationStatus)
    }
}
