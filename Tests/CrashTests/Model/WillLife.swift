/// One connection, with the will that its CONNECT said. Times are places in the history.
struct WillLife {
    let will: WillPromise?
    let client: String
    let start: Int
    /// CONNACK has come.
    var isAcknowledged = false
    var disconnecting: Int?
    var isDisconnectSure = true
    var ended: Int?
    var endedSeconds = 0.0
    /// The client's next CONNECT, answered or not.
    var successorConnecting: Int?
    /// The next CONNACK that the client got.
    var successorConnected: Int?
    var successorSeconds = 0.0
}

/// The connections of a history.
struct WillRegister {
    private(set) var all: [WillLife] = []
    /// The last connection of each client that was answered, and the CONNECT that waits for an answer.
    private var answered: [String: Int] = [:]
    private var waiting: [String: Int] = [:]
    /// The broker ends connections that can't be served any more: DISCONNECT may have come too late.
    private var hasFailingDisk = false

    mutating func take(_ entry: History.Entry, at place: Int) {
        switch entry.what {
        case .connecting(let client, _, _, let will):
            if let index = answered[client], all[index].successorConnecting == nil { all[index].successorConnecting = place }
            waiting[client] = all.count
            all.append(WillLife(will: will, client: client, start: place))
        case .connected(let client, _):
            if let index = answered[client] {
                all[index].successorConnected = place
                all[index].successorSeconds = entry.seconds
            }
            guard let index = waiting.removeValue(forKey: client) else { return }
            all[index].isAcknowledged = true
            answered[client] = index
        case .disconnecting(let client):
            if let index = answered[client], all[index].ended == nil {
                all[index].disconnecting = place
                all[index].isDisconnectSure = !hasFailingDisk
            }
        case .connectionEnded(let client):
            // The end of an attempt that was never answered says nothing about the connection before.
            if let index = answered[client], all[index].ended == nil, waiting[client] == nil {
                all[index].ended = place
                all[index].endedSeconds = entry.seconds
            }
        case .diskFails(true): hasFailingDisk = true
        case .restarted: hasFailingDisk = false
        default: break
        }
    }
}
