import ArgumentParser
import ConfigFile

/// `headwater health`: asks a running broker, for containers and scripts that have no curl.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health",
        abstract: "Ask a running broker's HTTP whether it is well.",
        discussion: """
            Example: headwater health --address 127.0.0.1:9883 --path /readyz

            Exit codes: 0 the answer was 200; 1 it was not, or there was none.
            """)

    @Option(help: "HOST:PORT or unix:/PATH of the broker's HTTP.")
    var address = "127.0.0.1:9883"

    @Option(help: "/healthz, /readyz, /metrics or /status.")
    var path = "/healthz"

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "seconds"))
    var timeout = 5

    func validate() throws {
        if let fault = ListenerAddress.fault(in: address) { throw ValidationError("--address \(fault)") }
        if !path.hasPrefix("/") || path.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw ValidationError("--path begins with / and has no blanks")
        }
        if !(1...3_600).contains(timeout) { throw ValidationError("--timeout is a number from 1 to 3600") }
    }

    func run() async throws {
        guard let place = ListenerAddress.parse(address) else { throw ExitCode(64) }  // validate() has read it
        let answer: AdminExchange.Answer
        do throws(AdminExchange.Fault) {
            answer = try await AdminExchange(address: place, timeoutSeconds: timeout).get(path)
        } catch {
            StandardStreams.complain("no answer from \(address): \(error)")
            throw ExitCode(1)
        }
        _ = StandardStreams.write(answer.body)
        guard answer.status == 200 else {
            StandardStreams.complain("\(address)\(path) answered \(answer.status)")
            throw ExitCode(1)
        }
    }
}
