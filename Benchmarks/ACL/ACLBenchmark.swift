import Glibc
import MQTTModel
import Security

/// What a check of a large ACL file costs: 100,000 rules for 50,000 users beside 40 patterns, everybody asked in random order, so
/// that hardly anything is in a cache.
///
/// `swift run -c release acl-benchmark`; with a number, that many questions per line (callgrind counts instructions: 1000 do).
@main
struct ACLBenchmark {
    static let users = 50_000

    private let questions: Int
    private let policy: ACLPolicy
    private let principals: [ACLPrincipal]
    private var state: UInt64 = 42

    static func main() throws {
        var benchmark = try ACLBenchmark(questions: CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000)
        benchmark.measure("own rule allows", expected: true) { "fleet/site\($0 % 211)/device-\($0)/temperature" }
        benchmark.measure("pattern allows", expected: true) { "shared\($0 % 40)/device-\($0)/c\($0)/x" }
        benchmark.measure("another's topic", expected: false) { "fleet/site\($0 % 211)/device-\(($0 + 1) % users)/temperature" }
        benchmark.measure("unknown topic", expected: false) { "nothing/like/it/\($0)" }
        benchmark.measureFilters()
        try measureDearestFilter()
    }

    init(questions: Int) throws {
        self.questions = questions
        var text = ""
        for user in 0..<Self.users {
            let site = user % 211
            text += "user device-\(user)\ntopic readwrite fleet/site\(site)/device-\(user)/#\ntopic read fleet/site\(site)/+/state\n"
        }
        for pattern in 0..<40 { text += "pattern readwrite shared\(pattern)/%u/%c/#\n" }
        let start = ContinuousClock.now
        let file = try ACLFile(Array(text.utf8), name: "generated")
        let parsed = ContinuousClock.now
        let policy = ACLPolicy(file)
        print(
            "\(file.rules.count) rules, \(text.utf8.count) bytes: parsed in \(parsed - start), compiled in \(ContinuousClock.now - parsed)")
        let compiled = ContinuousClock.now
        principals = (0..<Self.users).map { policy.principal(username: "device-\($0)", clientID: "c\($0)") }
        self.policy = policy
        print("a principal: \((ContinuousClock.now - compiled) / Self.users)")
    }

    private mutating func random(_ limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }

    private mutating func measure(_ name: String, expected: Bool, _ topic: (Int) -> String) {
        let topics = (0..<Self.users).map { Array(topic($0).utf8) }
        let order = (0..<questions).map { _ in random(Self.users) }
        var allowed = 0
        let before = Self.processorNanoseconds
        for user in order {
            topics[user].withUnsafeBytes { bytes in
                if bytes[0] == 0 || principals[user].isForeign(to: policy) { allowed += 1 }
            }
        }
        let start = Self.processorNanoseconds
        for user in order {
            topics[user].withUnsafeBytes { bytes in
                if policy.check(principals[user], topic: bytes, access: .write, qos: .atLeastOnce).isAllowed { allowed += 1 }
            }
        }
        let end = Self.processorNanoseconds
        precondition(allowed == (expected ? questions : 0), "\(name): \(allowed) of \(questions) allowed")
        print("\(name): \((end - start) / questions) ns, of which looking only \((start - before) / questions) ns")
    }

    private static var processorNanoseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private func measureFilters() {
        let start = Self.processorNanoseconds
        let could = (0..<10_000).filter { user in
            Array("fleet/+/device-\(user)/#".utf8).withUnsafeBytes { policy.couldEverRead(principals[user], filter: $0) }
        }
        print("whether a filter could ever be read: \((Self.processorNanoseconds - start) / 10_000) ns, \(could.count) could")
    }

    /// A SUBSCRIBE that meets as many rules as it may: the budget is what bounds it.
    private static func measureDearestFilter() throws {
        let text = (0..<30_000).map { "pattern write s\($0)/a\n" }.joined()
        let policy = ACLPolicy(try ACLFile(Array(text.utf8), name: "generated"))
        let principal = policy.principal(username: "u", clientID: "c")
        let start = processorNanoseconds
        let could = Array("+/+".utf8).withUnsafeBytes { policy.couldEverRead(principal, filter: $0) }
        print("the dearest filter: \((processorNanoseconds - start) / 1_000) us, \(could ? "granted unseen" : "refused")")
    }
}
