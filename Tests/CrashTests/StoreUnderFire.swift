import Testing

/// All tests that run the real program and kill it, spoil its store or take its disk away. One after the other: each loads
/// the machine by itself, and none measures time.
@Suite(.serialized, .timeLimit(.minutes(600)))
enum StoreUnderFire {}
