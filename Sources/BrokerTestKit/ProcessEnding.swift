import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension Process {
    /// How it ended, `nil` while it runs.
    ///
    /// Foundation learns of an end by a socket of the child's, which a program that is started at the same moment may have got as well
    /// and then keeps open. The system knows better (waitid(2)).
    var ending: BrokerProcess.Ending? {
        guard isRunning else { return terminationReason == .exit ? .exit(terminationStatus) : .signal(terminationStatus) }
        var facts = siginfo_t()
        guard waitid(P_PID, id_t(processIdentifier), &facts, WEXITED | WNOHANG | WNOWAIT) == 0, facts.si_signo == SIGCHLD else { return nil }
        let status = facts._sifields._sigchld.si_status
        return facts.si_code == Int32(CLD_EXITED) ? .exit(status) : .signal(status)
    }
}
