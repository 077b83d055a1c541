import ArgumentParser
import CPrivileges
import Glibc

/// Where the process begins.
///
/// An asynchronous `main` would end in `dispatch_main`, which ends the main thread as far as glibc knows while the kernel keeps it.
/// `setresuid` passes over such a thread: the process would go on with one that has root's rights still (`Privileges`). So the
/// main thread stays and waits.
@main enum Program {
    static func main() {
        // Threads have this one by one, and begin with what their maker has: so before there are any. Nothing is started from here
        // that would need more rights than this process has.
        _ = headwater_forbid_new_privileges()
        Task.detached {
            await HeadwaterCommand.main()
            exit(0)
        }
        while true { pause() }
    }
}
