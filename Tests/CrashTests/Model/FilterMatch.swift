/// Whether a filter selects a topic: the specification's words, level by level, and nothing of the broker's.
func filter(_ filter: String, selects topic: String) -> Bool {
    let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
    let names = topic.split(separator: "/", omittingEmptySubsequences: false)
    for (index, level) in levels.enumerated() {
        if level == "#" { return true }
        guard index < names.count, level == "+" || level == names[index] else { return false }
    }
    return levels.count == names.count
}

/// A filter taken apart: `$share/GROUP/FILTER` or a plain one.
struct Interest: Hashable, Sendable {
    let group: String?
    let filter: String

    init(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count == 3, parts[0] == "$share" {
            group = String(parts[1])
            filter = String(parts[2])
        } else {
            group = nil
            filter = text
        }
    }
}
