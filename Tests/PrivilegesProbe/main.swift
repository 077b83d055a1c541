import CPrivileges
import Glibc

// Run by PrivilegesTests in a process of its own, since rights that are given up don't come back. Prints one line for each fact.

/// A right that one thread keeps is a right of the process.
func tryOnAnotherThread() {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { _ in
            print("thread \(geteuid()) \(setuid(0) == 0)")
            return nil
        }, nil)
    pthread_join(thread, nil)
}

let arguments = CommandLine.arguments
guard arguments.count >= 3 else {
    print("usage: privileges-probe USER SECRET-FILE [GROUP]")
    exit(2)
}
do throws(Privileges.Fault) {
    let account = try Privileges.account(user: arguments[1], group: arguments.count > 3 ? arguments[3] : nil)
    print("dropped \(try Privileges.drop(to: account))")
    try Privileges.harden(allowsCoreDumps: false)
    print("user \(getuid()) \(geteuid()) group \(getgid()) \(getegid()) groups \(getgroups(0, nil))")
    print("root again \(setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)")
    tryOnAnotherThread()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &limit)
    print("core \(limit.rlim_cur) \(limit.rlim_max) dumpable \(headwater_is_dumpable()) umask \(umask(0o077))")
    print("unreadable \(Privileges.unreadable([arguments[2], "/etc/passwd"]).map(\.path))")
} catch {
    print("fault \(error)")
    exit(1)
}
