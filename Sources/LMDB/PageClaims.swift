/// Which pages somebody points to: each may be claimed once, by one tree or by the free list.
struct PageClaims: ~Copyable {
    private let words: UnsafeMutablePointer<UInt64>
    private let lastPage: UInt64
    private(set) var count = 0

    /// Nothing may claim the meta pages.
    private static let firstPage: UInt64 = 2

    init(lastPage: UInt64) {
        self.lastPage = lastPage
        let count = Int(lastPage / 64) + 1
        words = .allocate(capacity: count)
        words.initialize(repeating: 0, count: count)
    }

    deinit { words.deallocate() }

    /// Whether it is the number of a page at all.
    func mayClaim(_ page: UInt64) -> Bool { page >= Self.firstPage && page <= lastPage }

    mutating func claim(_ page: UInt64) throws(PageFinding) {
        guard mayClaim(page) else { throw .damaged(page, "a page number outside the file is used") }
        let index = Int(page / 64)
        let bit: UInt64 = 1 << (page % 64)
        guard words[index] & bit == 0 else { throw .damaged(page, "a page is used twice") }
        words[index] |= bit
        count += 1
    }

    mutating func claim(_ page: UInt64, count: UInt64) throws(PageFinding) {
        guard count >= 1, page <= lastPage, count <= lastPage - page + 1 else {
            throw .damaged(page, "a run of pages leaves the file")
        }
        for offset in 0..<count { try claim(page + offset) }
    }

    func isClaimed(_ page: UInt64) -> Bool {
        page <= lastPage && words[Int(page / 64)] & (1 << (page % 64)) != 0
    }
}
