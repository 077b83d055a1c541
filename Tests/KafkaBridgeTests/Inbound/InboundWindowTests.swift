import Testing

@testable import KafkaBridge

@Suite("The window of an inbound partition")
struct InboundWindowTests {
    @Test("the place that is stored is the lowest record that is not complete, whatever order completions come in")
    func random() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var window = InboundWindow()
            window.begin(at: 100, isKnown: false)
            var open: Set<Int64> = []
            var remembered: Set<Int64> = []
            var next: Int64 = 100
            var place: Int64 = 100
            for _ in 0..<300 {
                switch Int.random(in: 0..<4, using: &generator) {
                case 0, 1:
                    next += Int64.random(in: 0...2, using: &generator)  // gaps, as transactions and compaction leave them
                    let isPublished = Bool.random(using: &generator)
                    window.took(next, bytes: 10, isPublished: isPublished)
                    if isPublished {
                        open.insert(next)
                        remembered.insert(next)
                    }
                    next += 1
                case 2: if let one = open.randomElement(using: &generator) {
                    #expect(window.completed(one) == 10)
                    #expect(window.completed(one) == nil)
                    open.remove(one)
                }
                default:
                    guard let advance = window.advance() else { continue }
                    #expect(advance.position >= place && advance.position <= (open.min() ?? next))
                    place = advance.position
                    for number in advance.forgotten { #expect(remembered.remove(number) != nil && !open.contains(number) && number < place) }
                    #expect(remembered.allSatisfy { $0 >= place })
                }
                #expect(window.outstanding == open.count && window.outstandingBytes == 10 * open.count)
            }
            for one in open { _ = window.completed(one) }
            if let last = window.advance() { place = last.position }
            #expect(place == next && window.advance() == nil)
        }
    }

    @Test("records that an earlier life may have published are forgotten though they are skipped now")
    func recovered() {
        var window = InboundWindow()
        window.begin(at: 5, isKnown: true)
        #expect(window.advance() == nil)
        window.took(5, bytes: 1, isPublished: false)
        window.took(70_000, bytes: 1, isPublished: false)
        #expect(window.advance() == .init(position: 70_001, forgotten: [5]))
    }

    @Test("numbers that are not forgotten span fewer than 65,536")
    func span() {
        var window = InboundWindow()
        window.begin(at: 0, isKnown: false)
        #expect(window.mayTake(1_000_000))
        window.took(10, bytes: 1, isPublished: true)
        #expect(window.mayTake(10 + 59_999) && !window.mayTake(10 + 60_000))
        _ = window.completed(10)
        #expect(!window.mayTake(70_010), "it is complete, but the store has not been told")
        #expect(window.advance()?.forgotten == [10])
        #expect(window.mayTake(70_010))
    }

    @Test("offsets stand in the store as they were")
    func bytes() {
        for offset: Int64 in [0, 1, 255, 256, 1 << 40, .max] { #expect(InboundPartition.offset(of: InboundPartition.bytes(of: offset)) == offset) }
        #expect(InboundPartition.offset(of: [1, 2]) == nil && InboundPartition.offset(of: [UInt8](repeating: 255, count: 8)) == nil)
    }
}
