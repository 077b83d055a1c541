import Yams

/// Follows a parsed file along the tables of options and collects every fault that it meets.
///
/// Unknown keys and values of the wrong kind are faults; nothing is guessed. A fault leaves the option at its default and the
/// reading goes on, so that one run shows all.
struct ConfigurationReader {
    let file: String
    var diagnostics: [ConfigurationDiagnostic] = []
    /// YAML's aliases can say a small file's values a billion times over.
    private var valuesLeft = 1_000_000

    /// A key that stood in the file, and what stood there.
    struct Found {
        let key: Node
        let value: Node
    }

    init(file: String) { self.file = file }

    mutating func report(_ message: String, at node: Node?) {
        let location: ConfigurationDiagnostic.Location =
            if let mark = node?.mark {
                .line(file: file, line: mark.line, column: mark.column)
            } else {
                .file(file)
            }
        diagnostics.append(ConfigurationDiagnostic(location: location, message: message))
    }

    /// Reads a mapping into `target`.
    /// - Parameters:
    ///   - place: What the mapping is, in front of its keys in messages: empty for the whole file.
    ///   - structures: Keys, from the mapping's root, that are known but read by the caller.
    /// - Returns: What stood in the file, by path joined with dots: options, structures and sections.
    mutating func read<Target>(
        _ node: Node, place: String, into target: inout Target, table: [ConfigurationOption<Target>], structures: [String] = []
    ) -> [String: Found] {
        var found: [String: Found] = [:]
        guard let mapping = mapping(node, place: place) else { return found }
        readSection(mapping, prefix: [], place: place, into: &target, table: table, structures: structures, found: &found)
        return found
    }

    /// The entries of a list; a fault and none where there is no list.
    mutating func entries(of found: Found, place: String) -> [Node] {
        guard case .sequence(let sequence) = found.value else {
            report("\(place) is a list: each entry begins with \"- \"", at: found.value)
            return []
        }
        return Array(sequence)
    }

    /// Names and values of a mapping with names of the user's choice.
    mutating func namedEntries(of found: Found, place: String) -> [(name: String, key: Node, value: Node)] {
        guard let mapping = mapping(found.value, place: place) else { return [] }
        return mapping.compactMap { key, value in
            guard case .scalar(let scalar) = key else {
                report("\(place): a name must be a plain text", at: key)
                return nil
            }
            return (scalar.string, key, value)
        }
    }

    private mutating func mapping(_ node: Node, place: String) -> Node.Mapping? {
        switch node {
        case .mapping(let mapping): return mapping
        case .scalar(let scalar) where scalar.style == .plain && OptionType.isNull(scalar.string): return Node.Mapping([])
        default:
            report("\(place.isEmpty ? "the configuration" : place) is a section: lines of \"key: value\"", at: node)
            return nil
        }
    }

    private mutating func readSection<Target>(
        _ mapping: Node.Mapping, prefix: [String], place: String, into target: inout Target,
        table: [ConfigurationOption<Target>], structures: [String], found: inout [String: Found]
    ) {
        let paths = table.map(\.path) + structures.map { $0.split(separator: ".").map(String.init) }
        for (key, value) in mapping {
            valuesLeft -= 1
            guard valuesLeft > 0 else { return report("has more values than any configuration needs", at: key) }
            guard case .scalar(let scalar) = key else {
                report("a key must be a plain text", at: key)
                continue
            }
            let path = prefix + [scalar.string]
            let joined = path.joined(separator: ".")
            let name = place.isEmpty ? joined : "\(place).\(joined)"
            if let option = table.first(where: { $0.path == path }) {
                found[joined] = Found(key: key, value: value)
                if let read = self.value(value, of: option.type, name: name) { option.set(&target, read) }
            } else if structures.contains(joined) {
                found[joined] = Found(key: key, value: value)
            } else if paths.contains(where: { $0.starts(with: path) }) {
                found[joined] = Found(key: key, value: value)
                guard let section = self.mapping(value, place: name) else { continue }
                readSection(section, prefix: path, place: place, into: &target, table: table, structures: structures, found: &found)
            } else {
                report(unknown(scalar.string, prefix: prefix, place: place, paths: paths), at: key)
            }
        }
    }

    private func unknown(_ key: String, prefix: [String], place: String, paths: [[String]]) -> String {
        let section = place.isEmpty ? prefix.joined(separator: ".") : ([place] + prefix).joined(separator: ".")
        let message = "unknown option \(OptionType.shown(key))\(section.isEmpty ? "" : " in \(section)")"
        let siblings = Set(paths.filter { $0.starts(with: prefix) && $0.count > prefix.count }.map { $0[prefix.count] })
        if let near = Suggestion.nearest(to: key, in: siblings) { return "\(message); did you mean \"\(near)\"?" }
        if let elsewhere = paths.first(where: { $0.last == key }) {
            let parent = elsewhere.dropLast().joined(separator: ".")
            return "\(message); it belongs \(parent.isEmpty ? "to the top of the file" : "into \"\(parent)\"")"
        }
        let leaves = paths.filter { $0.count > 1 }.map { $0.joined(separator: ".") }
        if let last = Suggestion.nearest(to: key, in: leaves.compactMap { $0.split(separator: ".").last.map(String.init) }),
            let path = leaves.first(where: { $0.hasSuffix(".\(last)") })
        {
            return "\(message); did you mean \"\(path)\"?"
        }
        return "\(message); known are: \(siblings.sorted().joined(separator: ", "))"
    }

    private mutating func value(_ node: Node, of type: OptionType, name: String) -> OptionValue? {
        switch (type, node) {
        case (.texts(_, let check), .sequence(let sequence)):
            return .texts(sequence.compactMap { text($0, name: name, check: check) })
        case (.texts, _):
            report("\(name) is a list, as in [one, two]", at: node)
            return nil
        case (.fields(_, let check), _):
            guard let mapping = mapping(node, place: name) else { return nil }
            return .fields(
                mapping.compactMap { key, value in
                    guard let name = text(key, name: name, check: { $0.isEmpty ? "an empty name" : nil }) else { return nil }
                    return text(value, name: name, check: { check(OptionField(name: name, value: $0)) }).map {
                        OptionField(name: name, value: $0)
                    }
                })
        case (_, .scalar(let scalar)):
            do {
                return try type.value(of: scalar.string, isQuoted: scalar.style != .plain)
            } catch {
                report("\(name): \(error.message)", at: node)
                return nil
            }
        default:
            report("\(name) takes one value: \(type.meaning)", at: node)
            return nil
        }
    }

    private mutating func text(_ node: Node, name: String, check: (String) -> String?) -> String? {
        valuesLeft -= 1
        guard valuesLeft > 0 else {
            report("has more values than any configuration needs", at: node)
            return nil
        }
        guard case .scalar(let scalar) = node else {
            report("\(name): here stands one text", at: node)
            return nil
        }
        if let complaint = check(scalar.string) {
            report("\(name): \(complaint)", at: node)
            return nil
        }
        return scalar.string
    }
}
