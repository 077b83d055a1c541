/// What listens where, one line each, in the store's directory: for programs that start a broker on ports that the system
/// chooses.
enum AddressFile {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    static func write(_ addresses: [String], in directory: String) throws(Fault) {
        let name = directory + "/addresses"
        if let reason = WholeFile.write(addresses.map { $0 + "\n" }.joined(), to: name, mode: 0o600) {
            throw Fault(description: "\(name): \(reason)")
        }
    }
}
