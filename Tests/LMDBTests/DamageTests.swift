import Foundation
import Testing

@testable import LMDB

@Suite("Damaged files")
struct DamageTests {
    let scratch = Scratch()
    static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// The program of Tests/LMDBReader; SwiftPM puts all programs into one directory.
    static let reader: String = {
        let directory = try! FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") as NSString
        let candidates = [directory.deletingLastPathComponent, (CommandLine.arguments[0] as NSString).deletingLastPathComponent]
        return candidates.map { $0 + "/lmdb-reader" }.first { FileManager.default.isExecutableFile(atPath: $0) } ?? "lmdb-reader"
    }()

    static func damage(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) -> String {
        let pages = bytes.count / pageSize
        let page = Int.random(in: 0..<pages, using: &generator)
        let start = page * pageSize
        func flip(_ offset: Int) { bytes[offset] ^= 1 << UInt8.random(in: 0..<8, using: &generator) }
        switch Int.random(in: 0..<11, using: &generator) {
        case 0:
            let offset = Int.random(in: bytes.indices, using: &generator)
            flip(offset)
            return "bit at \(offset)"
        case 1, 2:
            let offset = start + Int.random(in: 0..<160, using: &generator)
            flip(offset)
            return "bit in the header of page \(page), at \(offset)"
        case 3:
            let offset = start + 2 * Int.random(in: 0..<80, using: &generator)
            let value = UInt16.random(in: .min ... .max, using: &generator) & [0x0F, 0xFF, 0xFFF, 0xFFFF].randomElement(using: &generator)!
            bytes[offset] = UInt8(truncatingIfNeeded: value)
            bytes[offset + 1] = UInt8(value >> 8)
            return "\(value) at \(offset)"
        case 4, 5:
            // Into the header of a node, by the offset that the page gives.
            let slot = start + 16 + 2 * Int.random(in: 0..<30, using: &generator)
            let node = Int(bytes[slot]) | Int(bytes[slot + 1]) << 8
            guard node + 16 <= pageSize else { return "nothing" }
            let offset = start + node + Int.random(in: 0..<16, using: &generator)
            flip(offset)
            return "bit in a node of page \(page), at \(offset)"
        case 6:
            let sector = 512 * Int.random(in: 0..<bytes.count / 512, using: &generator)
            for offset in sector..<sector + 512 { bytes[offset] = 0 }
            return "zeroed sector at \(sector)"
        case 7:
            for offset in start..<start + pageSize { bytes[offset] = UInt8.random(in: .min ... .max, using: &generator) }
            return "garbage in page \(page)"
        case 8:
            let other = Int.random(in: 0..<pages, using: &generator) * pageSize
            for offset in 0..<pageSize { bytes.swapAt(start + offset, other + offset) }
            return "page \(page) swapped with \(other / pageSize)"
        case 9:
            let count = Int.random(in: 0..<bytes.count, using: &generator)
            bytes.removeLast(bytes.count - count)
            return "cut to \(count)"
        default:
            // A page of an older state, as a lost write leaves it, or of another database.
            let other = Int.random(in: 0..<pages, using: &generator) * pageSize
            let own = bytes[start..<start + 8]
            bytes.replaceSubrange(start..<start + pageSize, with: bytes[other..<other + pageSize])
            bytes.replaceSubrange(start..<start + 8, with: own)
            return "page \(page) overwritten with \(other / pageSize)"
        }
    }

    /// The same with few free pages, so that most damages hit what is in use.
    func dense(_ path: String, _ generator: inout SeededGenerator) throws -> [UInt8] {
        let copy = scratch.path("dense")
        try SampleFile.open(path).copy(to: copy, compacting: true)
        let environment = try SampleFile.open(copy)
        let databases = try environment.openDatabases(SampleFile.databases, createIfMissing: false)
        try SampleFile.change(environment, databases, round: 9, scale: 1, &generator)
        return try load(copy)
    }

