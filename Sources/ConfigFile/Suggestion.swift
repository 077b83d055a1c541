/// "Did you mean": the known name that is nearest to a wrong one.
enum Suggestion {
    /// The nearest of `candidates`, if it is near enough to be meant: a third of the letters may be wrong.
    static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
        let folded = fold(name)
        let limit = max(1, folded.count / 3)
        var best: (distance: Int, candidate: String)?
        for candidate in candidates {
            let distance = distance(folded, fold(candidate))
            guard distance <= limit else { continue }
            if let known = best, (known.distance, known.candidate) <= (distance, candidate) { continue }
            best = (distance, candidate)
        }
        return best?.candidate
    }

    /// `; did you mean "…"?`, or nothing.
    static func text(for name: String, in candidates: some Sequence<String>) -> String {
        nearest(to: name, in: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
    }

    /// Case and the two ways to write a word's joint say nothing about what was meant. Cut, so that a hostile megabyte
    /// of a key costs nothing.
    private static func fold(_ name: String) -> [UInt8] {
        name.utf8.prefix(80).map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : (65...90).contains($0) ? $0 + 32 : $0 }
    }

    /// Edits (insert, remove, replace, swap neighbours) from one to the other.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var twoBefore = [Int](repeating: 0, count: right.count + 1)
        var before = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for column in 0..<right.count {
                var cost = min(current[column] + 1, before[column + 1] + 1, before[column] + (left[row] == right[column] ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, twoBefore[column - 1] + 1)
                }
                current.append(cost)
            }
            twoBefore = before
            before = current
        }
        return before[right.count]
    }
}
