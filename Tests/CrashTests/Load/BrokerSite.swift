import BrokerTestKit
import Synchronization

/// Where the clients of a run find the broker, while there is one.
final class BrokerSite: Sendable {
    private enum State {
        case closed
        case open(ScriptedClient.Address)
        case over
    }

    private let state = Mutex(State.closed)

    func open(_ address: ScriptedClient.Address) { state.withLock { $0 = .open(address) } }
    func close() { state.withLock { $0 = .closed } }
    func end() { state.withLock { $0 = .over } }

    /// Waits for the broker. `nil`: the run is over.
    func whenOpen() async -> ScriptedClient.Address? {
        while true {
            switch state.withLock({ $0 }) {
            case .open(let address): return address
            case .over: return nil
            case .closed:
                if Task.isCancelled { return nil }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}
