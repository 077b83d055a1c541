import MQTTModel

/// One subscriber that gets a message, its overlapping subscriptions merged: a client gets one copy, at the highest
/// QoS of those that match [MQTT-3.3.4-2], with all their identifiers [MQTT-3.3.4-4]. 16 bytes.
package struct Match: Equatable, Sendable {
    /// Session slot.
    package let subscriber: UInt32
    /// Where its Subscription Identifiers start in `MatchResult.identifiers`, and how many there are.
    package fileprivate(set) var identifiersStart: UInt32 = 0
    package fileprivate(set) var identifierCount: UInt32 = 0
    /// The highest of the matching subscriptions.
    package fileprivate(set) var qos: QoS
    /// Whether any of them has Retain As Published.
    package fileprivate(set) var retainAsPublished: Bool
    /// Whether any of them has No Local, and whether any has not.
    fileprivate var someNoLocal: Bool
    fileprivate var someLocal: Bool

    /// Every matching subscription has No Local: the subscriber does not get a message of its own.
    package var noLocalAll: Bool { someNoLocal && !someLocal }
    /// Some have No Local and some have not: for a message of the subscriber's own, ask
    /// `TopicTree.matchWithoutNoLocal` which QoS and identifiers remain.
    package var noLocalSome: Bool { someNoLocal && someLocal }

    fileprivate init(subscriber: UInt32, options: SubscriptionOptions) {
        self.subscriber = subscriber
        qos = options.qos
        retainAsPublished = options.retainAsPublished
        someNoLocal = options.noLocal
        someLocal = !options.noLocal
    }

    fileprivate mutating func merge(_ options: SubscriptionOptions) {
        if qos < options.qos { qos = options.qos }
        if options.retainAsPublished { retainAsPublished = true }
        if options.noLocal { someNoLocal = true } else { someLocal = true }
    }
}

/// The subscribers of one topic, and the memory in which a tree finds them: kept and reused by the loop, so that
/// after the first few matches none of them allocates.
///
/// Merging needs "has this subscriber matched already, and where": an array with one stamp for each session slot says
/// it in one load, where a dictionary would hash. A stamp counts only if it bears the number of the running match.
package struct MatchResult {
    private struct Stamp {
        var run: UInt32
        var match: UInt32
    }

    /// One for each subscriber, in no particular order.
    package private(set) var matches: [Match] = []
    /// Subscription Identifiers of all matches; a match names its part. Elements between the parts mean nothing.
    package private(set) var identifiers: [UInt32] = []
    /// Tree nodes that the last match looked at: the measure of its work.
    package internal(set) var visitedNodes = 0

    /// Nodes that the running walk has reached, level by level.
    var queue: [UInt32] = []

    private var stamps: [Stamp] = []
    private var run: UInt32 = 0

    package init() {}

    package var isEmpty: Bool { matches.isEmpty }

    /// The Subscription Identifiers of a match of this result; the same one as often as subscriptions have it.
    package func identifiers(of match: Match) -> ArraySlice<UInt32> {
        identifiers[Int(match.identifiersStart)..<Int(match.identifiersStart + match.identifierCount)]
    }

    /// Empties the result for a match among subscribers below `subscriberLimit`.
    mutating func begin(subscriberLimit: Int) {
        if !matches.isEmpty { matches.removeAll(keepingCapacity: true) }
        if !identifiers.isEmpty { identifiers.removeAll(keepingCapacity: true) }
        visitedNodes = 0
        if stamps.count < subscriberLimit {
            stamps.append(contentsOf: repeatElement(Stamp(run: 0, match: 0), count: subscriberLimit - stamps.count))
        }
        run &+= 1
        if run == 0 {  // after 2^32 matches: an old stamp would look new
            for index in stamps.indices { stamps[index].run = 0 }
            run = 1
        }
    }

    /// Adds the subscriptions of one filter. A tree has one for each (filter, subscriber), so none comes twice.
    mutating func add(_ subscribers: UnsafeBufferPointer<TopicTree.Subscriber>) {
        // Out of the result meanwhile: one check that the array is ours, not one for each subscriber.
        var stamps: [Stamp] = []
        swap(&stamps, &self.stamps)
        stamps.withUnsafeMutableBufferPointer { stamps in
            for subscriber in subscribers { add(subscriber.slot, subscriber.options, &stamps[Int(subscriber.slot)]) }
        }
        swap(&stamps, &self.stamps)
    }

    @inline(__always)
    private mutating func add(_ subscriber: UInt32, _ options: SubscriptionOptions, _ stamp: inout Stamp) {
        var index = matches.count
        if stamp.run != run {
            stamp = Stamp(run: run, match: UInt32(truncatingIfNeeded: index))
            matches.append(Match(subscriber: subscriber, options: options))
        } else {
            index = Int(stamp.match)
            matches[index].merge(options)
        }
        if options.subscriptionID != 0 { addIdentifier(options.subscriptionID, toMatchAt: index) }
    }

    /// Keeps the identifiers of a match together although those of others come in between: a part that has used up its
    /// power of two moves to the end and gets the next one. The work stays linear, however many overlap.
    private mutating func addIdentifier(_ identifier: UInt32, toMatchAt index: Int) {
        let start = Int(matches[index].identifiersStart)
        let count = Int(matches[index].identifierCount)
        if count & (count - 1) != 0 {
            identifiers[start + count] = identifier
        } else if count == 0 {
            matches[index].identifiersStart = UInt32(identifiers.count)
            identifiers.append(identifier)
        } else {
            matches[index].identifiersStart = UInt32(identifiers.count)
            identifiers.append(contentsOf: identifiers[start..<(start + count)])
            identifiers.append(identifier)
            identifiers.append(contentsOf: repeatElement(0, count: count - 1))
        }
        matches[index].identifierCount += 1
    }
}
