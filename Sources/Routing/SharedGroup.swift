/// The members of one shared subscription (MQTT 5.0 section 4.8.2), and whose turn it is: each message goes to one.
///
/// Members wait in three lines: ready, congested, offline. The first of the best line that is not empty gets the message
/// and goes to its end, so that among constant members no one is ahead of another by more than one message. A member
/// that becomes ready again stands at the end. Lines are linked through the member array; every event is O(1).
package struct SharedGroup {
    package struct Member: Sendable {
        package let id: UInt64
        package fileprivate(set) var options: SubscriptionOptions
        package fileprivate(set) var isOnline: Bool
        /// Its queue or window is full: it gets messages only if every online member is in that state.
        package fileprivate(set) var isCongested: Bool

        fileprivate var line: Int { isOnline ? (isCongested ? 1 : 0) : 2 }
    }

    private struct Place {
        var member: Member
        /// Neighbours in the line, -1 at its ends.
        var previous: Int
        var next: Int
    }

    private struct Line {
        var first = -1
        var last = -1
        var count = 0
    }

    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private var placesOfMembers: [UInt64: Int] = [:]
    /// Ready, congested, offline.
    private var lines = (Line(), Line(), Line())

    package init() {}

    package var isEmpty: Bool { placesOfMembers.isEmpty }
    package var count: Int { placesOfMembers.count }

    package func member(_ id: UInt64) -> Member? { placesOfMembers[id].map { places[$0].member } }

    /// Adds a member, not congested, or changes the options and presence of one.
    package mutating func join(_ id: UInt64, options: SubscriptionOptions, isOnline: Bool = true) {
        if let place = placesOfMembers[id] {
            places[place].member.options = options
            return setOnline(id, isOnline)
        }
        let entry = Place(member: Member(id: id, options: options, isOnline: isOnline, isCongested: false), previous: -1, next: -1)
        let place = freePlaces.popLast() ?? places.count
        if place == places.count { places.append(entry) } else { places[place] = entry }
        placesOfMembers[id] = place
        stand(place)
    }

    /// Removes a member. `false` says that it was none.
    @discardableResult
    package mutating func leave(_ id: UInt64) -> Bool {
        guard let place = placesOfMembers.removeValue(forKey: id) else { return false }
        step(out: place)
        freePlaces.append(place)
        return true
    }

    /// Notes whether a member is connected. Who is no member is ignored: it may have left meanwhile.
    package mutating func setOnline(_ id: UInt64, _ isOnline: Bool) {
        guard let place = placesOfMembers[id], places[place].member.isOnline != isOnline else { return }
        step(out: place)
        places[place].member.isOnline = isOnline
        stand(place)
    }

    /// Notes whether a member cannot take more for now. Who is no member is ignored.
    package mutating func setCongested(_ id: UInt64, _ isCongested: Bool) {
        guard let place = placesOfMembers[id], places[place].member.isCongested != isCongested else { return }
        step(out: place)
        places[place].member.isCongested = isCongested
        stand(place)
    }

    /// Whether a member is connected, leaving out `excluded`.
    package func hasOnlineMember(excluding excluded: UInt64? = nil) -> Bool {
        let online = lines.0.count + lines.1.count
        guard let excluded, member(excluded)?.isOnline == true else { return online > 0 }
        return online > 1
    }

    /// Takes the member whose turn it is: ready before congested before offline.
    ///
    /// - Parameter excluded: Treated as if it were no member; it keeps its turn.
    /// - Returns: `nil` if there is no other member.
    package mutating func choose(excluding excluded: UInt64? = nil) -> Member? {
        let place: Int
        if let first = first(of: lines.0, not: excluded) {
            place = first
        } else if let first = first(of: lines.1, not: excluded) {
            place = first
        } else if let first = first(of: lines.2, not: excluded) {
            place = first
        } else {
            return nil
        }
        step(out: place)
        stand(place)
        return places[place].member
    }

    private func first(of line: Line, not excluded: UInt64?) -> Int? {
        guard line.first >= 0 else { return nil }
        guard let excluded, places[line.first].member.id == excluded else { return line.first }
        let second = places[line.first].next
        return second < 0 ? nil : second
    }

    private mutating func withLine(of place: Int, _ body: (inout Line, inout [Place]) -> Void) {
        switch places[place].member.line {
        case 0: body(&lines.0, &places)
        case 1: body(&lines.1, &places)
        default: body(&lines.2, &places)
        }
    }

    /// Puts a member at the end of the line that its state says.
    private mutating func stand(_ place: Int) {
        withLine(of: place) { line, places in
            places[place].previous = line.last
            places[place].next = -1
            if line.last >= 0 { places[line.last].next = place } else { line.first = place }
            line.last = place
            line.count += 1
        }
    }

    /// Takes a member out of its line, before its state changes.
    private mutating func step(out place: Int) {
        withLine(of: place) { line, places in
            let (previous, next) = (places[place].previous, places[place].next)
            if previous >= 0 { places[previous].next = next } else { line.first = next }
            if next >= 0 { places[next].previous = previous } else { line.last = previous }
            line.count -= 1
        }
    }
}
