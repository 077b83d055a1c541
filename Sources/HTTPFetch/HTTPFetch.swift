import CCurl
import Dispatch
import Synchronization

/// Fetches one document over HTTPS, with libcurl.
///
/// The server is verified, always; bounded are the time until it answers, the time in all and the size. Redirects are
/// followed to https alone. Each fetcher has a thread for its transfers, one after another: a server that hangs keeps waiting
/// only those who ask it. A proxy of the environment (`https_proxy`) is used.
package final class HTTPFetch: Sendable {
    package struct Options: Hashable, Sendable {
        /// `https://…`, or `http://…` where `allowsPlain` says so.
        package var url: String
        /// PEM, in place of the system's authorities.
        package var caFile: String?
        package var connectMilliseconds: Int
        /// For everything: name, connection, redirects and body.
        package var totalMilliseconds: Int
        package var maxBytes: Int
        package var maxRedirects: Int
        /// For a server of this machine, and tests.
        package var allowsPlain: Bool
        /// The `Accept` header; `nil` leaves libcurl's, which takes everything.
        package var accept: String?
        package var credentials: HTTPCredentials?
        /// PEM, shown to a server that asks for a certificate; the key may stand in the same file.
        package var clientCertificateFile: String?
        package var clientKeyFile: String?
        /// Makes the request a POST.
        package var post: HTTPPost?

        package init(
            url: String, caFile: String? = nil, connectMilliseconds: Int = 5_000, totalMilliseconds: Int = 15_000, maxBytes: Int = 1 << 20,
            maxRedirects: Int = 3, allowsPlain: Bool = false
        ) {
            self.url = url
            self.caFile = caFile
            self.connectMilliseconds = connectMilliseconds
            self.totalMilliseconds = totalMilliseconds
            self.maxBytes = maxBytes
            self.maxRedirects = maxRedirects
            self.allowsPlain = allowsPlain
        }
    }

    package let options: Options
    private let queue = DispatchQueue(label: "headwater.fetch")

    /// - Throws: `.url` when it can't be one to fetch from.
    package init(_ options: Options) throws(HTTPFetchError) {
        let scheme = options.url.prefix { $0 != ":" }.lowercased()
        let isPrintable = options.url.utf8.allSatisfy { (0x21..<0x7F).contains($0) }
        guard isPrintable, options.url.dropFirst(scheme.count).hasPrefix("://") else {
            throw .url("it has no scheme, or characters that no URL has")
        }
        guard scheme == "https" || scheme == "http" && options.allowsPlain else { throw .url("only https is spoken") }
        guard !options.url.dropFirst(scheme.count + 3).prefix(while: { $0 != "/" && $0 != "?" }).contains("@") else {
            throw .url("a user or a password in a URL would show in logs")
        }
        let headers = [options.accept, options.post?.contentType].compactMap { $0 }
        guard headers.allSatisfy({ $0.utf8.allSatisfy { (0x20..<0x7F).contains($0) } }) else {
            throw .url("a header with characters that no header has")
        }
        guard options.credentials?.isWritable ?? true else { throw .url("credentials with characters that no header has") }
        self.options = options
    }

    /// One request on the calling thread, which waits.
    ///
    /// - Returns: Whatever the server answered, of every status.
    /// - Throws: `HTTPFetchError`, never `.status` or `.cancelled`.
    package func answer() throws(HTTPFetchError) -> HTTPAnswer { try Transfer.run(options, Cancellation()) }

    /// - Returns: The body of a response with status 200.
    /// - Throws: `HTTPFetchError`, also when the task is cancelled.
    package func get() async throws(HTTPFetchError) -> [UInt8] {
        let cancellation = Cancellation()
        let result: Result<[UInt8], HTTPFetchError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { [options] in
                    continuation.resume(
                        returning: Result { () throws(HTTPFetchError) in
                            let answer = try Transfer.run(options, cancellation)
                            guard answer.status == 200 else { throw .status(answer.status) }
                            return answer.body
                        })
                }
            }
        } onCancel: {
            cancellation.request()
        }
        return try result.get()
    }
}

/// Tells a transfer that nobody waits for it any more.
final class Cancellation: Sendable {
    private let flag = Atomic(false)
    func request() { flag.store(true, ordering: .relaxed) }
    var isRequested: Bool { flag.load(ordering: .relaxed) }
}

/// Why nothing was fetched, told to an operator.
package enum HTTPFetchError: Error, Hashable, Sendable, CustomStringConvertible {
    case url(String)
    case status(Int)
    case tooLarge(maxBytes: Int)
    case cancelled
    /// libcurl's own words: name not found, no connection, a certificate that isn't valid, time over.
    case transfer(String)

    package var description: String {
        switch self {
        case .url(let reason): "the URL can't be fetched: \(reason)"
        case .status(let status): "the server answered with status \(status)"
        case .tooLarge(let maxBytes): "the answer is larger than \(maxBytes) bytes"
        case .cancelled: "cancelled"
        case .transfer(let reason): reason
        }
    }
}