    /// Runs LMDB on the files, in another process. Its output is what it did with each.
    func read(_ paths: [String]) throws -> (signal: Bool, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.reader)
        process.arguments = paths
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationReason == .uncaughtSignal, text)
    }

    /// The verifier never traps, or these tests would end here; and what it lets pass, LMDB survives: reading, writing on
    /// and reading again, in a process of its own.
    @Test("what is called intact doesn't kill LMDB", arguments: 1...6)
    func mutations(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed) &+ 77)
        let path = scratch.path("data")
        try SampleFile.make(at: path, seed: UInt64(seed))
        let original = seed % 2 == 0 ? try load(path) : try dense(path, &generator)
        var passed: [(path: String, damage: String)] = []
        var damaged = 0
        for round in 0..<900 {
            var bytes = original
            var damages: [String] = []
            for _ in 0..<[1, 1, 1, 2, 3].randomElement(using: &generator)! where bytes.count >= 4 * Self.pageSize {
                damages.append(Self.damage(&bytes, &generator))
            }
            let copy = scratch.path("damaged-\(round)")
            try store(bytes, copy)
            switch PageVerifier.verify(path: copy) {
            case .intact: passed.append((copy, damages.joined(separator: ", ")))
            case .damaged, .foreign:
                damaged += 1
                try FileManager.default.removeItem(atPath: copy)
            case .unreadable(let text): Issue.record("\(damages): \(text)")
            }
        }
        // Otherwise the mutations are too weak, or the verifier refuses everything.
        #expect(damaged > 100)
        #expect(passed.count > 20)
        let result = try read(passed.map(\.path))
        #expect(!result.signal, "\(passed.first { result.output.hasSuffix($0.path + "\n") }?.damage ?? result.output)")
        for (copy, damage) in passed {
            let verdict = PageVerifier.verify(path: copy)
            guard case .intact = verdict else {
                Issue.record("after LMDB's own writes \(verdict); before them: \(damage)")
                continue
            }
        }
    }

    @Test("every bit of a page's header and of the meta page in use is looked at")
    func headers() throws {
        var generator = SeededGenerator(seed: 1)
        let path = scratch.path("data")
        try SampleFile.make(at: path)
        // Compacted, so that every page with a header is in use and meta page 1 is the newer one.
        try SampleFile.open(path).copy(to: scratch.path("copy"), compacting: true)
        var bytes = try load(scratch.path("copy"))
        // Not the address, which is for maps at a fixed one; not the map's size, which may grow; of the flags not the one
        // that says whether there is a directory, bit 14 of those at 44.
        var offsets = [0..<8, 10..<12, 16..<24, 40..<45, 46..<MetaPage.byteCount].joined().map { Self.pageSize + $0 }
        var pages = 0
        for start in stride(from: 2 * Self.pageSize, to: bytes.count, by: Self.pageSize) {
            let number = bytes[start..<start + 8].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
            guard number == UInt64(start / Self.pageSize) else { continue }
            // All but the padding.
            offsets += Array(start..<start + 8) + Array(start + 10..<start + 16)
            pages += 1
        }
        #expect(pages > 10)
        for offset in offsets {
            let original = bytes[offset]
            bytes[offset] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try store(bytes, path)
            if case .intact = PageVerifier.verify(path: path) {
                Issue.record("\(original) at \(offset) may be \(bytes[offset])")
            }
            bytes[offset] = original
        }
        try store(bytes, path)
        guard case .intact = PageVerifier.verify(path: path) else {
            Issue.record("the undamaged file is refused")
            return
        }
    }

    /// Shows that `mutations` can fail.
    @Test("without the verifier some damages kill LMDB")
    func withoutVerifier() throws {
        var generator = SeededGenerator(seed: 5)
        let path = scratch.path("data")
        try SampleFile.make(at: path)
        let original = try load(path)
        for round in 0..<300 {
            var bytes = original
            _ = Self.damage(&bytes, &generator)
            let copy = scratch.path("damaged-\(round)")
            try store(bytes, copy)
            if try read([copy]).signal { return }
        }
        Issue.record("LMDB survived everything")
    }
}
