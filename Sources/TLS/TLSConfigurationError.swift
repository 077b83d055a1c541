/// Why a listener can't have its TLS: which file, what is wrong with it, and how to mend it. Never contains key material.
package struct TLSConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The path as it is in the configuration; `nil` if a setting is at fault and not a file.
    package let file: String?
    /// What is wrong, as a clause: "the private key doesn't belong to the certificate".
    package let problem: String
    /// What the operator can do about it.
    package let remedy: String

    package init(file: String? = nil, _ problem: String, remedy: String) {
        self.file = file
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { (file.map { "\($0): " } ?? "") + "\(problem); \(remedy)" }
}
