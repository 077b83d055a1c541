import BrokerTestKit
import Foundation
import Testing

/// The simulated disk is a judge as well: what it keeps and what it loses.
@Suite("The disk of the power-cut tests")
struct DiskTests {
    private var random = SeededRandom(1)
    private let nothing = CutTaste(kept: 0, torn: 0)
    private let everything = CutTaste(kept: 100, torn: 0)

    private func page(_ value: UInt8, _ count: Int = 4_096) -> [UInt8] { [UInt8](repeating: value, count: count) }
    private func write(_ number: UInt64, _ data: [UInt8], at offset: UInt64 = 0) -> DiskRecord {
        DiskRecord(kind: .write, file: 1, number: number, offset: offset, data: data)
    }
    private func written(_ write: UInt64, _ bytes: Int, durable: Bool = false) -> DiskRecord {
        DiskRecord(kind: .written, file: 1, isDurable: durable, number: write + 1, offset: write, aux: UInt64(bytes))
    }
    private func disk(_ records: [DiskRecord], _ content: [String: [UInt8]] = ["f": []]) -> Disk {
        var disk = Disk(content)
        disk.take(DiskRecord(kind: .exists, file: 1, path: "f"))
        for record in records { disk.take(record) }
        return disk
    }

    @Test("what was synced stays, what was not may go")
    mutating func sync() {
        let disk = disk([
            write(1, page(1)), written(1, 4_096), DiskRecord(kind: .sync, file: 1, number: 4, offset: 3), write(5, page(2)),
            written(5, 4_096),
        ])
        #expect(disk.afterCut(nothing, &random).files["f"] == page(1))
        #expect(disk.afterCut(everything, &random).files["f"] == page(2))
    }

    @Test("a write that came during a sync is not safe")
    mutating func lateWrite() {
        let disk = disk([write(1, page(1)), write(4, page(2)), DiskRecord(kind: .sync, file: 1, number: 6, offset: 3)])
        #expect(disk.afterCut(nothing, &random).files["f"] == page(1))
    }

    @Test("a write through a synchronous descriptor is safe, what went before it is not")
    mutating func durableWrite() {
        let disk = disk([write(1, page(1), at: 4_096), written(1, 4_096), write(3, page(2)), written(3, 4_096, durable: true)])
        #expect(disk.afterCut(nothing, &random).files["f"] == page(2))
        #expect(disk.afterCut(everything, &random).files["f"] == page(2) + page(1))
        // An older version of the same sectors does not come back over it.
        let again = self.disk([write(1, page(1)), written(1, 4_096), write(3, page(2)), written(3, 4_096, durable: true)])
        for _ in 0..<20 { #expect(again.afterCut(CutTaste(kept: 30, torn: 40), &random).files["f"] == page(2)) }
    }

    @Test("pages are lost in any order, and torn at sectors")
    mutating func torn() {
        let disk = disk([write(1, page(1)), write(2, page(2), at: 4_096)], ["f": page(9, 8_192)])
        var seen: Set<[UInt8]> = []
        for _ in 0..<200 {
            let content = disk.afterCut(CutTaste(kept: 30, torn: 40), &random).files["f"] ?? []
            #expect(content.count == 8_192)
            for sector in 0..<16 { #expect(Set(content[sector * 512..<(sector + 1) * 512]).count == 1, "a sector is never torn") }
            seen.insert([content[0], content[512], content[4_096]])
        }
        #expect(seen.contains([9, 9, 2]) && seen.contains([1, 1, 9]) && seen.contains([1, 9, 9]))
    }

    @Test("a failed write leaves nothing, a short one its beginning")
    mutating func shortWrite() {
        #expect(disk([write(1, page(1)), written(1, 0)]).afterCut(everything, &random).files["f"] == [])
        #expect(disk([write(1, page(1)), written(1, 100)]).afterCut(everything, &random).files["f"] == page(1, 100))
    }

    @Test("names are safe after a sync of the directory, and go in order otherwise")
    mutating func names() {
        let changes = [
            DiskRecord(kind: .create, file: 2, number: 1, path: "new"),
            DiskRecord(kind: .write, file: 2, number: 2, data: page(1)),
            DiskRecord(kind: .sync, file: 2, number: 4, offset: 3),
            DiskRecord(kind: .rename, number: 5, path: "new\0f"),
        ]
        var before = 0
        var between = 0
        let disk = disk(changes, ["f": page(7)])
        for _ in 0..<50 {
            let files = disk.afterCut(nothing, &random).files
            #expect(files["f"] == page(1) || files["f"] == page(7))
            before += files["f"] == page(7) && files["new"] == nil ? 1 : 0
            between += files["new"] == page(1) ? 1 : 0
        }
        #expect(before > 0 && between > 0)
        let synced = self.disk(changes + [DiskRecord(kind: .directorySync, number: 7, offset: 6)], ["f": page(7)])
        #expect(synced.afterCut(nothing, &random).files == ["f": page(1)])
    }

    @Test("the shim sees what a program does to the store, and nothing else")
    mutating func shim() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("shim-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let store = directory.appendingPathComponent("store")
        try FileManager.default.createDirectory(at: store, withIntermediateDirectories: true)
        let shim = try StoreShim(store: store.path, directory: directory, recordsWrites: true)
        let baseline = try shim.baseline()
        let script = """
            printf first > store/a; printf second >> store/a; sync store/a; printf third > store/b; mv store/b store/c
            printf elsewhere > outside; dd if=/dev/zero of=store/zeros bs=4096 count=3 oflag=dsync 2>/dev/null; cat /proc/sys/kernel/random/boot_id > boot
            """
        try run(script, in: directory, shim.environment)
        var disk = baseline
        for record in try shim.records() { disk.take(record) }
        let expected: [String: [UInt8]] = ["a": Array("firstsecond".utf8), "c": Array("third".utf8), "zeros": page(0, 12_288)]
        #expect(disk.content == expected)
        // `sync` opened the file anew; the names were never synced.
        #expect(disk.afterCut(everything, &random).files == expected)
        #expect(
            try String(contentsOf: directory.appendingPathComponent("boot"), encoding: .utf8)
                == String(contentsOf: directory.appendingPathComponent("boot_id"), encoding: .utf8))

        try shim.fail(.write, with: ENOSPC, after: 1)
        try run("printf one > store/x; printf two > store/y || true; printf fine > outside", in: directory, shim.environment)
        #expect(shim.failedCalls >= 1)
        #expect(FileManager.default.contents(atPath: store.path + "/x") == Data("one".utf8))
        #expect(FileManager.default.contents(atPath: store.path + "/y") == Data())
        #expect(FileManager.default.contents(atPath: directory.path + "/outside") == Data("fine".utf8))
    }

    private func run(_ script: String, in directory: URL, _ environment: [String: String]) throws {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", script]
        shell.currentDirectoryURL = directory
        shell.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        shell.standardError = FileHandle.nullDevice
        try shell.run()
        shell.waitUntilExit()
    }
}
