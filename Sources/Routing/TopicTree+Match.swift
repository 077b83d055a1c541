import MQTTModel

/// Matching: level by level, with the set of nodes that match so far.
///
/// A node is reached along one path only, so each is looked at once at most, whatever the filters are: `+/+/+/…`
/// costs as many steps as the tree has such nodes. No recursion: a topic of 65,535 slashes needs no deep stack. The
/// walk ends at the depth of the deepest filter that matches so far, not at the topic's.
extension TopicTree {
    /// Finds the subscribers of a topic name that has been checked. What `result` held is gone.
    package func match(_ topic: UnsafeRawBufferPointer, into result: inout MatchResult) {
        walk(topic, only: Self.none, into: &result)
    }

    /// Matches for one subscriber alone and without its subscriptions that have No Local: what it gets of a message of
    /// its own [MQTT-3.8.3-3] when `Match.noLocalSome` says that it is not all or nothing.
    ///
    /// - Parameter result: Where the identifiers of the match are; what it held is gone, so it is not the result that
    ///   is being delivered.
    /// - Returns: `nil` if nothing remains.
    package func matchWithoutNoLocal(
        _ topic: UnsafeRawBufferPointer, subscriber: UInt32, into result: inout MatchResult
    ) -> Match? {
        walk(topic, only: subscriber, into: &result)
        return result.matches.first
    }

    /// - Parameter only: The one subscriber of `matchWithoutNoLocal`, else `none`.
    private func walk(_ topic: UnsafeRawBufferPointer, only: UInt32, into result: inout MatchResult) {
        result.begin(subscriberLimit: subscriberLimit)
        guard count > 0 else { return }
        nodes.withUnsafeBufferPointer { nodes in
            subscribers.elements.withUnsafeBufferPointer { subscribers in
                result.frontier.append(Self.root)
                // [MQTT-4.7.2-1] a wildcard at the first level does not match topics that begin with $
                var wildcardsMatch = topic.first != UInt8(ascii: "$")
                for text in TopicLevels(topic) {
                    let level = levels.find(text)
                    result.nextFrontier.removeAll(keepingCapacity: true)
                    result.visitedNodes &+= result.frontier.count
                    for index in result.frontier.indices {
                        let number = result.frontier[index]
                        let node = nodes[Int(number)]
                        if node.literalChildren != 0, level != LevelTable.none {
                            let child = children.value(number, level)
                            if child != PairTable.none { result.nextFrontier.append(child) }
                        }
                        guard wildcardsMatch else { continue }
                        if node.plusChild != Self.none { result.nextFrontier.append(node.plusChild) }
                        if node.hashChild != Self.none { add(node.hashChild, nodes, subscribers, only, &result) }
                    }
                    swap(&result.frontier, &result.nextFrontier)
                    if result.frontier.isEmpty { return }
                    wildcardsMatch = true
                }
                result.visitedNodes &+= result.frontier.count
                for index in result.frontier.indices {
                    let number = result.frontier[index]
                    add(number, nodes, subscribers, only, &result)
                    // "sport/#" also matches "sport", its parent level (section 4.7.1.2)
                    if nodes[Int(number)].hashChild != Self.none {
                        add(nodes[Int(number)].hashChild, nodes, subscribers, only, &result)
                    }
                }
            }
        }
    }

    /// Adds the subscribers of a node.
    private func add(
        _ number: UInt32, _ nodes: UnsafeBufferPointer<Node>, _ subscribers: UnsafeBufferPointer<Subscriber>, _ only: UInt32,
        _ result: inout MatchResult
    ) {
        let node = nodes[Int(number)]
        if only == Self.none {
            var index = Int(node.subscribersStart)
            let end = index &+ Int(node.subscriberCount)
            while index < end {
                result.add(subscribers[index].slot, subscribers[index].options)
                index &+= 1
            }
        } else {
            let subscription = subscriptionsOfNodes.value(number, only)
            guard subscription != PairTable.none else { return }
            let options = options(of: subscription)
            if !options.noLocal { result.add(only, options) }
        }
    }
}
