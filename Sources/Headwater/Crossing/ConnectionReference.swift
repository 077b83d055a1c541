/// Names a connection across event loops. The generation tells a reused slot from the one that was meant.
struct ConnectionReference: Hashable, Sendable {
    let loop: UInt16
    let slot: UInt32
    let generation: UInt32
}

/// Names a session across event loops. A session never leaves its loop, so the loop and slot stay good for its life.
struct SessionReference: Hashable, Sendable {
    let loop: UInt16
    let slot: UInt32
    let serial: UInt64
}
