import MQTTModel
import Routing
import Testing

struct SharedGroupTests {
    private func group(_ ids: UInt64...) -> SharedGroup {
        var group = SharedGroup()
        for id in ids { group.join(id, options: SubscriptionOptions(qos: .atLeastOnce)) }
        return group
    }

    // #expect takes no mutating call
    private func choose(_ group: inout SharedGroup, excluding excluded: UInt64? = nil) -> SharedGroup.Member? {
        group.choose(excluding: excluded)
    }

    private func leave(_ group: inout SharedGroup, _ id: UInt64) -> Bool { group.leave(id) }

    private func choices(_ group: inout SharedGroup, _ count: Int) -> [UInt64] {
        (0..<count).compactMap { _ in group.choose()?.id }
    }

    @Test("constant members get equal shares at every moment, give or take one")
    func balance() {
        var group = group(1, 2, 3, 4, 5, 6, 7)
        var shares: [UInt64: Int] = [:]
        for message in 1...1000 {
            shares[group.choose()!.id, default: 0] += 1
            let most = shares.values.max()!
            let least = message < 7 ? 0 : shares.values.min()!
            #expect(most - least <= 1)
        }
        #expect(shares.count == 7)
    }

    @Test("members take turns in the order in which they joined")
    func order() {
        var group = group(10, 20, 30)
        #expect(choices(&group, 7) == [10, 20, 30, 10, 20, 30, 10])
    }

    @Test("a congested member is chosen only when every online member is congested, an offline one only when none is online")
    func precedence() {
        var group = group(1, 2, 3)
        group.setCongested(1, true)
        group.setOnline(3, false)
        #expect(choices(&group, 3) == [2, 2, 2])
        group.setCongested(2, true)
        #expect(choices(&group, 4) == [1, 2, 1, 2])
        group.setOnline(1, false)
        group.setOnline(2, false)
        #expect(!group.hasOnlineMember())
        #expect(choices(&group, 6).sorted() == [1, 1, 2, 2, 3, 3])
        group.setOnline(3, true)
        #expect(choices(&group, 2) == [3, 3])
    }

    @Test("the excluded member is passed over and keeps its turn")
    func exclusion() {
        var group = group(1, 2, 3)
        #expect(choose(&group, excluding: 1)?.id == 2)
        #expect(choices(&group, 3) == [1, 3, 2])
        group.leave(2)
        group.leave(3)
        #expect(choose(&group, excluding: 1) == nil)
        #expect(group.hasOnlineMember())
        #expect(!group.hasOnlineMember(excluding: 1))
        #expect(group.hasOnlineMember(excluding: 99))
        group.join(4, options: SubscriptionOptions(qos: .atMostOnce), isOnline: false)
        #expect(choose(&group, excluding: 1)?.id == 4)
        #expect(!group.hasOnlineMember(excluding: 1))
    }

    @Test("joining again changes the options and adds no second turn")
    func joiningAgain() {
        var group = group(1, 2)
        group.join(1, options: SubscriptionOptions(qos: .exactlyOnce, subscriptionID: 3))
        #expect(group.count == 2)
        #expect(group.member(1)?.options == SubscriptionOptions(qos: .exactlyOnce, subscriptionID: 3))
        #expect(choices(&group, 4).sorted() == [1, 1, 2, 2])
    }

    @Test("a group whose members have left is empty and chooses nobody")
    func empty() {
        var group = group(1, 2)
        #expect(leave(&group, 1))
        #expect(!leave(&group, 1))
        #expect(leave(&group, 2))
        #expect(group.isEmpty)
        #expect(choose(&group) == nil)
        group.setOnline(1, true)
        group.setCongested(1, true)
        #expect(group.isEmpty)
    }

    @Test("after any events, the choice is a member of the best class that is not empty")
    func randomEvents() {
        var random = SeededGenerator(seed: 21)
        var group = SharedGroup()
        var members: [UInt64: (isOnline: Bool, isCongested: Bool)] = [:]
        for _ in 0..<20_000 {
            let id = UInt64.random(in: 0..<12, using: &random)
            let flag = Bool.random(using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                group.join(id, options: SubscriptionOptions(qos: .atMostOnce), isOnline: flag)
                members[id] = (flag, members[id]?.isCongested ?? false)
            case 1:
                #expect(leave(&group, id) == (members.removeValue(forKey: id) != nil))
            case 2:
                group.setOnline(id, flag)
                members[id]?.isOnline = flag
            case 3:
                group.setCongested(id, flag)
                members[id]?.isCongested = flag
            default:
                let excluded = flag ? id : nil
                let others = members.filter { $0.key != excluded }
                let best = others.values.map { $0.isOnline ? ($0.isCongested ? 1 : 0) : 2 }.min()
                let chosen = group.choose(excluding: excluded)
                #expect(chosen.map { $0.isOnline ? ($0.isCongested ? 1 : 0) : 2 } == best)
                if let chosen { #expect(others[chosen.id] != nil) }
                #expect(group.hasOnlineMember(excluding: excluded) == others.values.contains { $0.isOnline })
            }
            #expect(group.count == members.count)
        }
    }
}
