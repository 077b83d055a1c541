/// Reading a template: one pass, and every fault names its column.
extension RecordTemplate {
    static func parse(_ text: String) throws(TemplateError) -> [Part] {
        try scan(text, quoting: ["payload.", "payload["], literal: Part.literal, placeholder: placeholder)
    }

    /// Takes a template apart, whatever its placeholders are.
    /// - Parameters:
    ///   - quoting: How the placeholders begin that may hold quoted names.
    ///   - placeholder: Makes a part of what stands between braces, at a column.
    static func scan<Piece>(
        _ text: String, quoting: [String], literal makeLiteral: ([UInt8]) -> Piece,
        placeholder: (_ content: String, _ position: Int) throws(TemplateError) -> Piece
    ) throws(TemplateError) -> [Piece] {
        let characters = Array(text)
        if characters.isEmpty { throw TemplateError(position: 1, fault: .empty) }
        var parts: [Piece] = []
        var literal = ""
        var index = 0
        while index < characters.count {
            guard characters[index] == "$" else {
                literal.append(characters[index])
                index += 1
                continue
            }
            let next = index + 1 < characters.count ? characters[index + 1] : " "
            if next == "$" {
                literal.append("$")
                index += 2
                continue
            }
            guard next == "{" else { throw TemplateError(position: index + 1, fault: .loneDollar) }
            guard let close = closingBrace(characters, from: index + 2, quoting: quoting) else {
                throw TemplateError(position: index + 1, fault: .unclosed)
            }
            if !literal.isEmpty { parts.append(makeLiteral(Array(literal.utf8))) }
            literal = ""
            parts.append(try placeholder(String(characters[(index + 2)..<close]), index + 1))
            index = close + 1
        }
        if !literal.isEmpty { parts.append(makeLiteral(Array(literal.utf8))) }
        return parts
    }

    /// The brace that ends the placeholder whose content begins at `start`. A quoted name of a payload may hold braces.
    private static func closingBrace(_ characters: [Character], from start: Int, quoting: [String]) -> Int? {
        let mayQuote = quoting.contains { characters[start...].starts(with: $0) }
        var isQuoted = false
        var index = start
        while index < characters.count {
            switch characters[index] {
            case "\\" where isQuoted: index += 1
            case "\"" where mayQuote: isQuoted.toggle()
            case "}" where !isQuoted: return index
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func placeholder(_ content: String, at position: Int) throws(TemplateError) -> Part {
        func fault(_ fault: TemplateError.Fault) -> TemplateError { TemplateError(position: position, fault: fault) }
        switch content {
        case "clientid": return .clientID
        case "username": return .username
        case "tenant": return .tenant
        case "qos": return .qos
        case "retain": return .retain
        case "timestamp": return .timestamp
        default: break
        }
        if content.hasPrefix("user.") {
            let name = String(content.dropFirst(5))
            if name.isEmpty { throw fault(.emptyUserProperty) }
            return .userProperty(name)
        }
        if content == "payload" || content.hasPrefix("payload.") || content.hasPrefix("payload[") {
            guard let path = try? PayloadPath(content) else { throw fault(.payloadPath(content)) }
            return .payload(path)
        }
        let name = content.prefix { $0 != "[" && $0 != ":" }
        guard name == "topic" else {
            let isKnown = ["clientid", "username", "tenant", "qos", "retain", "timestamp"].contains(String(name))
            throw fault(isKnown ? .unexpected(String(content.dropFirst(name.count))) : .unknownPlaceholder(content))
        }
        var rest = content.dropFirst(5)
        var first = 1
        var isSingle = false
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { throw fault(.level(String(rest.dropFirst()))) }
            let inside = rest[rest.index(after: rest.startIndex)..<close]
            isSingle = !inside.hasSuffix("...")
            guard let number = Int(isSingle ? inside : inside.dropLast(3)) else { throw fault(.level(String(inside))) }
            if number == 0 { throw fault(.levelZero) }
            first = number
            rest = rest[rest.index(after: close)...]
        }
        if rest.isEmpty { return isSingle ? .level(first) : .levels(from: first, separator: [slash]) }
        guard rest.first == ":", !isSingle else { throw fault(.unexpected(String(rest))) }
        if rest.count == 1 { throw fault(.emptySeparator) }
        return .levels(from: first, separator: Array(rest.dropFirst().utf8))
    }
}
