import ConfigFile
import Glibc
import Headwater
import Logging

extension Privileges {
    /// The middle of the start: root's rights go if a `user` is configured, and with them the way back.
    ///
    /// - Parameter files: What a reload will read; what it can't is told now.
    static func giveUp(_ configuration: HeadwaterConfiguration, files: [String], _ logger: Logger) throws {
        if let user = configuration.user {
            let account = try account(user: user)
            if geteuid() == 0, let directory = configuration.broker.store.directory {
                try StoreOwnership.give(directory, to: account)
            }
            switch try drop(to: account) {
            case .dropped: logger.info("root's rights are given up", metadata: ["user": "\(user)"])
            case .notRoot: logger.warning("user is for a broker that is started as root; this one goes on as it is", metadata: ["user": "\(user)"])
            }
        } else if geteuid() == 0 {
            logger.warning("running as root: name a user in the configuration (user: headwater), or start it as one")
        }
        try harden(allowsCoreDumps: configuration.allowsCoreDumps)
        for (path, reason) in unreadable(files) {
            logger.warning("a reload will not be able to read a file: let the broker's user read it", metadata: [
                "file": "\(path)", "reason": "\(reason)",
            ])
        }
    }
}

/// The store's directory and what is in it, in the hands of the user that the broker goes on as.
enum StoreOwnership {
    static func give(_ directory: String, to account: Privileges.Account) throws(Privileges.Fault) {
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw Privileges.Fault(description: "store.directory \(directory) can't be made: \(String(cString: strerror(errno)))")
        }
        guard let listing = opendir(directory) else {
            throw Privileges.Fault(description: "store.directory \(directory) can't be read: \(String(cString: strerror(errno)))")
        }
        defer { closedir(listing) }
        let place = dirfd(listing)
        var names = ["."]
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        for name in names {
            // Never through a link: it could lead out of the directory.
            guard fchownat(place, name, account.user, account.group, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw Privileges.Fault(
                    description: "\(directory)/\(name) can't be given to \(account.name): \(String(cString: strerror(errno)))")
            }
        }
    }
}
