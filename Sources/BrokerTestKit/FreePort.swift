/// Ports for brokers of tests: below 32,768, where the system takes none for outgoing connections, so that a port that is
/// free now is not taken by a client a moment later.
package enum FreePort {
    package static func random() -> Int { Int.random(in: 12_000...31_999) }
}
