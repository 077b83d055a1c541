import ArgumentParser
import Glibc
import Security

/// `headwater passwd`: who may log in with a password, in Mosquitto's file format.
struct PasswdCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd",
        abstract: "Set, delete, check and hash passwords in a password file.",
        discussion: """
            The format is Mosquitto's. argon2id is the strongest kind and is read by Mosquitto 2.1 and newer; pbkdf2 is read by \
            every Mosquitto 2; sha512 by older ones, and is quickly guessed.

            Examples:
              headwater passwd /etc/headwater/passwords alice            (asks for the password twice)
              pass show mqtt/alice | headwater passwd passwords alice --password-file -
              headwater passwd passwords --batch < users.txt             (lines of user:password)
              headwater passwd passwords --delete alice
              headwater passwd passwords --verify alice
              headwater passwd passwords --upgrade                       (hashes a file of plain user:password lines)

            A file that doesn't exist is made, mode 0600; one that does is replaced whole and keeps its owner and mode. A \
            running broker reads it again when it is reloaded.

            Exit codes: 0 all went well, with --verify: the password is right; 1 it did not, and stderr says why; 64 the command \
            line is wrong.
            """)

    @Argument(help: "The password file.")
    var file: String

    @Argument(help: "The user whose password is set.")
    var user: String?

    /// A password, for people who are used to `mosquitto_passwd -b`. Taken so that it can be refused without being repeated.
    @Argument(help: .hidden)
    var misplaced: [String] = []

    @Option(name: [.customShort("b"), .customLong("password")], help: .hidden)
    var refused: String?

    @Option(help: ArgumentHelp("Read the password from the first line of this file; - is stdin.", valueName: "path"))
    var passwordFile: String?

    @Flag(help: "Set the passwords of all lines of stdin, each user:password.")
    var batch = false

    @Option(help: ArgumentHelp("Delete this user.", valueName: "user"))
    var delete: String?

    @Option(help: ArgumentHelp("Ask for this user's password and say whether it is right.", valueName: "user"))
    var verify: String?

    @Flag(help: "Hash the passwords that stand plainly in the file.")
    var upgrade = false

    @Option(help: "argon2id, pbkdf2 or sha512.")
    var kind = PasswordKind.argon2id

    @Option(help: "Iterations of pbkdf2 (default 210000), passes of argon2id (default 1).")
    var iterations: Int?

    @Option(help: ArgumentHelp("Memory of argon2id in KiB (default 47104); each login under way takes as much.", valueName: "kib"))
    var memory: Int?

    func validate() throws {
        if !misplaced.isEmpty || refused != nil {
            throw ValidationError(
                "a password on the command line can be seen by every user of this machine and stays in the shell's history: leave it "
                    + "out to be asked for it, or use --password-file; if it is in use, choose another")
        }
        if file.isEmpty { throw ValidationError("a file must be named") }
        let purposes = [user != nil, batch, delete != nil, verify != nil, upgrade].filter { $0 }.count
        if purposes != 1 { throw ValidationError("one of USER, --batch, --delete, --verify and --upgrade says what to do") }
        if let name = user ?? delete ?? verify, let fault = PasswordFileEdit.nameFault(Array(name.utf8)) { throw ValidationError(fault) }
        if passwordFile != nil, user == nil, verify == nil { throw ValidationError("--password-file goes with USER and --verify") }
        if iterations != nil, kind == .sha512 { throw ValidationError("--iterations doesn't go with --kind sha512") }
        if memory != nil, kind != .argon2id { throw ValidationError("--memory goes with --kind argon2id") }
        if let iterations, !(1...(kind == .argon2id ? 16 : 5_000_000)).contains(iterations) {
            throw ValidationError("--iterations is a number from 1 to \(kind == .argon2id ? "16, with argon2id" : "5000000")")
        }
        if let memory, !(8...262_144).contains(memory) { throw ValidationError("--memory is a number from 8 to 262144") }
    }

    var cost: PasswordCost {
        switch kind {
        case .sha512: .sha512
        case .pbkdf2: iterations.map { PasswordCost(.pbkdf2(iterations: $0)) } ?? .pbkdf2
        case .argon2id: PasswordCost(.argon2id(memoryKiB: memory ?? PasswordCost.argon2id.memoryKiB, passes: iterations ?? 1, lanes: 1))
        }
    }

    func run() throws {
        do {
            if let user {
                let password = try PasswordInput.new(for: user, from: passwordFile)
                try change(mayCreate: true) { edit throws(PasswdFault) in
                    try set(password, for: Array(user.utf8), in: &edit)
                    return "the password of \(Self.shown(user)) is set"
                }
            } else if batch {
                let entries = try PasswordInput.batch()
                try change(mayCreate: true) { edit throws(PasswdFault) in
                    for (user, password) in entries { try set(password, for: user, in: &edit) }
                    return "\(entries.count) passwords are set"
                }
            } else if let delete {
                try change(mayCreate: false) { edit throws(PasswdFault) in
                    guard edit.remove(Array(delete.utf8)) else { throw PasswdFault("\(file) has no user \(Self.shown(delete))") }
                    return "\(Self.shown(delete)) is deleted"
                }
            } else if upgrade {
                try change(mayCreate: false) { edit throws(PasswdFault) in
                    do throws(SecurityFaults) {
                        let count = try edit.upgrade(path: file) { PasswordHash.make(cost, password: $0) }
                        return "\(count) passwords are hashed"
                    } catch { throw PasswdFault(error.description) }
                }
            } else if let verify {
                try check(verify)
            }
        } catch let fault as PasswdFault {
            StandardStreams.complain(fault.description)
            throw ExitCode(1)
        }
    }

    private func set(_ password: [UInt8], for user: [UInt8], in edit: inout PasswordFileEdit) throws(PasswdFault) {
        guard let hash = PasswordHash.make(cost, password: password) else {
            throw PasswdFault("no memory for a hash; choose a smaller --memory")
        }
        edit.set(hash, for: user)
    }

    /// Changes the file, if what comes of it can be read.
    private func change(mayCreate: Bool, _ body: (inout PasswordFileEdit) throws(PasswdFault) -> String) throws(PasswdFault) {
        let report = try SecretFile.change(file, mayCreate: mayCreate) { bytes throws(PasswdFault) in
            var edit = PasswordFileEdit(bytes)
            let report = try body(&edit)
            bytes = edit.bytes
            do throws(SecurityFaults) {
                _ = try PasswordFile.parse(bytes, path: file)
            } catch {
                throw PasswdFault(error.description + "\nnothing is changed; what stands there belongs in no password file")
            }
            return report
        }
        StandardStreams.print(report)
        if kind == .sha512, delete == nil {
            StandardStreams.complain("sha512 hashes are quickly guessed by whoever gets the file; prefer pbkdf2")
        }
    }

    private func check(_ user: String) throws {
        let table: PasswordTable
        do throws(SecurityFaults) {
            let loaded = try PasswordFile.load(file)
            for warning in loaded.warnings { StandardStreams.complain("\(warning)") }
            table = loaded.table
        } catch { throw PasswdFault(error.description) }
        guard table.contains(Array(user.utf8)) else { throw PasswdFault("\(file) has no user \(Self.shown(user))") }
        switch table.verify(Array(user.utf8), password: try PasswordInput.existing(for: user, from: passwordFile)) {
        case .right: StandardStreams.print("the password is right")
        case .wrong: throw PasswdFault("the password is wrong")
        case .unable: throw PasswdFault("no memory for this hash")
        }
    }

    private static func shown(_ user: String) -> String { "\"\(PrintableText.escaped(user.utf8))\"" }
}

/// Something that the caller is told, with exit code 1.
struct PasswdFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

enum PasswordKind: String, ExpressibleByArgument, CaseIterable {
    case argon2id, pbkdf2, sha512

    /// Mosquitto's name for the second is taken as well.
    init?(argument: String) {
        guard let kind = argument == "sha512-pbkdf2" ? .pbkdf2 : PasswordKind(rawValue: argument) else { return nil }
        self = kind
    }
}
