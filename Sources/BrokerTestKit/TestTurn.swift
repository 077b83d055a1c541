/// The right to run brokers in other processes while other tests of this process run their own, or while none does.
public struct TestTurn: Sendable {
    private let places: Int

    /// Waits until every `BrokerHarness` has stopped, and keeps new ones waiting: for tests that measure.
    public static func alone() async -> TestTurn { await take(TestPlaces.all) }

    /// Waits for one of the places that brokers share.
    public static func among() async -> TestTurn { await take(1) }

    private static func take(_ places: Int) async -> TestTurn {
        await TestPlaces.shared.take(places)
        return TestTurn(places: places)
    }

    /// Gives it back. To be called once.
    public func end() async { await TestPlaces.shared.give(places) }
}
