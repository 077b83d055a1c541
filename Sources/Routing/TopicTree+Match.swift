import MQTTModel

/// Matching: level by level, with the set of nodes that match so far.
///
/// A node is reached along one path only, so each is looked at once at most, whatever the filters are: `+/+/+/…`
/// costs as many steps as the tree has such nodes. No recursion: a topic of 65,535 slashes needs no deep stack. The
/// walk ends at the depth of the deepest filter that matches so far, not at the topic's.
extension TopicTree {
    /// Finds the subscribers of a topic name that has been checked, beneath `root`. What `result` held is gone.
    package func match(_ topic: UnsafeRawBufferPointer, root: UInt32, into result: inout MatchResult) {
        walk(topic, from: root, only: Self.none, into: &result)
    }

    /// Matches for one subscriber alone and without its subscriptions that have No Local: what it gets of a message of
    /// its own [MQTT-3.8.3-3] when `Match.noLocalSome` says that it is not all or nothing.
    ///
    /// - Parameter result: Where the identifiers of the match are; what it held is gone, so it is not the result that
    ///   is being delivered.
    /// - Returns: `nil` if nothing remains.
    package func matchWithoutNoLocal(
        _ topic: UnsafeRawBufferPointer, root: UInt32, subscriber: UInt32, into result: inout MatchResult
    ) -> Match? {
        walk(topic, from: root, only: subscriber, into: &result)
        return result.matches.first
    }

    /// - Parameter only: The one subscriber of `matchWithoutNoLocal`, else `none`.
    private func walk(_ topic: UnsafeRawBufferPointer, from root: UInt32, only: UInt32, into result: inout MatchResult) {
        result.begin(subscriberLimit: subscriberLimit)
        guard count > 0 else { return }
        // Out of the result while the walk writes to it, so that both can be written at once.
        var queue: [UInt32] = []
        swap(&queue, &result.queue)
        if queue.isEmpty { queue.append(root) } else { queue[0] = root }
        nodes.withUnsafeBufferPointer { nodes in
            walk(topic, nodes, &queue, only, &result)
        }
        swap(&queue, &result.queue)
    }

    private func walk(
        _ topic: UnsafeRawBufferPointer, _ nodes: UnsafeBufferPointer<Node>, _ queue: inout [UInt32], _ only: UInt32,
        _ result: inout MatchResult
    ) {
        // The nodes of the queue from `start` to `end` match all levels read so far: at first, the root.
        var start = 0
        var end = 1
        // [MQTT-4.7.2-1] a wildcard at the first level does not match topics that begin with $
        var wildcardsMatch = topic.first != UInt8(ascii: "$")
        for text in TopicLevels(topic) {
            let level = levels.find(text)
            // Each node adds a literal and a + child at most.
            let room = end &+ 2 &* (end &- start)
            if queue.count < room { queue.append(contentsOf: repeatElement(Self.none, count: room)) }
            let levelEnd = end
            end = queue.withUnsafeMutableBufferPointer { queue in
                var end = levelEnd
                for index in start..<levelEnd {
                    let number = queue[index]
                    if nodes[Int(number)].literalChildren != 0, level != LevelTable.none {
                        let child = children.value(number, level)
                        if child != PairTable.none {
                            queue[end] = child
                            end &+= 1
                        }
                    }
                    guard wildcardsMatch else { continue }
                    let plusChild = nodes[Int(number)].plusChild
                    if plusChild != Self.none {
                        queue[end] = plusChild
                        end &+= 1
                    }
                    let hashChild = nodes[Int(number)].hashChild
                    if hashChild != Self.none { add(hashChild, nodes, only, &result) }
                }
                return end
            }
            start = levelEnd
            if start == end { break }
            wildcardsMatch = true
        }
        for index in start..<end {
            let number = queue[index]
            add(number, nodes, only, &result)
            // "sport/#" also matches "sport", its parent level (section 4.7.1.2)
            let hashChild = nodes[Int(number)].hashChild
            if hashChild != Self.none { add(hashChild, nodes, only, &result) }
        }
        result.visitedNodes = end
    }

    /// Adds the subscribers of a node.
    private func add(_ number: UInt32, _ nodes: UnsafeBufferPointer<Node>, _ only: UInt32, _ result: inout MatchResult) {
        let count = Int(nodes[Int(number)].subscriberCount)
        guard count != 0 else { return }
        if only == Self.none {
            let start = Int(nodes[Int(number)].subscribersStart)
            subscribers.elements.withUnsafeBufferPointer { elements in
                result.add(UnsafeBufferPointer(rebasing: elements[start..<(start &+ count)]))
            }
        } else {
            let subscription = subscriptionsOfNodes.value(number, only)
            guard subscription != PairTable.none else { return }
            let subscriber = subscribers[subscriberIndex(of: subscription)]
            guard !subscriber.options.noLocal else { return }
            withUnsafePointer(to: subscriber) { result.add(UnsafeBufferPointer(start: $0, count: 1)) }
        }
    }
}
