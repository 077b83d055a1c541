import MQTTModel

/// The subscriptions of one loop, arranged so that a topic finds them in a walk down its levels.
///
/// Owned by one loop. Flat arrays and numbers, no object per node: a node of 32 bytes knows its `+` and `#` child, and
/// finds its other children in one table for the whole tree, by (node, level). Subscribers are session slots; those of
/// a node lie one behind the other. Each subscription is found in O(levels), also among ten thousand of one filter.
///
/// Every question names a root: trees of tenants share the tables, and nothing that is asked of one root is answered from
/// beneath another.
package struct TopicTree {
    /// No node, no level, no subscription.
    static let none = UInt32.max
    /// What stands in `Node.level` for the wildcards, whose nodes hold no text.
    static let anyLevel = UInt32.max - 1
    static let allLevels = UInt32.max - 2
    /// The root that every tree has.
    package static let firstRoot: UInt32 = 0

    struct Node {
        /// `none` in a root; in a free node: the next free one.
        var parent: UInt32
        var level: UInt32
        var plusChild = TopicTree.none
        var hashChild = TopicTree.none
        /// Children other than `+` and `#`.
        var literalChildren: UInt32 = 0
        /// A block of `subscribers`; meaningful when `subscriberCount` is not 0.
        var subscribersStart: UInt32 = 0
        var subscriberCount: UInt32 = 0
        var blockPower: UInt8 = 0

        var isNeeded: Bool {
            subscriberCount != 0 || literalChildren != 0 || plusChild != TopicTree.none || hashChild != TopicTree.none
        }
    }

    struct Subscriber {
        var slot: UInt32
        var subscription: UInt32
        var options: SubscriptionOptions
    }

    private struct Subscription {
        /// `none` in a free entry.
        var node: UInt32
        /// Index among the node's subscribers; in a free entry, the next free one.
        var position: UInt32
    }

    /// Changes whenever the result of a match could change. Never 0.
    package private(set) var generation: UInt64 = 1
    /// The generation that the last change beneath each root began; 1 before the first.
    private var lastChanges: [UInt32: UInt64] = [:]
    /// The generation of the last `forgetMatches`; 1 before the first.
    private var everythingChanged: UInt64 = 1
    /// Number of subscriptions.
    package private(set) var count = 0
    /// Number of nodes, roots included.
    package private(set) var nodeCount = 1

    private(set) var nodes = [Node(parent: none, level: none)]
    private var firstFreeNode = none
    private(set) var levels = LevelTable()
    private(set) var children = PairTable()
    private(set) var subscribers = BlockPool(
        filler: Subscriber(slot: none, subscription: none, options: SubscriptionOptions(qos: .atMostOnce)))
    private var subscriptions: [Subscription] = []
    private var firstFreeSubscription = none
    /// (node, session slot) -> subscription.
    private(set) var subscriptionsOfNodes = PairTable()
    /// One more than the highest session slot seen.
    private(set) var subscriberLimit = 0

    package init() {}

    /// The subscriptions are the same, but what the caller has made of their matches is void.
    package mutating func forgetMatches() {
        generation &+= 1
        everythingChanged = generation
    }

    /// One more tree in the same tables, for good: a root costs a node of 32 bytes.
    package mutating func makeRoot() -> UInt32 { addNode(Node(parent: Self.none, level: Self.none)) }

    // MARK: - SUBSCRIBE and UNSUBSCRIBE

    /// Adds a subscription, or replaces the options of the one that this subscriber has with this filter
    /// [MQTT-3.8.4-3].
    ///
    /// - Parameters:
    ///   - pattern: A checked topic filter without `$share/NAME/`.
    ///   - root: `firstRoot`, or one that `makeRoot` has made; the same holds for every other question.
    ///   - subscriber: A session slot. Memory grows with the highest one: slots are numbers from 0 that are used again.
    /// - Returns: The number of the subscription, valid until it is removed, and whether it existed.
    @discardableResult
    package mutating func insert(
        _ pattern: UnsafeRawBufferPointer, root: UInt32, subscriber: UInt32, options: SubscriptionOptions
    ) -> (subscription: UInt32, existed: Bool) {
        let node = makeNode(pattern, root)
        let known = subscriptionsOfNodes.value(node, subscriber)
        if known != Self.none {
            let index = subscriberIndex(of: known)
            if subscribers[index].options != options {
                subscribers[index].options = options
                noteChange(beneath: root)
            }
            return (known, true)
        }
        let subscription = makeSubscription(node: node, position: nodes[Int(node)].subscriberCount)
        append(Subscriber(slot: subscriber, subscription: subscription, options: options), to: node)
        subscriptionsOfNodes.add(node, subscriber, value: subscription)
        subscriberLimit = max(subscriberLimit, Int(subscriber) + 1)
        count += 1
        noteChange(beneath: root)
        return (subscription, false)
    }

    /// Removes the subscription of a subscriber. `false` says that there was none.
    @discardableResult
    package mutating func remove(_ pattern: UnsafeRawBufferPointer, root: UInt32, subscriber: UInt32) -> Bool {
        guard let subscription = find(pattern, root: root, subscriber: subscriber) else { return false }
        remove(subscription: subscription)
        return true
    }

    /// Removes a subscription that exists.
    package mutating func remove(subscription: UInt32) {
        let node = subscriptions[Int(subscription)].node
        precondition(node != Self.none, "removed a subscription that does not exist")
        let index = subscriberIndex(of: subscription)
        subscriptionsOfNodes.remove(node, subscribers[index].slot)
        // The last subscriber of the node takes the place of the one that leaves.
        let last = Int(nodes[Int(node)].subscribersStart + nodes[Int(node)].subscriberCount) - 1
        if index != last {
            let moved = subscribers[last]
            subscribers[index] = moved
            subscriptions[Int(moved.subscription)].position = subscriptions[Int(subscription)].position
        }
        subscriptions[Int(subscription)] = Subscription(node: Self.none, position: firstFreeSubscription)
        firstFreeSubscription = subscription
        dropLastSubscriber(of: node)
        noteChange(beneath: root(of: node))
        prune(node)
        count -= 1
    }

    private mutating func noteChange(beneath root: UInt32) {
        generation &+= 1
        lastChanges[root] = generation
    }

    // MARK: - Questions

    /// The generation since which matches beneath a root give the same: what comes and goes beneath others changes nothing.
    package func lastChange(beneath root: UInt32) -> UInt64 { max(lastChanges[root] ?? 1, everythingChanged) }

    /// The subscription of a subscriber with a filter.
    package func find(_ pattern: UnsafeRawBufferPointer, root: UInt32, subscriber: UInt32) -> UInt32? {
        let node = findNode(pattern, root)
        guard node != Self.none else { return nil }
        let subscription = subscriptionsOfNodes.value(node, subscriber)
        return subscription == Self.none ? nil : subscription
    }

    /// The options of a subscription that exists.
    package func options(of subscription: UInt32) -> SubscriptionOptions {
        subscribers[subscriberIndex(of: subscription)].options
    }

    /// The session slot of a subscription that exists.
    package func subscriber(of subscription: UInt32) -> UInt32 {
        subscribers[subscriberIndex(of: subscription)].slot
    }

    /// The filter of a subscription that exists, without `$share/NAME/`. Not for the path of a message.
    package func pattern(of subscription: UInt32) -> String {
        var path: [UInt32] = []
        var node = subscriptions[Int(subscription)].node
        precondition(node != Self.none, "asked for a subscription that does not exist")
        while nodes[Int(node)].parent != Self.none {
            path.append(nodes[Int(node)].level)
            node = nodes[Int(node)].parent
        }
        var text: [UInt8] = []
        for level in path.reversed() {
            switch level {
            case Self.anyLevel: text.append(UInt8(ascii: "+"))
            case Self.allLevels: text.append(UInt8(ascii: "#"))
            default: levels.withBytes(of: level) { text.append(contentsOf: $0) }
            }
            text.append(UInt8(ascii: "/"))
        }
        return String(decoding: text.dropLast(), as: UTF8.self)
    }

    func subscriberIndex(of subscription: UInt32) -> Int {
        let entry = subscriptions[Int(subscription)]
        precondition(entry.node != Self.none, "asked for a subscription that does not exist")
        return Int(nodes[Int(entry.node)].subscribersStart + entry.position)
    }

    // MARK: - Nodes

    private func root(of start: UInt32) -> UInt32 {
        var node = start
        while nodes[Int(node)].parent != Self.none { node = nodes[Int(node)].parent }
        return node
    }

    private func findNode(_ pattern: UnsafeRawBufferPointer, _ root: UInt32) -> UInt32 {
        var node = root
        for text in TopicLevels(pattern) {
            if text.isOnly("+") {
                node = nodes[Int(node)].plusChild
            } else if text.isOnly("#") {
                node = nodes[Int(node)].hashChild
            } else {
                let level = levels.find(text)
                node = level == LevelTable.none ? Self.none : children.value(node, level)
            }
            if node == Self.none { return Self.none }
        }
        return node
    }

    private mutating func makeNode(_ pattern: UnsafeRawBufferPointer, _ root: UInt32) -> UInt32 {
        var node = root
        for text in TopicLevels(pattern) {
            if text.isOnly("+") {
                var child = nodes[Int(node)].plusChild
                if child == Self.none {
                    child = addNode(Node(parent: node, level: Self.anyLevel))
                    nodes[Int(node)].plusChild = child
                }
                node = child
            } else if text.isOnly("#") {
                var child = nodes[Int(node)].hashChild
                if child == Self.none {
                    child = addNode(Node(parent: node, level: Self.allLevels))
                    nodes[Int(node)].hashChild = child
                }
                node = child
            } else {
                let known = levels.find(text)
                var child = known == LevelTable.none ? Self.none : children.value(node, known)
                if child == Self.none {
                    let level = levels.retain(text)
                    child = addNode(Node(parent: node, level: level))
                    children.add(node, level, value: child)
                    nodes[Int(node)].literalChildren += 1
                }
                node = child
            }
        }
        return node
    }

    private mutating func addNode(_ node: Node) -> UInt32 {
        nodeCount += 1
        guard firstFreeNode != Self.none else {
            nodes.append(node)
            return UInt32(nodes.count - 1)
        }
        let number = firstFreeNode
        firstFreeNode = nodes[Int(number)].parent
        nodes[Int(number)] = node
        return number
    }

    /// Removes `node` and its ancestors as far as nothing needs them; roots stay.
    private mutating func prune(_ start: UInt32) {
        var number = start
        while nodes[Int(number)].parent != Self.none, !nodes[Int(number)].isNeeded {
            let node = nodes[Int(number)]
            switch node.level {
            case Self.anyLevel: nodes[Int(node.parent)].plusChild = Self.none
            case Self.allLevels: nodes[Int(node.parent)].hashChild = Self.none
            default:
                children.remove(node.parent, node.level)
                levels.release(node.level)
                nodes[Int(node.parent)].literalChildren -= 1
            }
            nodes[Int(number)].parent = firstFreeNode
            firstFreeNode = number
            nodeCount -= 1
            number = node.parent
        }
    }

    // MARK: - Subscribers of a node

    private mutating func makeSubscription(node: UInt32, position: UInt32) -> UInt32 {
        let entry = Subscription(node: node, position: position)
        guard firstFreeSubscription != Self.none else {
            subscriptions.append(entry)
            return UInt32(subscriptions.count - 1)
        }
        let number = firstFreeSubscription
        firstFreeSubscription = subscriptions[Int(number)].position
        subscriptions[Int(number)] = entry
        return number
    }

    private mutating func append(_ subscriber: Subscriber, to number: UInt32) {
        var node = nodes[Int(number)]
        if node.subscriberCount == 0 {
            node.blockPower = 0
            node.subscribersStart = subscribers.allocate(power: 0)
        } else if node.subscriberCount == 1 << UInt32(node.blockPower) {
            node.subscribersStart = subscribers.move(
                node.subscribersStart, power: node.blockPower, count: Int(node.subscriberCount), toPower: node.blockPower + 1)
            node.blockPower += 1
        }
        subscribers[Int(node.subscribersStart + node.subscriberCount)] = subscriber
        node.subscriberCount += 1
        nodes[Int(number)] = node
    }

    /// Gives back memory at a quarter of the block, not at half: who comes and goes at the border must not copy it.
    private mutating func dropLastSubscriber(of number: UInt32) {
        var node = nodes[Int(number)]
        node.subscriberCount -= 1
        if node.subscriberCount == 0 {
            subscribers.free(node.subscribersStart, power: node.blockPower)
        } else if node.blockPower >= 2, node.subscriberCount <= 1 << UInt32(node.blockPower - 2) {
            node.subscribersStart = subscribers.move(
                node.subscribersStart, power: node.blockPower, count: Int(node.subscriberCount), toPower: node.blockPower - 1)
            node.blockPower -= 1
        }
        nodes[Int(number)] = node
    }
}
