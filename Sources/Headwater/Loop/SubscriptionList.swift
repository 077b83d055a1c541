/// The subscriptions of one session, as indices in the loop's topic tree.
///
/// Most sessions have a few: an array, and a search through it. From `searchLimit` on a dictionary knows the places, so
/// that a client can't keep its loop busy by taking back a hundred thousand in the worst order.
struct SubscriptionList {
    private static let searchLimit = 64

    private(set) var all: [UInt32] = []
    /// Places in `all`; `nil` while the list is short.
    private var places: [UInt32: Int]?

    var count: Int { all.count }

    mutating func append(_ subscription: UInt32) {
        places?[subscription] = all.count
        all.append(subscription)
        if places == nil, all.count > Self.searchLimit {
            places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($0.element, $0.offset) })
        }
    }

    /// The last one takes its place.
    mutating func remove(_ subscription: UInt32) {
        let place = places.map { $0[subscription] } ?? all.firstIndex(of: subscription)
        guard let place, let last = all.popLast() else { return }
        places?[subscription] = nil
        guard place < all.count else { return }
        all[place] = last
        places?[last] = place
    }

    mutating func removeAll() {
        all = []
        places = nil
    }
}
