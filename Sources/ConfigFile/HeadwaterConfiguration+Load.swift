import Admin
import Headwater
import KafkaBridge
import MQTTModel
import Yams

extension HeadwaterConfiguration {
    /// Reads the file, if any, and then the environment, which stands above it.
    /// - Parameters:
    ///   - file: Path of a YAML file of at most 4 MiB; `nil`: the defaults.
    ///   - environment: All variables of the process. Those that begin with `HEADWATER_` must name an option.
    /// - Throws: Every fault at once. Nothing is printed and nothing is opened but the file and those that it refers to.
    public static func load(file: String?, environment: [String: String]) throws(ConfigurationError) -> HeadwaterConfiguration {
        guard let file else { return try parse("", file: "", environment: environment) }
        let text: ConfigurationText
        do {
            text = try ConfigurationText(file: file, maxBytes: ConfigurationText.maxConfigurationBytes)
        } catch {
            throw ConfigurationError([error])
        }
        return try parse(text.string, file: file, environment: environment)
    }

    /// The same for a text that has been read; `file` names it in messages.
    public static func parse(_ text: String, file: String, environment: [String: String] = [:]) throws(ConfigurationError)
        -> HeadwaterConfiguration
    {
        let root: Node?
        do {
            root = try YAMLDocument.root(of: text, file: file)
        } catch {
            throw ConfigurationError([error])
        }
        var configuration = HeadwaterConfiguration()
        var reader = ConfigurationReader(file: file)
        if let root {
            let found = reader.read(root, place: "", into: &configuration, table: BrokerOptions.table, structures: BrokerOptions.structures)
            if found["http"] != nil, found["http.address"] == nil { configuration.http = AdminConfiguration() }
            if let tenants = found["tenants"] { reader.tenantQuotas(tenants, into: &configuration.broker.quotas) }
            var security = ListenerEntry()
            if let section = found["security"] {
                _ = reader.read(section.value, place: "security", into: &security, table: SecurityOptions.table)
                if found["listeners"] == nil {
                    reader.report("security is for the listeners that the file names, and it names none: add listeners", at: section.key)
                }
            }
            if let listeners = found["listeners"] {
                configuration.broker.listeners = reader.listeners(listeners, security: security)
                configuration.listensByDefault = false
            }
            if let section = found["kafka"] {
                let (kafka, secrets) = reader.kafka(
                    section, clusters: found["kafka.clusters"], routes: found["kafka.routes"],
                    inbound: found["kafka.inbound"], environment: environment)
                configuration.kafka = kafka
                configuration.secretProperties = secrets
            }
        }
        let diagnostics = reader.diagnostics + EnvironmentOptions.apply(environment, to: &configuration)
        guard diagnostics.isEmpty else { throw ConfigurationError(diagnostics) }
        return configuration
    }
}
