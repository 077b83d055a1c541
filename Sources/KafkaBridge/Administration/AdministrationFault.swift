import Encodings
import PluginAPI

/// Why the bridge does not do what an operator asks. Wrong is the operator, but for the store's errors.
enum AdministrationFault: Error {
    case notFound
    case wrongMethod(PluginRequest.Method)
    case unknownRoute(String)
    case noOutbox(String)
    case noDeadLetter(UInt64)
    case badRequest(String)
    case tooManyWatchers
    case store(PluginStoreError)

    var response: PluginResponse {
        let (status, text): (Int, String) =
            switch self {
            case .notFound: (404, "there is nothing under this path (docs/bridge-operations.md)")
            case .wrongMethod(let method): (405, "this path takes \(method.rawValue)")
            case .unknownRoute(let name): (404, "there is no route \(LogLimit.quoted(name)); /plugins/kafka lists them")
            case .noOutbox(let name):
                (409, "route \(LogLimit.quoted(name)) has no outbox: it can't be paused and keeps no dead letters (give the broker a store)")
            case .noDeadLetter(let sequence): (404, "there is no dead letter \(sequence), or it can't be read")
            case .badRequest(let text): (400, text)
            case .tooManyWatchers: (429, "\(RouteTap.maxWatchers) dry-runs watch this route already")
            case .store(let error): (503, "the store can't be read now: \(error)")
            }
        return PluginResponse(status: status, body: JSONWriter.text(["error": .string(text)]) + "\n")
    }
}
