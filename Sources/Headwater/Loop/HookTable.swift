import MQTTModel
import PluginAPI

/// The plugins' hooks of one loop, sorted by what they want: a hook that nobody wants costs one look at an empty array.
struct HookTable {
    let connect: [any LoopHooks]
    let connected: [any LoopHooks]
    let disconnected: [any LoopHooks]
    let authorizePublish: [any LoopHooks]
    let authorizeSubscribe: [any LoopHooks]
    let authorizeDelivery: [any LoopHooks]
    let subscribed: [any LoopHooks]
    let unsubscribed: [any LoopHooks]
    let delivered: [any LoopHooks]
    /// At most 63, for the last bit is the store's; the bit of a route's mask is the index here.
    let publish: [any LoopHooks]
    /// Bits of those that store entries.
    let storing: UInt64
    private let publishFilters: [[TopicFilter]]

    init(_ hooks: [any LoopHooks]) {
        func those(_ interest: HookInterests) -> [any LoopHooks] { hooks.filter { $0.interests.contains(interest) } }
        connect = those(.connect)
        connected = those(.connected)
        disconnected = those(.disconnected)
        authorizePublish = those(.authorizePublish)
        authorizeSubscribe = those(.authorizeSubscribe)
        authorizeDelivery = those(.authorizeDelivery)
        subscribed = those(.subscribed)
        unsubscribed = those(.unsubscribed)
        delivered = those(.delivered)
        publish = Array(those(.publish).prefix(63))
        publishFilters = publish.map(\.publishFilters)
        storing = publish.enumerated().reduce(0) { $1.element.storesEntries ? $0 | 1 << UInt64($1.offset) : $0 }
    }

    /// Which of `publish` want this topic, one bit each.
    func publishMask(for topic: UnsafeRawBufferPointer) -> UInt64 {
        guard !publish.isEmpty else { return 0 }
        let text = String(decoding: topic, as: UTF8.self)
        var mask: UInt64 = 0
        for (index, filters) in publishFilters.enumerated()
        where filters.isEmpty || filters.contains(where: { $0.matches(text) }) {
            mask |= 1 << UInt64(index)
        }
        return mask
    }
}
