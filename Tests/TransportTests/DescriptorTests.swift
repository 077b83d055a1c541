import Foundation
import Testing
import Transport

@Suite("Descriptors")
struct DescriptorTests {
    /// Descriptors that the kernel's table has room for (proc_pid_status(5)).
    private func tableSize() throws -> Int {
        let line = try #require(try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n").first { $0.hasPrefix("FDSize:") })
        return try #require(Int(line.dropFirst(7).trimmingCharacters(in: .whitespaces)))
    }

    @Test("the table grows at once, and beyond the limit nothing happens")
    func reserve() throws {
        let limit = DirectSocket.raiseDescriptorLimit()
        let wanted = min(limit, try tableSize() * 2)
        DirectSocket.reserveDescriptors(wanted)
        #expect(try tableSize() >= wanted)
        let size = try tableSize()
        DirectSocket.reserveDescriptors(limit + 1)
        DirectSocket.reserveDescriptors(.max)
        #expect(try tableSize() == size)
    }
}
