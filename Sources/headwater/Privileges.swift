import CPrivileges
import Glibc

/// Gives up root's rights, once and for all, when everything that needs them is open.
///
/// To be open before the drop: listeners on ports below 1024, and Unix sockets in directories of root's; certificate keys, their
/// passphrase files, PSK, password and ticket key files that root alone may read; log and address files outside the user's directories.
/// To be opened after it, or the files would be root's: the store. What a reload reads again must be readable by the user:
/// `unreadable` says at once what isn't, and not when the certificate is renewed.
///
/// glibc changes the rights of all threads at once (setxid); a bare system call would change one.
struct Privileges {
    /// Who the process is to be.
    struct Account: Equatable {
        let name: String
        let user: uid_t
        let group: gid_t
    }

    /// Why the process can't go on with fewer rights. The text says what to do.
    struct Fault: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    enum Outcome: Equatable {
        case dropped
        /// The process has not been root's, so there is nothing to give up: it runs as whoever started it.
        case notRoot
    }

    /// - Parameters:
    ///   - user: A name of the system's user database.
    ///   - group: A name of its group database; `nil`: the user's own group.
    static func account(user: String, group: String? = nil) throws(Fault) -> Account {
        guard let entry = getpwnam(user) else {
            throw Fault(description: "user: there is no user \"\(user)\" on this system; create it, or name another")
        }
        var account = Account(name: user, user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        if let group {
            guard let entry = getgrnam(group) else {
                throw Fault(description: "group: there is no group \"\(group)\" on this system; create it, or name another")
            }
            account = Account(name: user, user: account.user, group: entry.pointee.gr_gid)
        }
        guard account.user != 0, account.group != 0 else {
            throw Fault(description: "user: \"\(user)\" has root's rights; name a user without them, or leave user out to stay root")
        }
        return account
    }

    /// Becomes `account`, with its groups and no others, and proves that there is no way back.
    ///
    /// - Throws: When the process may still have some of root's rights: it must end then.
    static func drop(to account: Account) throws(Fault) -> Outcome {
        guard geteuid() == 0 else { return .notRoot }
        // In this order, since each step needs the rights that the next one takes.
        try check(initgroups(account.name, account.group), "initgroups")
        try check(setresgid(account.group, account.group, account.group), "setresgid")
        try check(setresuid(account.user, account.user, account.user), "setresuid")
        try prove(account)
        try check(headwater_forbid_new_privileges(), "PR_SET_NO_NEW_PRIVS")
        return .dropped
    }

    private static func prove(_ account: Account) throws(Fault) {
        var (real, effective, saved): (uid_t, uid_t, uid_t) = (0, 0, 0)
        try check(getresuid(&real, &effective, &saved), "getresuid")
        guard [real, effective, saved] == [account.user, account.user, account.user] else { throw unfinished("user") }
        try check(getresgid(&real, &effective, &saved), "getresgid")
        guard [real, effective, saved] == [account.group, account.group, account.group] else { throw unfinished("group") }
        guard !groups().contains(0) else {
            throw Fault(description: "user: \"\(account.name)\" is a member of root's group; take it out of that group, or name another")
        }
        try proveThreads(account)
        // Capabilities may outlive root's number (SECBIT_NO_SETUID_FIXUP, ambient ones): so try.
        guard setuid(0) != 0, seteuid(0) != 0, setgid(0) != 0, setegid(0) != 0 else { throw unfinished("way back to root") }
    }

    /// What the C library does for all threads it doesn't do for one that it takes to be ending.
    private static func proveThreads(_ account: Account) throws(Fault) {
        guard let listing = opendir("/proc/self/task") else { return }  // no /proc: nothing can be said
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != "..", let file = fopen("/proc/self/task/\(name)/status", "re") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 512)
            var numbers: [UInt32]?
            while numbers == nil, fgets(&line, CInt(line.count), file) != nil {
                let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                if text.hasPrefix("Uid:") { numbers = text.dropFirst(4).split(whereSeparator: \.isWhitespace).compactMap { UInt32($0) } }
            }
            // A thread that has ended meanwhile has no line.
            if let numbers, !numbers.allSatisfy({ $0 == account.user }) { throw unfinished("thread \(name)") }
        }
    }

    private static func unfinished(_ what: String) -> Fault {
        Fault(description: "user: root's rights can't be given up (\(what)); does the system keep capabilities over a change of user?")
    }

    private static func groups() -> [gid_t] {
        var list = [gid_t](repeating: 0, count: Int(max(0, getgroups(0, nil))))
        let count = getgroups(CInt(list.count), &list)
        return Array(list.prefix(Int(max(0, count))))
    }

    private static func check(_ result: CInt, _ call: String) throws(Fault) {
        guard result == 0 else {
            throw Fault(description: "user: root's rights can't be given up: \(call): \(String(cString: strerror(errno)))")
        }
    }

    /// Those of `paths` that this process can't read now, and a later reload couldn't either, with the reason.
    static func unreadable(_ paths: [String]) -> [(path: String, reason: String)] {
        paths.compactMap { path in
            let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard descriptor < 0 else {
                close(descriptor)
                return nil
            }
            return (path, String(cString: strerror(errno)))
        }
    }

    /// Keeps what the process knows to itself: files that it makes are the user's alone, and unless asked for there is no core dump,
    /// in which keys and passwords would be. After `drop`, because a change of user sets the system's own choice again.
    static func harden(allowsCoreDumps: Bool) throws(Fault) {
        umask(0o077)
        guard !allowsCoreDumps else { return }
        // The limit is for what writes files; a handler that the kernel pipes dumps to is stopped by the flag alone.
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        guard setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &none) == 0, headwater_forbid_dumps() == 0 else {
            throw Fault(description: "core dumps can't be switched off: \(String(cString: strerror(errno)))")
        }
    }
}
