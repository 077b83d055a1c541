import Glibc
import Security

/// Passwords from wherever they may come: the terminal without echo, a file, stdin. Never the command line.
enum PasswordInput {
    private static let maxBatchBytes = 64 << 20

    /// Asked for twice at a terminal.
    static func new(for user: String, from file: String?) throws(PasswdFault) -> [UInt8] {
        let password: [UInt8]
        if let file {
            password = try firstLine(of: file)
        } else {
            let name = PrintableText.escaped(user.utf8)
            password = try Terminal.ask("New password for \(name): ")
            if let fault = PasswordFileEdit.passwordFault(password) { throw PasswdFault(fault) }
            guard try Terminal.ask("Again: ") == password else { throw PasswdFault("the two are not the same; nothing is changed") }
        }
        if let fault = PasswordFileEdit.passwordFault(password) { throw PasswdFault(fault) }
        return password
    }

    static func existing(for user: String, from file: String?) throws(PasswdFault) -> [UInt8] {
        if let file { return try firstLine(of: file) }
        return try Terminal.ask("Password of \(PrintableText.escaped(user.utf8)): ")
    }

    /// Lines `user:password` of stdin; a colon may stand in the password. All faults are told at once.
    static func batch(_ input: [UInt8]? = nil) throws(PasswdFault) -> [(user: [UInt8], password: [UInt8])] {
        guard let bytes = input ?? InputFile.read(STDIN_FILENO, maxBytes: maxBatchBytes) else {
            throw PasswdFault("stdin can't be read, or is larger than \(maxBatchBytes) bytes")
        }
        var entries: [(user: [UInt8], password: [UInt8])] = []
        var lineOf: [[UInt8]: Int] = [:]
        var faults: [String] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            guard !line.isEmpty else { continue }
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
            let fault =
                if parts.count < 2 {
                    "the line has no colon; write user:password" as String?
                } else if let first = lineOf.updateValue(index + 1, forKey: parts[0]) {
                    "the user was given in line \(first) already"
                } else {
                    PasswordFileEdit.nameFault(parts[0]) ?? PasswordFileEdit.passwordFault(parts[1])
                }
            if let fault { faults.append("stdin:\(index + 1): \(fault)") } else { entries.append((parts[0], parts[1])) }
        }
        guard faults.isEmpty else { throw PasswdFault((faults.prefix(100) + ["nothing is changed"]).joined(separator: "\n")) }
        guard !entries.isEmpty else { throw PasswdFault("stdin has no line user:password") }
        return entries
    }

    private static func firstLine(of file: String) throws(PasswdFault) -> [UInt8] {
        let most = PasswordFile.maxFieldBytes + 2
        guard let bytes = file == "-" ? InputFile.read(STDIN_FILENO, maxBytes: most) : InputFile.read(file, maxBytes: most) else {
            throw PasswdFault("\(file == "-" ? "stdin" : file) can't be read, or is larger than a password may be")
        }
        return Array(bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
    }
}

/// The terminal that this process belongs to, for a question whose answer doesn't show.
enum Terminal {
    static func ask(_ question: String) throws(PasswdFault) -> [UInt8] {
        let terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { throw PasswdFault("there is no terminal to ask at; use --password-file") }
        defer { close(terminal) }
        var before = termios()
        guard tcgetattr(terminal, &before) == 0 else { throw PasswdFault("the terminal can't be asked without echo; use --password-file") }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        silent.c_lflag |= tcflag_t(ECHONL)
        // A signal in the middle must not leave the terminal silent: it ends the question, and takes effect after the restoration.
        var signals = SignalPause()
        guard tcsetattr(terminal, TCSAFLUSH, &silent) == 0 else {
            throw PasswdFault("the terminal can't be asked without echo; use --password-file")
        }
        _ = StandardStreams.write(Array(question.utf8), to: terminal)
        let line = readLine(terminal)
        tcsetattr(terminal, TCSAFLUSH, &before)
        signals.end()
        guard let line else { throw PasswdFault("no password was given; nothing is changed") }
        return line
    }

    /// - Returns: `nil` at the end of input, or when a signal came.
    private static func readLine(_ terminal: Int32) -> [UInt8]? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count <= PasswordFile.maxFieldBytes {
            // The signal may have come to another thread than this one, which no system call tells then.
            var ready = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            while poll(&ready, 1, 100) <= 0 { if SignalPause.hasCome { return nil } }
            guard read(terminal, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return line }
            line.append(byte)
        }
        return line
    }
}

/// Holds back what signals do; `end` lets those that came do it.
private struct SignalPause {
    static var hasCome: Bool { came != 0 }
    nonisolated(unsafe) private static var came: sig_atomic_t = 0  // written by the handler alone
    private static let numbers = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
    private var before: [sigaction] = []

    init() {
        Self.came = 0
        var pause = sigaction()
        pause.__sigaction_handler.sa_handler = { SignalPause.came = $0 }
        for number in Self.numbers {
            var old = sigaction()
            sigaction(number, &pause, &old)
            before.append(old)
        }
    }

    mutating func end() {
        for (number, old) in zip(Self.numbers, before) {
            var old = old
            sigaction(number, &old, nil)
        }
        before = []
        if Self.came != 0 { raise(Self.came) }
    }
}
