/// A file as a disk has it: what is surely there, and what the kernel has taken and not yet promised.
final class DiskFile {
    enum Change {
        case write(offset: Int, data: [UInt8])
        case truncate(Int)
    }

    struct Pending {
        let number: UInt64
        var change: Change
        /// Written through a descriptor that writes through; what went before through another one is not thereby safe.
        var isDurable = false
    }

    static let sectorBytes = 512
    static let pageBytes = 4_096

    private(set) var durable: [UInt8]
    private(set) var pending: [Pending] = []

    init(_ content: [UInt8] = []) { durable = content }

    func add(_ change: Change, number: UInt64) { pending.append(Pending(number: number, change: change)) }

    /// The write `number` has returned: `bytes` of it reached the kernel.
    func finished(_ number: UInt64, bytes: Int, isDurable: Bool) {
        guard let index = pending.lastIndex(where: { $0.number == number }), case .write(let offset, let data) = pending[index].change
        else { return }
        if bytes == 0 {
            pending.remove(at: index)
        } else {
            pending[index].change = .write(offset: offset, data: Array(data.prefix(bytes)))
            pending[index].isDurable = isDurable
        }
    }

    /// A sync that began after everything below `number` has returned.
    func synced(before number: UInt64) {
        for entry in pending where entry.number < number { Self.apply(entry.change, to: &durable) }
        pending.removeAll { $0.number < number }
    }

    /// What the file holds for a program that reads it while the power is on.
    var current: [UInt8] { pending.reduce(into: durable) { Self.apply($1.change, to: &$0) } }

    /// What the disk holds after a power cut: of each sector any version that it has had since the last sync, and no older
    /// one; of the changes of length, the first few.
    func afterCut(_ taste: CutTaste, _ random: inout SeededRandom) -> [UInt8] {
        var versions: [Int: (count: Int, least: Int)] = [:]
        var lengthChanges = 0
        for entry in pending {
            switch entry.change {
            case .write(let offset, let data):
                for sector in Self.sectors(offset, data.count) {
                    var known = versions[sector] ?? (0, 0)
                    known.count += 1
                    if entry.isDurable { known.least = known.count }
                    versions[sector] = known
                }
            case .truncate: lengthChanges += 1
            }
        }
        let kept = chooseVersions(versions, taste, &random)
        let keptLengthChanges = taste.keepsAll ? lengthChanges : Int.random(in: 0...lengthChanges, using: &random)
        return replay(kept, keptLengthChanges)
    }

    private func chooseVersions(_ versions: [Int: (count: Int, least: Int)], _ taste: CutTaste, _ random: inout SeededRandom) -> [Int: Int]
    {
        var kept: [Int: Int] = [:]
        var fates: [Int: CutTaste.Fate] = [:]
        for sector in versions.keys.sorted() {
            guard let (count, least) = versions[sector] else { continue }
            let page = sector * Self.sectorBytes / Self.pageBytes
            let fate = fates[page] ?? taste.fate(&random)
            fates[page] = fate
            switch fate {
            case .kept: kept[sector] = count
            case .lost: kept[sector] = least
            case .torn: kept[sector] = Int.random(in: least...count, using: &random)
            }
        }
        return kept
    }

    private func replay(_ kept: [Int: Int], _ keptLengthChanges: Int) -> [UInt8] {
        var content = durable
        var seen: [Int: Int] = [:]
        var lengthChanges = 0
        for entry in pending {
            switch entry.change {
            case .truncate(let length):
                lengthChanges += 1
                if lengthChanges <= keptLengthChanges { Self.apply(.truncate(length), to: &content) }
            case .write(let offset, let data):
                for sector in Self.sectors(offset, data.count) {
                    let version = (seen[sector] ?? 0) + 1
                    seen[sector] = version
                    guard version <= kept[sector] ?? 0 else { continue }
                    let start = max(offset, sector * Self.sectorBytes)
                    let end = min(offset + data.count, (sector + 1) * Self.sectorBytes)
                    Self.apply(.write(offset: start, data: Array(data[(start - offset)..<(end - offset)])), to: &content)
                }
            }
        }
        return content
    }

    private static func sectors(_ offset: Int, _ count: Int) -> Range<Int> {
        count == 0 ? 0..<0 : offset / sectorBytes..<(offset + count - 1) / sectorBytes + 1
    }

    private static func apply(_ change: Change, to content: inout [UInt8]) {
        switch change {
        case .write(let offset, let data):
            let end = offset + data.count
            if content.count < end { content.append(contentsOf: [UInt8](repeating: 0, count: end - content.count)) }
            content.withUnsafeMutableBytes { target in
                data.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[offset..<end]).copyMemory(from: $0) }
            }
        case .truncate(let length):
            if length < content.count {
                content.removeLast(content.count - length)
            } else {
                content.append(contentsOf: [UInt8](repeating: 0, count: length - content.count))
            }
        }
    }
}

/// How much of what was not synced a power cut leaves.
struct CutTaste {
    enum Fate {
        case kept
        case lost
        /// Sector by sector.
        case torn
    }

    /// In per cent.
    let kept: Int
    let torn: Int

    var keepsAll: Bool { kept == 100 }

    /// Nothing, everything, and mixtures in between.
    static func any(_ random: inout SeededRandom) -> CutTaste {
        [
            CutTaste(kept: 0, torn: 0), CutTaste(kept: 100, torn: 0), CutTaste(kept: 50, torn: 0), CutTaste(kept: 20, torn: 10),
            CutTaste(kept: 80, torn: 10), CutTaste(kept: 0, torn: 100), CutTaste(kept: 95, torn: 0),
        ].randomElement(using: &random) ?? CutTaste(kept: 0, torn: 0)
    }

    func fate(_ random: inout SeededRandom) -> Fate {
        let number = Int.random(in: 0..<100, using: &random)
        return number < kept ? .kept : number < kept + torn ? .torn : .lost
    }
}
