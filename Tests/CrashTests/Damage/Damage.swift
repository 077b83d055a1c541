import Foundation
import Testing

/// One way to spoil a store.
struct Damage: Sendable, CustomTestStringConvertible {
    let name: String
    /// The file it is done to, below the store's directory.
    var file = "data.mdb"
    /// Whether the store can't be used afterwards, so that a start with everything in place would be a lie.
    var isFatal = true
    let apply: @Sendable (inout [UInt8], inout SeededRandom) -> Void

    var testDescription: String { name }

    static let pageBytes = 4_096

    /// What the bounded share of `swift test` takes; each of them with each `on_damage`.
    static let common: [Damage] = [emptied, halved, metaZeroed, garbage, zeroedRange, swappedPages, flips(40)]

    /// What `make crash-test` takes besides.
    static let all: [Damage] =
        common + [
            Damage(name: "cut to one page") { bytes, _ in bytes = Array(bytes.prefix(pageBytes)) },
            Damage(name: "cut to a hundred bytes") { bytes, _ in bytes = Array(bytes.prefix(100)) },
            Damage(name: "the last page cut off", isFatal: false) { bytes, _ in bytes.removeLast(pageBytes) },
            Damage(name: "a random end cut off", isFatal: false) { bytes, random in
                bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            },
            Damage(name: "the first meta page zero") { bytes, _ in zero(&bytes, 0..<pageBytes) },
            Damage(name: "the second meta page zero", isFatal: false) { bytes, _ in zero(&bytes, pageBytes..<2 * pageBytes) },
            Damage(name: "both meta pages garbage") { bytes, random in fill(&bytes, 0..<2 * pageBytes, &random) },
            Damage(name: "one page garbage", isFatal: false) { bytes, random in fill(&bytes, randomPage(bytes, &random), &random) },
            Damage(name: "one page zero", isFatal: false) { bytes, random in zero(&bytes, randomPage(bytes, &random)) },
            Damage(name: "the pages in reverse") { bytes, _ in
                let pages = stride(from: 0, to: bytes.count, by: pageBytes).map { Array(bytes[$0..<min($0 + pageBytes, bytes.count)]) }
                bytes = pages.reversed().flatMap { $0 }
            },
            Damage(name: "everything shifted by one byte") { bytes, _ in bytes.insert(0, at: 0) },
            Damage(name: "a page copied over another", isFatal: false) { bytes, random in
                let (from, to) = (randomPage(bytes, &random), randomPage(bytes, &random))
                bytes.replaceSubrange(to, with: Array(bytes[from]))
            },
            flips(1), flips(4), flips(400),
            Damage(name: "bit flips in the meta pages", isFatal: false) { bytes, random in
                for _ in 0..<8 { bytes[Int.random(in: 0..<2 * pageBytes, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            },
            Damage(name: "bit flips in page headers", isFatal: false) { bytes, random in
                for _ in 0..<20 {
                    let page = randomPage(bytes, &random)
                    bytes[page.lowerBound + Int.random(in: 0..<16, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                }
            },
        ]

    private static let emptied = Damage(name: "an empty file") { bytes, _ in bytes = [] }
    private static let halved = Damage(name: "cut to its half") { bytes, _ in bytes = Array(bytes.prefix(bytes.count / 2)) }
    private static let metaZeroed = Damage(name: "both meta pages zero") { bytes, _ in zero(&bytes, 0..<2 * pageBytes) }
    private static let garbage = Damage(name: "garbage all over") { bytes, random in fill(&bytes, 0..<bytes.count, &random) }
    private static let zeroedRange = Damage(name: "all but the meta pages zero") { bytes, _ in zero(&bytes, 2 * pageBytes..<bytes.count) }
    private static let swappedPages = Damage(name: "pages swapped") { bytes, random in
        for _ in 0..<bytes.count / pageBytes / 2 {
            let (one, other) = (randomPage(bytes, &random), randomPage(bytes, &random))
            let kept = Array(bytes[one])
            bytes.replaceSubrange(one, with: Array(bytes[other]))
            bytes.replaceSubrange(other, with: kept)
        }
    }
    private static func flips(_ count: Int) -> Damage {
        Damage(name: "\(count) bit flips", isFatal: false) { bytes, random in
            for _ in 0..<count { bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        }
    }

    private static func zero(_ bytes: inout [UInt8], _ range: Range<Int>) {
        bytes.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
    }
    private static func fill(_ bytes: inout [UInt8], _ range: Range<Int>, _ random: inout SeededRandom) {
        for index in range { bytes[index] = UInt8.random(in: 0...255, using: &random) }
    }
    /// Never a meta page.
    private static func randomPage(_ bytes: [UInt8], _ random: inout SeededRandom) -> Range<Int> {
        let page = Int.random(in: 2..<max(3, bytes.count / pageBytes), using: &random)
        return page * pageBytes..<(page + 1) * pageBytes
    }
}

/// `store.on_damage`.
enum DamagePolicy: String, Sendable, CaseIterable {
    case stop
    case restore
    case empty
    case restoreOrEmpty = "restore-or-empty"

    var restores: Bool { self == .restore || self == .restoreOrEmpty }
    var empties: Bool { self == .empty || self == .restoreOrEmpty }
}
