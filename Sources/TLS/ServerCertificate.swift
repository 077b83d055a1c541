import COpenSSL

/// A certificate chain with its key, loaded and checked against each other.
struct ServerCertificate {
    let leaf: Certificate
    let chain: [Certificate]
    /// Owned.
    let key: OpaquePointer
    let staple: StapledResponse?
    let facts: CertificateFacts
    let warnings: [String]

    /// - Parameter nowSeconds: When it must be valid; `nil`: the peer decides.
    init(_ pair: TLSServerConfiguration.CertificatePair, nowSeconds: Int64?) throws(TLSConfigurationError) {
        let certificates = try CertificateFile.certificates(CertificateFile.read(pair.chainFile).bytes, file: pair.chainFile)
        leaf = certificates[0]
        chain = Array(certificates.dropFirst())
        facts = CertificateFacts(leaf, file: pair.chainFile)
        guard facts.notAfterSeconds >= nowSeconds ?? .min else {
            throw TLSConfigurationError(
                file: pair.chainFile, "the certificate has expired on \(day(facts.notAfterSeconds))", remedy: "renew it")
        }
        guard facts.notBeforeSeconds <= nowSeconds ?? .max else {
            throw TLSConfigurationError(
                file: pair.chainFile, "the certificate is not valid before \(day(facts.notBeforeSeconds))",
                remedy: "check the system's clock, or wait")
        }
        let (bytes, mode) = try CertificateFile.read(pair.keyFile, maxBytes: 1 << 20)
        // The answer for one that is loaded and then found wrong frees it.
        let key = try CertificateFile.privateKey(bytes, file: pair.keyFile, passphrase: pair.passphrase)
        guard X509_check_private_key(leaf.pointer, key) == 1 else {
            EVP_PKEY_free(key)
            ERR_clear_error()
            throw TLSConfigurationError(
                file: pair.keyFile, "the private key doesn't belong to the certificate in \(pair.chainFile)",
                remedy: "use the key that the certificate was made with; the certificate must be the first in its file")
        }
        do throws(TLSConfigurationError) {
            staple = if let file = pair.ocspResponseFile { try StapledResponse(file: file, for: leaf) } else { nil }
        } catch {
            EVP_PKEY_free(key)
            throw error
        }
        self.key = key
        var warnings: [String] = []
        if CertificateFile.isWorldReadable(mode) {
            warnings.append("\(pair.keyFile): every user of this machine can read the private key; chmod 600 it")
        }
        if let staple, let file = pair.ocspResponseFile {
            if staple.isForeign {
                warnings.append("\(file): the OCSP response is for another certificate and is not sent; fetch one for \(pair.chainFile)")
            } else if staple.nextUpdateSeconds <= nowSeconds ?? .min {
                warnings.append("\(file): the OCSP response has expired and is not sent; fetch a new one")
            } else if staple.isRevoked {
                warnings.append("\(file): the OCSP response says that the certificate is revoked; use another certificate")
            }
        }
        self.warnings = warnings
    }
}

/// What is worth watching of a certificate that the broker shows.
package struct CertificateFacts: Sendable, Equatable {
    package let file: String
    /// RFC 2253.
    package let subject: String
    /// The names that it is chosen for: DNS names, or the common names of a certificate without any.
    package let names: [String]
    /// Seconds since 1970.
    package let notBeforeSeconds: Int64
    /// Seconds since 1970.
    package let notAfterSeconds: Int64

    init(_ certificate: Certificate, file: String) {
        let names = CertificateNames(certificate)
        self.file = file
        subject = certificate.subject
        self.names = names.dnsNames.isEmpty ? names.commonNames : names.dnsNames
        notBeforeSeconds = certificate.notBeforeSeconds
        notAfterSeconds = certificate.notAfterSeconds
    }
}

/// "2026-11-25" of seconds since 1970, in UTC (Howard Hinnant's days-to-civil).
func day(_ seconds: Int64) -> String {
    let days = Int(seconds.quotientAndRemainder(dividingBy: 86_400).quotient) + 719_468
    let era = days / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shifted + 2) / 5 + 1))"
}
