import Encodings
import HTTPFetch
import Synchronization

/// Speaks HTTP with a registry: several URLs, bounded answers, statuses told apart.
final class RegistryRequests: Sendable {
    private let options: SchemaRegistryOptions
    /// Index of the URL that answered last.
    private let preferred = Atomic(0)

    private static let mediaType = "application/vnd.schemaregistry.v1+json"

    /// - Throws: `.invalid` when a URL is none, or none is given.
    init(_ options: SchemaRegistryOptions) throws(SchemaRegistryFailure) {
        guard !options.urls.isEmpty else { throw .invalid("a schema registry needs a URL") }
        self.options = options
        for url in options.urls {
            do throws(HTTPFetchError) { _ = try HTTPFetch(fetchOptions(url, nil)) } catch { throw .invalid("\(url): \(error)") }
        }
    }

    func get(_ path: String) throws(SchemaRegistryFailure) -> JSONValue { try ask(path, body: nil) }
    func post(_ path: String, _ document: JSONValue) throws(SchemaRegistryFailure) -> JSONValue {
        try ask(path, body: Array(JSONWriter.text(document).utf8))
    }

    private func fetchOptions(_ url: String, _ body: [UInt8]?) -> HTTPFetch.Options {
        // No redirects: credentials go where the operator wrote, and nowhere else.
        var fetch = HTTPFetch.Options(
            url: url, caFile: options.caFile, connectMilliseconds: options.connectMilliseconds,
            totalMilliseconds: options.totalMilliseconds, maxBytes: options.maxBytes, maxRedirects: 0, allowsPlain: options.allowsPlain)
        fetch.accept = "\(Self.mediaType), application/json"
        fetch.credentials = options.credentials
        fetch.clientCertificateFile = options.clientCertificateFile
        fetch.clientKeyFile = options.clientKeyFile
        if let body { fetch.post = HTTPPost(contentType: Self.mediaType, body: body) }
        return fetch
    }

    private func ask(_ path: String, body: [UInt8]?) throws(SchemaRegistryFailure) -> JSONValue {
        let first = preferred.load(ordering: .relaxed)
        var reasons: [String] = []
        for turn in options.urls.indices {
            let index = (first + turn) % options.urls.count
            let base = options.urls[index]
            let answer: HTTPAnswer
            do throws(HTTPFetchError) {
                let url = (base.hasSuffix("/") ? String(base.dropLast()) : base) + path
                answer = try HTTPFetch(fetchOptions(url, body)).answer()
                // Too many requests, and what a proxy or a registry without its leader says: another may do better.
                guard answer.status < 500, answer.status != 429, answer.status != 408 else { throw .status(answer.status) }
            } catch {
                if case .tooLarge = error { throw .invalid("\(base)\(path): \(error)") }
                reasons.append("\(base): \(error)")
                continue
            }
            preferred.store(index, ordering: .relaxed)
            return try Self.document(answer, path)
        }
        throw .unavailable(reasons.joined(separator: "; "))
    }

    private static func document(_ answer: HTTPAnswer, _ path: String) throws(SchemaRegistryFailure) -> JSONValue {
        let document = answer.body.withUnsafeBytes { bytes in
            Result { () throws(JSONFault) in try JSONReader.read(bytes) }
        }
        // The registry's own words, cut: it is another's text, bound for a log.
        let message = (try? document.get())?["message"]?.string.map { String($0.prefix(300)) } ?? "status \(answer.status)"
        switch answer.status {
        case 200..<300:
            do throws(JSONFault) { return try document.get() } catch { throw .invalid("the registry's answer to \(path) is \(error)") }
        case 404: throw .notFound("\(path): \(message)")
        case 401, 403: throw .unauthorized("\(path): \(message)")
        default: throw .invalid("the registry answers \(path) with status \(answer.status): \(message)")
        }
    }

    /// A subject as a part of a path.
    static func escaped(_ subject: String) -> String {
        var path = ""
        for byte in subject.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                path.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                path += hex.count == 1 ? "%0\(hex)" : "%\(hex)"
            }
        }
        return path
    }
}
