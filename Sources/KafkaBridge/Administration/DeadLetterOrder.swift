/// Which dead letters an operator means, and where to: `{"all":true}` or `{"sequences":[4,7]}`, with `"topic"` if need be.
struct DeadLetterOrder: Equatable {
    static let maxSequences = 1_000

    let selection: KeptDeadLetters.Selection
    let topic: String?

    init(_ body: [UInt8]) throws(AdministrationFault) {
        let tree = PayloadTree(Self.paths)
        let values = body.withUnsafeBytes { PayloadValues(of: $0, at: tree) }
        guard values.isJSON else { throw .badRequest("the body is no JSON") }
        topic = values[Self.topicPath].map { String(decoding: $0, as: UTF8.self) }
        let isAll = values[Self.allPath].map { $0 == Array("true".utf8) } ?? false
        var sequences: [UInt64] = []
        let texts = Self.sequencePaths.map { values[$0] }
        for text in texts.prefix((texts.lastIndex { $0 != nil } ?? -1) + 1) {
            guard let text else { throw .badRequest("\"sequences\" are whole numbers") }
            guard let sequence = UInt64(String(decoding: text, as: UTF8.self)) else { throw .badRequest("\"sequences\" are whole numbers") }
            guard sequences.count < Self.maxSequences else { throw .badRequest("at most \(Self.maxSequences) sequences at a time") }
            sequences.append(sequence)
        }
        // Nothing is done to all of them for want of a word.
        guard isAll != !sequences.isEmpty else { throw .badRequest("say either \"all\": true or \"sequences\": [NUMBER, …]") }
        selection = isAll ? .all : .some(sequences)
    }

    private static let allPath = path("payload.all")
    private static let topicPath = path("payload.topic")
    /// One more than there may be, so that too many are noticed.
    private static let sequencePaths = (0...maxSequences).map { path("payload.sequences[\($0)]") }
    private static let paths = [allPath, topicPath] + sequencePaths

    private static func path(_ text: String) -> PayloadPath {
        do throws(TemplateError) { return try PayloadPath(text) } catch { preconditionFailure("\(error)") }  // a constant of this file's
    }
}
