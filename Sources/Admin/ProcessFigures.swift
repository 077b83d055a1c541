import Glibc

/// What the kernel counts for this process, under the names that Prometheus' own clients use.
struct ProcessFigures {
    let residentBytes: Int
    let cpuSeconds: Double

    /// `nil` where /proc is not to be read.
    static var current: ProcessFigures? {
        guard let file = fopen("/proc/self/statm", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }
        return ProcessFigures(
            residentBytes: pages * sysconf(Int32(_SC_PAGESIZE)), cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime))
    }
}
