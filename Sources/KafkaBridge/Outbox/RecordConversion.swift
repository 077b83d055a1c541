/// Turns a payload into a record's value as the route's schema has it. Called on a shipping thread; may wait, within bounds, for the
/// schema registry.
protocol RecordConversion: AnyObject, Sendable {
    func convert(_ payload: UnsafeRawBufferPointer, topic: String) -> ConvertedPayload
}

enum ConvertedPayload {
    case converted([UInt8])
    /// The payload is to blame: it goes to the dead letters.
    case unfit(String, schema: String?)
    /// The registry does not answer, and nothing is known from before.
    case later(String)
}
