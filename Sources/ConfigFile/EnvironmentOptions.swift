/// Options from environment variables: `HEADWATER_` and the option's path in capitals, with `_` or `__` between its parts,
/// as in `HEADWATER_LOG_LEVEL`. They stand above the file. Lists and mappings belong into the file.
enum EnvironmentOptions {
    private static let prefix = "HEADWATER_"
    /// Read by tests, fuzzers and benchmarks, not by the program.
    private static let foreign = ["HEADWATER_TEST_", "HEADWATER_CRASH_", "HEADWATER_FAULT", "HEADWATER_FUZZ", "HEADWATER_BENCH"]

    static func variable(for path: [String]) -> String { prefix + path.joined(separator: "_").uppercased() }

    static func apply(_ environment: [String: String], to configuration: inout HeadwaterConfiguration) -> [ConfigurationDiagnostic] {
        let options = BrokerOptions.table.filter(\.type.isScalar)
        let byVariable = Dictionary(uniqueKeysWithValues: options.map { (variable(for: $0.path), $0) })
        var diagnostics: [ConfigurationDiagnostic] = []
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(prefix) {
            if foreign.contains(where: name.hasPrefix) || isServiceLink(name) { continue }
            func report(_ message: String) {
                diagnostics.append(ConfigurationDiagnostic(location: .environment(variable: name), message: message))
            }
            guard let option = byVariable[joined(name)] else {
                report(unknown(name, known: byVariable.keys))
                continue
            }
            do {
                option.set(&configuration, try option.type.value(of: value, isQuoted: false))
            } catch {
                report(error.message)
            }
        }
        return diagnostics
    }

    private static func unknown(_ name: String, known: some Collection<String>) -> String {
        let structure = BrokerOptions.structures.first { name.hasPrefix(variable(for: $0.split(separator: ".").map(String.init))) }
        if let structure { return "\(structure) can't be set by a variable; it belongs into the configuration file" }
        return "no option has this name\(Suggestion.text(for: joined(name), in: known))"
    }

    private static func joined(_ name: String) -> String {
        var name = name
        while let double = name.firstRange(of: "__") { name.replaceSubrange(double, with: "_") }
        return name
    }

    /// Kubernetes and Docker put such variables into a container for every service; one named `headwater` must not keep the
    /// broker from starting.
    private static func isServiceLink(_ name: String) -> Bool {
        name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name == "HEADWATER_PORT" || name.hasSuffix("_PORT")
            || name.firstRange(of: "_PORT_").map { $0.upperBound < name.endIndex && name[$0.upperBound].isNumber } ?? false
    }
}
