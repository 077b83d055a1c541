import Foundation
import Synchronization
import Testing

@testable import Headwater

@Suite("Watching files")
struct FileWatchTests {
    /// A directory for one test, gone with it.
    private final class Scratch: Sendable {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("watch-\(UUID().uuidString)").path
        init() { try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        func file(_ name: String) -> String { path + "/" + name }
        func write(_ text: String, to name: String) throws {
            let handle = fopen(file(name), "w")
            try #require(handle != nil)
            fputs(text, handle)
            fclose(handle)
        }
        func link(_ name: String, to target: String) throws {
            try? FileManager.default.removeItem(atPath: file(name))
            try FileManager.default.createSymbolicLink(atPath: file(name), withDestinationPath: target)
        }
    }

    /// Looks at real files at times of the test's choice.
    private struct Watched {
        var changes: FileChanges
        let paths: [String]
        init(_ paths: [String]) {
            self.paths = paths
            changes = FileChanges(FileState.look(at: paths))
        }
        mutating func look(at seconds: Double) -> [String] {
            changes.looked(
                FileState.look(at: paths), at: .milliseconds(Int(seconds * 1000)), quiet: .seconds(1), longestUnrest: .seconds(30))
        }
        /// What is told once all is quiet.
        mutating func settle(at seconds: Double) -> [String] {
            let first = look(at: seconds)
            return first + look(at: seconds + 1) + look(at: seconds + 2)
        }
    }

