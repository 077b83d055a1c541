import Foundation

/// What a certificate of a test says.
package struct Profile {
    package var commonNames: [[UInt8]] = []
    /// As in an OpenSSL configuration: "DNS:localhost,URI:urn:x".
    package var alternativeNames: String?
    /// The extension's content, for names that can't be written as text.
    package var rawAlternativeNames: [UInt8]?
    package var organization: String?
    package var unit: String?
    package var usage: String? = "clientAuth,serverAuth"
    package var isAuthority = false
    package var notBefore: Int64 = Int64(time(nil)) - 3_600
    package var notAfter: Int64 = Int64(time(nil)) + 86_400
    package var key = KeyKind.ec
    /// Bytes of filling in the subject.
    package var padding = 0

    package enum KeyKind { case ec, rsa, rsa1024 }

    package init(_ commonName: String? = nil, names: String? = nil) {
        if let commonName { commonNames = [Array(commonName.utf8)] }
        alternativeNames = names
    }

    package func with(_ change: (inout Profile) -> Void) -> Profile {
        var changed = self
        change(&changed)
        return changed
    }
}
