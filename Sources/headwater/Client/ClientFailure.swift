import ArgumentParser
import NIOPosix

/// Turns what ends `pub` and `sub` into one line on stderr and an exit code.
enum ClientFailure {
    static func reported(quiet: Bool, _ body: () async throws -> Void) async throws {
        func end(_ text: String, _ code: Int32) -> ExitCode {
            if !quiet { StandardStreams.complain(text) }
            return ExitCode(code)
        }
        do {
            try await body()
        } catch let exit as ExitCode {
            throw exit
        } catch let error as ValidationError {
            throw error
        } catch let fault as ClientFault {
            throw end(fault.description, fault.exitCode)
        } catch let error as NIOConnectionError {
            let reasons = error.connectionErrors.map { "\($0.target): \($0.error)" }
            let names = [error.dnsAError, error.dnsAAAAError].compactMap { $0.map { "\($0)" } }
            throw end("can't connect to \(error.host):\(error.port): \((reasons.isEmpty ? names : reasons).joined(separator: "; "))", 1)
        } catch {
            throw end("\(error)", 1)
        }
    }
}
