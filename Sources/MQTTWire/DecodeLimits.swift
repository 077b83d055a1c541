/// What a decoder accepts beyond the specification's own bounds. Checked while the bytes are scanned, before memory is
/// taken: a peer's count or length never reserves anything.
@usableFromInline
package struct DecodeLimits: Hashable, Sendable {
    /// User properties in one property block; a will's are counted apart.
    @usableFromInline package var maxUserProperties: Int
    /// Filters in one SUBSCRIBE or UNSUBSCRIBE, codes in one SUBACK or UNSUBACK.
    @usableFromInline package var maxFiltersPerPacket: Int
    /// Bytes of a topic name or topic filter.
    @usableFromInline package var maxTopicBytes: Int
    /// Levels of a topic name or topic filter. `PublishFields.parse` leaves it to whoever checks the topic's text.
    @usableFromInline package var maxTopicLevels: Int
    @usableFromInline package var maxClientIDBytes: Int

    @inlinable
    package init(
        maxUserProperties: Int = 1_000, maxFiltersPerPacket: Int = 10_000, maxTopicBytes: Int = 65_535,
        maxTopicLevels: Int = 200, maxClientIDBytes: Int = 65_535
    ) {
        self.maxUserProperties = maxUserProperties
        self.maxFiltersPerPacket = maxFiltersPerPacket
        self.maxTopicBytes = maxTopicBytes
        self.maxTopicLevels = maxTopicLevels
        self.maxClientIDBytes = maxClientIDBytes
    }
}
