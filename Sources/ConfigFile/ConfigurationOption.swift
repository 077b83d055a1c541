/// One option: where it stands, what it may be, what it is for, and the field it fills.
///
/// The tables of options (`BrokerOptions`, `ListenerOptions`, `KafkaOptions`) are the one description of the configuration.
/// Reading, environment variables, the effective configuration and the reference all follow them.
struct ConfigurationOption<Target>: Sendable {
    /// From the table's root: `["limits", "max_packet_size"]`.
    let path: [String]
    let type: OptionType
    /// One or two sentences for the reference.
    let summary: String
    let get: @Sendable (Target) -> OptionValue
    /// Called with a value that the type has accepted.
    let set: @Sendable (inout Target, OptionValue) -> Void

    init(
        _ path: String, _ type: OptionType, _ summary: String,
        get: @escaping @Sendable (Target) -> OptionValue, set: @escaping @Sendable (inout Target, OptionValue) -> Void
    ) {
        self.path = path.split(separator: ".").map(String.init)
        self.type = type
        self.summary = summary
        self.get = get
        self.set = set
    }

    /// An option that always has a number.
    init(_ path: String, _ type: OptionType, _ field: any WritableKeyPath<Target, Int> & Sendable, _ summary: String) {
        self.init(
            path, type, summary, get: { .integer($0[keyPath: field]) },
            set: { if case .integer(let number) = $1 { $0[keyPath: field] = number } })
    }

    /// An option whose number may be absent.
    init(_ path: String, _ type: OptionType, _ field: any WritableKeyPath<Target, Int?> & Sendable, _ summary: String) {
        self.init(
            path, type, summary, get: { $0[keyPath: field].map(OptionValue.integer) ?? .none },
            set: { if case .integer(let number) = $1 { $0[keyPath: field] = number } else { $0[keyPath: field] = nil } })
    }

    init(_ path: String, _ field: any WritableKeyPath<Target, Bool> & Sendable, _ summary: String) {
        self.init(
            path, .boolean, summary, get: { .boolean($0[keyPath: field]) },
            set: { if case .boolean(let isTrue) = $1 { $0[keyPath: field] = isTrue } })
    }

    /// An option that always has a text.
    init(_ path: String, _ type: OptionType, _ field: any WritableKeyPath<Target, String> & Sendable, _ summary: String) {
        self.init(
            path, type, summary, get: { .text($0[keyPath: field]) },
            set: { if case .text(let text) = $1 { $0[keyPath: field] = text } })
    }

    /// An option whose text may be absent.
    init(_ path: String, _ type: OptionType, _ field: any WritableKeyPath<Target, String?> & Sendable, _ summary: String) {
        self.init(
            path, type, summary, get: { $0[keyPath: field].map(OptionValue.text) ?? .none },
            set: { if case .text(let text) = $1 { $0[keyPath: field] = text } else { $0[keyPath: field] = nil } })
    }

    /// One of an enumeration's raw values.
    init<Choice: RawRepresentable<String> & CaseIterable & SendableMetatype>(
        _ path: String, _ field: any WritableKeyPath<Target, Choice> & Sendable, _ summary: String
    ) {
        self.init(
            path, .choice(Choice.allCases.map(\.rawValue)), summary, get: { .text($0[keyPath: field].rawValue) },
            set: { if case .text(let text) = $1, let choice = Choice(rawValue: text) { $0[keyPath: field] = choice } })
    }
}
