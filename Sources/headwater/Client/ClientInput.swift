import Dispatch
import Foundation
import Glibc

/// This process, for client identifiers.
enum ProcessIdentity {
    static var number: Int32 { getpid() }
}

/// A file or stdin read whole.
enum InputFile {
    /// - Returns: `nil` when it can't be opened or read, or is larger.
    static func read(_ path: String, maxBytes: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return read(descriptor, maxBytes: maxBytes)
    }

    static func read(_ descriptor: Int32, maxBytes: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0, bytes.count + count <= maxBytes else { return nil }
            if count == 0 { return bytes }
            bytes += part[..<count]
        }
    }
}

/// The lines of stdin as they come, without their ends.
///
/// A thread of its own reads, since reading blocks; it reads ahead by some lines and no more, so that a file of any size
/// takes no memory.
struct StandardInputLines: AsyncSequence {
    typealias Element = [UInt8]
    private static let readAhead = 256
    /// A line may be as long as a packet.
    private static let maxLineBytes = 268_435_455

    private let lines: AsyncStream<[UInt8]>
    private let room: DispatchSemaphore

    init() {
        let (lines, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let room = DispatchSemaphore(value: Self.readAhead)
        self.lines = lines
        self.room = room
        Thread.detachNewThread {
            let input = fdopen(STDIN_FILENO, "r")
            var text: UnsafeMutablePointer<CChar>?
            var capacity = 0
            defer { free(text) }
            while let input {
                let count = getline(&text, &capacity, input)
                guard count > 0, count <= Self.maxLineBytes, let text else { break }
                var line = UnsafeRawBufferPointer(start: text, count: count)[...]
                if line.last == UInt8(ascii: "\n") { line = line.dropLast() }
                room.wait()
                continuation.yield(Array(line))
            }
            continuation.finish()
        }
    }

    struct Iterator: AsyncIteratorProtocol {
        var lines: AsyncStream<[UInt8]>.Iterator
        let room: DispatchSemaphore

        mutating func next() async -> [UInt8]? {
            let line = await lines.next()
            if line != nil { room.signal() }
            return line
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(lines: lines.makeAsyncIterator(), room: room) }
}
