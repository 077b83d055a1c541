/// The right to be the only one that runs brokers in this test process, for tests that measure another process.
public struct TestTurn: Sendable {
    private init() {}

    /// Waits until every `BrokerHarness` has stopped, and keeps new ones waiting.
    public static func alone() async -> TestTurn {
        await TestPlaces.shared.take(TestPlaces.all)
        return TestTurn()
    }

    /// Lets the others run again. To be called once.
    public func end() async { await TestPlaces.shared.give(TestPlaces.all) }
}
