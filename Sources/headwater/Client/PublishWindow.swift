import MQTTModel

/// The QoS 1 and 2 messages that `pub` has sent and the broker has not answered: at most as many as both sides allow.
actor PublishWindow {
    private let limit: Int
    private var inFlight: Set<UInt16> = []
    private var lastID: UInt16 = 0
    private var waiting: CheckedContinuation<Void, Never>?
    /// The first answer that was an error.
    private(set) var refusal: (code: ReasonCode, text: String?)?

    init(limit: Int) { self.limit = max(1, min(limit, 65_535)) }

    /// Waits for room.
    /// - Returns: A packet identifier that is in use from now on.
    func admit() async throws -> UInt16 {
        while inFlight.count >= limit { try await change() }
        repeat { lastID = lastID == .max ? 1 : lastID + 1 } while inFlight.contains(lastID)
        inFlight.insert(lastID)
        return lastID
    }

    /// PUBACK, PUBCOMP, or a PUBREC that says error.
    func answered(_ packetID: UInt16, _ code: ReasonCode, _ text: String?) {
        inFlight.remove(packetID)
        if code.isError, refusal == nil { refusal = (code, text) }
        waiting?.resume()
        waiting = nil
    }

    /// Waits until everything is answered.
    func drained() async throws {
        while !inFlight.isEmpty { try await change() }
    }

    /// One task waits at a time: the one that publishes.
    private func change() async throws {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { continuation.resume() } else { waiting = continuation }
            }
        } onCancel: {
            Task { await self.wake() }
        }
        try Task.checkCancellation()
    }

    private func wake() {
        waiting?.resume()
        waiting = nil
    }
}
