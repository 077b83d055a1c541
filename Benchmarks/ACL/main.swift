import MQTTModel
import Security

// What a check of a large ACL file costs: 100,000 rules for 50,000 users beside 40 patterns, everybody asked in random order, so that
// hardly anything is in a cache. `swift run -c release acl-benchmark`; with a number, that many questions per line (for
// callgrind, which counts instructions: 1000).

let questions = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 1_000_000 : 1_000_000
let users = 50_000

var text = ""
for user in 0..<users { text += "user device-\(user)\ntopic readwrite fleet/site\(user % 211)/device-\(user)/#\ntopic read fleet/site\(user % 211)/+/state\n" }
for pattern in 0..<40 { text += "pattern readwrite shared\(pattern)/%u/%c/#\n" }

let clock = ContinuousClock()
var start = clock.now
let file = try ACLFile(Array(text.utf8), name: "generated")
let parsed = clock.now - start
start = clock.now
let policy = ACLPolicy(file)
print("\(file.rules.count) rules, \(text.utf8.count) bytes: parsed in \(parsed), compiled in \(clock.now - start)")

var state: UInt64 = 42
func random(_ limit: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(limit))
}

start = clock.now
let principals = (0..<users).map { policy.principal(username: "device-\($0)", clientID: "c\($0)") }
print("principal: \((clock.now - start) / users)")

/// Asks the same questions in random order, and prints the mean.
func measure(_ name: String, expected: Bool, _ topic: (Int) -> String) {
    let topics = (0..<users).map { Array(topic($0).utf8) }
    let order = (0..<questions).map { _ in random(users) }
    var allowed = 0
    let start = clock.now
    for user in order {
        topics[user].withUnsafeBytes { bytes in
            if policy.check(principals[user], topic: bytes, access: .write, qos: .atLeastOnce, retain: false).isAllowed { allowed += 1 }
        }
    }
    let elapsed = (clock.now - start) / questions
    precondition(allowed == (expected ? questions : 0), "\(name): \(allowed) allowed")
    print("\(name): \(elapsed)")
}

measure("own rule allows", expected: true) { "fleet/site\($0 % 211)/device-\($0)/temperature" }
measure("pattern allows", expected: true) { "shared\($0 % 40)/device-\($0)/c\($0)/x" }
measure("another's topic", expected: false) { "fleet/site\($0 % 211)/device-\(($0 + 1) % users)/temperature" }
measure("unknown topic", expected: false) { "nothing/like/it/\($0)" }

start = clock.now
var could = 0
for user in 0..<10_000 { if Array("fleet/+/device-\(user)/#".utf8).withUnsafeBytes({ policy.couldEverRead(principals[user], filter: $0) }) { could += 1 } }
print("could a filter ever be read: \((clock.now - start) / 10_000), \(could) could")
