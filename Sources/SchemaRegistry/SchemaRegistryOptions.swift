import HTTPFetch

/// Where a registry is, and how it is asked.
package struct SchemaRegistryOptions: Sendable {
    /// Tried in turn, the last that answered first. A path is kept: `https://host/registry`.
    package var urls: [String]
    package var credentials: HTTPCredentials?
    /// PEM, in place of the system's authorities.
    package var caFile: String?
    package var clientCertificateFile: String?
    package var clientKeyFile: String?
    /// For a registry of this machine, and tests.
    package var allowsPlain: Bool
    /// Keeps what was fetched beyond the process's end; one for each registry, since two use the same ids. Made when missing.
    package var cacheDirectory: String?
    /// How old `latest` may be before it is asked for again.
    package var refreshSeconds: Int
    /// How long a failure is an answer: else each message would wait for a registry that isn't there.
    package var retryMilliseconds: Int
    package var connectMilliseconds: Int
    /// For one request to one of the URLs.
    package var totalMilliseconds: Int
    /// The largest answer, hence the largest schema.
    package var maxBytes: Int

    package init(
        urls: [String], credentials: HTTPCredentials? = nil, caFile: String? = nil, clientCertificateFile: String? = nil,
        clientKeyFile: String? = nil, allowsPlain: Bool = false, cacheDirectory: String? = nil, refreshSeconds: Int = 300,
        retryMilliseconds: Int = 1_000, connectMilliseconds: Int = 2_000, totalMilliseconds: Int = 5_000, maxBytes: Int = 1 << 20
    ) {
        self.urls = urls
        self.credentials = credentials
        self.caFile = caFile
        self.clientCertificateFile = clientCertificateFile
        self.clientKeyFile = clientKeyFile
        self.allowsPlain = allowsPlain
        self.cacheDirectory = cacheDirectory
        self.refreshSeconds = refreshSeconds
        self.retryMilliseconds = retryMilliseconds
        self.connectMilliseconds = connectMilliseconds
        self.totalMilliseconds = totalMilliseconds
        self.maxBytes = maxBytes
    }
}
