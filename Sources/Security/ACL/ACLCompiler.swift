import Encodings
import MQTTModel

/// Deals the rules of a file out to trees and finds every owner's lists.
struct ACLCompiler {
    private(set) var builder: ACLTreeBuilder
    private(set) var ownerNames = TextTable()
    private(set) var owners: [ACLOwner] = []
    private(set) var groupRoots: [UInt32] = []
    private(set) var tenantNames = TextTable()
    private(set) var tenantRoots: [UInt32] = []
    private(set) var generalRoot = ACLTree.none
    private(set) var namedGeneralRoot = ACLTree.none

    private let file: ACLFile

    init(_ file: ACLFile) {
        self.file = file
        builder = ACLTreeBuilder(file)
    }

    mutating func compile() {
        var rulesOfLists = [[Int]](repeating: [], count: file.lists.count)
        var (general, namedGeneral): ([Int], [Int]) = ([], [])
        for (number, rule) in file.rules.enumerated() {
            let list = file.lists[rule.list]
            if list.isGeneral, list.tenant == nil {
                // A %u that fills a level matches nothing without a username anyway.
                let isNamed = rule.needsUsername && !builder.hasVariable(.username, rule: number)
                if isNamed { namedGeneral.append(number) } else { general.append(number) }
            } else {
                rulesOfLists[rule.list].append(number)
            }
        }
        generalRoot = builder.add(general)
        namedGeneralRoot = builder.add(namedGeneral)
        var roots = [UInt32](repeating: ACLTree.none, count: file.lists.count)
        for (number, list) in file.lists.enumerated() {
            let tenant = list.tenant.map { tenantNumber(of: $0) }
            roots[number] = builder.add(rulesOfLists[number])
            switch list.section {
            case .anonymous: owners[owner(tenant, nil)].root = roots[number]
            case .user: owners[owner(tenant, list.name.string)].root = roots[number]
            case .everyone, .patterns: if let tenant { tenantRoots[Int(tenant)] = roots[number] }
            case .group: break
            }
        }
        addGroups(roots)
    }

    private mutating func addGroups(_ roots: [UInt32]) {
        var groupsOfOwners = [[UInt32]](repeating: [], count: owners.count)
        for membership in file.memberships where roots[membership.group] != ACLTree.none {
            let tenant = file.lists[membership.group].tenant.map { tenantNumber(of: $0) }
            let number = owner(tenant, membership.username.string)
            if number == groupsOfOwners.count { groupsOfOwners.append([]) }
            groupsOfOwners[number].append(roots[membership.group])
        }
        for (number, groups) in groupsOfOwners.enumerated() {
            owners[number] = ACLOwner(root: owners[number].root, groups: groupRoots.count..<(groupRoots.count + groups.count))
            groupRoots += groups
        }
    }

    private mutating func owner(_ tenant: UInt32?, _ username: String?) -> Int {
        let number = ACLPolicy.ownerKey(tenant, username).withUnsafeBytes { ownerNames.number(of: $0) }
        if Int(number) == owners.count { owners.append(.nobody) }
        return Int(number)
    }

    private mutating func tenantNumber(of name: ExactText) -> UInt32 {
        let number = Array(name.string.utf8).withUnsafeBytes { tenantNames.number(of: $0) }
        if Int(number) == tenantRoots.count { tenantRoots.append(ACLTree.none) }
        return number
    }
}