    @Test("a file that does not change is never told of")
    func quiet() throws {
        let scratch = Scratch()
        try scratch.write("a", to: "f")
        var watched = Watched([scratch.file("f"), scratch.file("missing")])
        for second in 0..<50 { #expect(watched.look(at: Double(second)).isEmpty) }
    }

    @Test("writes in place are seen, of the same length and with the old time put back as well")
    func inPlace() throws {
        let scratch = Scratch()
        try scratch.write("aaaa", to: "f")
        var watched = Watched([scratch.file("f")])
        // The file system's clock moves in steps of a few milliseconds.
        var status = stat()
        stat(scratch.file("f"), &status)
        usleep(20_000)
        try scratch.write("bbbb", to: "f")
        #expect(watched.settle(at: 1) == [scratch.file("f")])
        usleep(20_000)
        try scratch.write("cccc", to: "f")
        var times = [status.st_atim, status.st_mtim]
        utimensat(AT_FDCWD, scratch.file("f"), &times, 0)
        #expect(watched.settle(at: 10) == [scratch.file("f")])
    }

    @Test("an editor's rename over the file is seen, once")
    func rename() throws {
        let scratch = Scratch()
        try scratch.write("a", to: "f")
        var watched = Watched([scratch.file("f")])
        try scratch.write("a", to: "f.new")
        Foundation.rename(scratch.file("f.new"), scratch.file("f"))
        #expect(watched.settle(at: 1) == [scratch.file("f")])
        #expect(watched.settle(at: 10).isEmpty)
    }

    @Test("the swap of ..data, as Kubernetes does it, changes every file behind it")
    func kubernetes() throws {
        let scratch = Scratch()
        for version in ["..1", "..2"] {
            try FileManager.default.createDirectory(atPath: scratch.file(version), withIntermediateDirectories: true)
            for name in ["tls.crt", "tls.key"] { try scratch.write(version, to: "\(version)/\(name)") }
        }
        try scratch.link("..data", to: "..1")
        for name in ["tls.crt", "tls.key"] { try scratch.link(name, to: "..data/\(name)") }
        let paths = [scratch.file("tls.crt"), scratch.file("tls.key")]
        var watched = Watched(paths)
        try scratch.link("..data_tmp", to: "..2")
        Foundation.rename(scratch.file("..data_tmp"), scratch.file("..data"))
        #expect(watched.settle(at: 1) == paths)
        try FileManager.default.removeItem(atPath: scratch.file("..1"))
        #expect(watched.settle(at: 10).isEmpty)
    }

    @Test("a file that vanishes is told of, and again when it is back; one that is back at once, once")
    func vanishes() throws {
        let scratch = Scratch()
        try scratch.write("a", to: "f")
        var watched = Watched([scratch.file("f")])
        try FileManager.default.removeItem(atPath: scratch.file("f"))
        #expect(watched.settle(at: 1) == [scratch.file("f")])
        try scratch.write("a", to: "f")
        #expect(watched.settle(at: 10) == [scratch.file("f")])
        try FileManager.default.removeItem(atPath: scratch.file("f"))
        #expect(watched.look(at: 20).isEmpty)
        try scratch.write("b", to: "f")
        #expect(watched.settle(at: 20.5) == [scratch.file("f")])
    }

    @Test("a set is told of when all of it has been quiet, not when its first file has")
    func set() throws {
        let scratch = Scratch()
        for name in ["a", "b"] { try scratch.write("1", to: name) }
        var watched = Watched([scratch.file("a"), scratch.file("b")])
        try scratch.write("22", to: "a")
        #expect(watched.look(at: 1).isEmpty)
        try scratch.write("22", to: "b")
        #expect(watched.look(at: 1.9).isEmpty)
        #expect(watched.look(at: 2.5).isEmpty)
        #expect(watched.look(at: 2.9) == [scratch.file("a"), scratch.file("b")])
    }

    @Test("a file that never rests does not hide the others for longer than the longest unrest")
    func restless() throws {
        let scratch = Scratch()
        for name in ["log", "f"] { try scratch.write("", to: name) }
        var watched = Watched([scratch.file("log"), scratch.file("f")])
        try scratch.write("new", to: "f")
        var told: [Double: [String]] = [:]
        for step in 0..<70 {
            try scratch.write(String(repeating: "x", count: step + 1), to: "log")
            let paths = watched.look(at: Double(step) / 2)
            if !paths.isEmpty { told[Double(step) / 2] = paths }
        }
        #expect(told == [30: [scratch.file("f"), scratch.file("log")]])
    }

    @Test("a directory changes with its files: added, removed, written in place")
    func directory() throws {
        let scratch = Scratch()
        try FileManager.default.createDirectory(atPath: scratch.file("crl"), withIntermediateDirectories: true)
        try scratch.write("a", to: "crl/1.pem")
        var watched = Watched([scratch.file("crl")])
        #expect(watched.settle(at: 0).isEmpty)
        try scratch.write("b", to: "crl/2.pem")
        #expect(watched.settle(at: 10) == [scratch.file("crl")])
        try scratch.write("longer", to: "crl/1.pem")
        #expect(watched.settle(at: 20) == [scratch.file("crl")])
        try FileManager.default.removeItem(atPath: scratch.file("crl/2.pem"))
        #expect(watched.settle(at: 30) == [scratch.file("crl")])
        #expect(watched.settle(at: 40).isEmpty)
    }

    @Test("a set that is replaced keeps what is known of its old files")
    func replaced() throws {
        let scratch = Scratch()
        for name in ["a", "b", "c"] { try scratch.write("1", to: name) }
        var changes = FileChanges(FileState.look(at: [scratch.file("a"), scratch.file("b")]))
        try scratch.write("22", to: "b")
        let now = FileState.look(at: [scratch.file("b"), scratch.file("c")])
        changes.replaceSet(now)
        #expect(changes.looked(now, at: .seconds(1), quiet: .seconds(1), longestUnrest: .seconds(30)).isEmpty)
        #expect(changes.looked(now, at: .seconds(2), quiet: .seconds(1), longestUnrest: .seconds(30)) == [scratch.file("b")])
    }

    @Test("the watch itself looks, tells, and ends with its task", .timeLimit(.minutes(1)))
    func running() async throws {
        let scratch = Scratch()
        try scratch.write("a", to: "f")
        let (told, continuation) = AsyncStream.makeStream(of: [String].self)
        var pace = FileWatch.Pace()
        pace.interval = .milliseconds(5)
        pace.quiet = .milliseconds(10)
        let watch = FileWatch([scratch.file("f")], pace: pace) { continuation.yield($0) }
        let task = Task { await watch.run() }
        try scratch.write("other", to: "f")
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == [scratch.file("f")])
        watch.watch([scratch.file("f"), scratch.file("g")])
        try scratch.write("x", to: "g")
        #expect(await iterator.next() == [scratch.file("g")])
        task.cancel()
        await task.value
    }
}
