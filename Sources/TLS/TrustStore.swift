import COpenSSL
import Glibc

/// Whom a listener believes about its clients: authorities and revocation lists, as they were when they were loaded.
///
/// It isn't part of the SSL_CTX: connections hold on to that for as long as they live, and a reload must not leave a copy of
/// every list behind in the memory of each connection that has come since.
// @unchecked: an X509_STORE has a lock of its own, and nothing is added after init.
final class TrustStore: @unchecked Sendable {
    private let store: OpaquePointer
    /// X509_NAMEs of the authorities, for the request to the client; empty if that would be a long message.
    private(set) var authorityNames: [Certificate] = []
    private(set) var warnings: [String] = []

    private static let maxNamedAuthorities = 64

    init(_ configuration: TLSServerConfiguration, nowSeconds: Int64) throws(TLSConfigurationError) {
        guard let store = X509_STORE_new() else {
            throw TLSConfigurationError("no memory for the client authorities", remedy: "free memory")
        }
        self.store = store
        let authorities = try Self.authorities(configuration)
        for authority in authorities { X509_STORE_add_cert(store, authority.pointer) }
        if authorities.count <= Self.maxNamedAuthorities { authorityNames = authorities }
        for file in configuration.crlFiles { try addLists(file, nowSeconds: nowSeconds) }
        ERR_clear_error()

        guard let parameters = X509_VERIFY_PARAM_new() else {
            throw TLSConfigurationError("no memory for the client authorities", remedy: "free memory")
        }
        defer { X509_VERIFY_PARAM_free(parameters) }
        X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_CLIENT)
        X509_VERIFY_PARAM_set_trust(parameters, X509_TRUST_SSL_CLIENT)
        X509_VERIFY_PARAM_set_depth(parameters, Int32(clamping: configuration.verifyDepth))
        var flags: Int32 = 0
        if !configuration.crlFiles.isEmpty {
            flags |= X509_V_FLAG_CRL_CHECK
            if configuration.checksCRLOfWholeChain { flags |= X509_V_FLAG_CRL_CHECK_ALL }
        }
        if configuration.ignoresClientCertificateDates { flags |= X509_V_FLAG_NO_CHECK_TIME }
        X509_VERIFY_PARAM_set_flags(parameters, UInt(flags))
        X509_STORE_set1_param(store, parameters)
    }

    deinit { X509_STORE_free(store) }

    /// - Parameters:
    ///   - untrusted: STACK_OF(X509): what the client has sent to fill the gap to an authority.
    ///   - securityLevel: OpenSSL's, for the lengths of keys and digests.
    /// - Returns: X509_V_OK, or what is wrong.
    func verify(_ leaf: OpaquePointer, untrusted: OpaquePointer?, securityLevel: Int32) -> Int32 {
        headwater_verify_client(store, leaf, untrusted, securityLevel)
    }

    private static func authorities(_ configuration: TLSServerConfiguration) throws(TLSConfigurationError) -> [Certificate] {
        var found: [Certificate] = []
        if let file = configuration.clientCAFile {
            found += try CertificateFile.certificates(CertificateFile.read(file).bytes, file: file)
        }
        if let directory = configuration.clientCADirectory {
            let before = found.count
            for file in try files(in: directory) {
                // Lists and READMEs may lie among them.
                found += try CertificateFile.certificates(CertificateFile.read(file).bytes, file: file, mayHaveNone: true)
            }
            if found.count == before {
                throw TLSConfigurationError(
                    file: directory, "no file in this directory holds a PEM certificate", remedy: "put the client authorities there")
            }
        }
        return found
    }

    private static func files(in directory: String) throws(TLSConfigurationError) -> [String] {
        guard let handle = opendir(directory) else {
            throw TLSConfigurationError(
                file: directory, "can't be read as a directory: \(CertificateFile.reason(errno))",
                remedy: "check the path and its permissions")
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            // Kubernetes keeps its own directories, and editors their copies, under names that begin with a dot.
            if !name.hasPrefix(".") { names.append("\(directory)/\(name)") }
        }
        return names.sorted().filter { path in
            var facts = stat()
            return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
        }
    }

    private func addLists(_ file: String, nowSeconds: Int64) throws(TLSConfigurationError) {
        let bytes = try CertificateFile.read(file).bytes
        var count = 0
        var warnings: [String] = []
        let store = store
        let damaged = CertificateFile.withReader(bytes) { reader in
            while let list = PEM_read_bio_X509_CRL(reader, nil, nil, nil) {
                count += 1
                X509_STORE_add_crl(store, list)
                if let next = X509_CRL_get0_nextUpdate(list), headwater_asn1_seconds(next) < nowSeconds {
                    warnings.append(
                        "\(file): the \(CertificateFile.ordinal(count)) revocation list has expired: no client of its issuer can "
                            + "connect until there is a newer one")
                }
                X509_CRL_free(list)
            }
            return !CertificateFile.atEndOfPEM()
        }
        if damaged {
            throw TLSConfigurationError(
                file: file, "the \(CertificateFile.ordinal(count + 1)) revocation list in it can't be read: it is damaged",
                remedy: "write the file again; it must hold PEM lists (-----BEGIN X509 CRL-----)")
        }
        if count == 0 {
            throw TLSConfigurationError(
                file: file, "there is no revocation list in it",
                remedy: "it must hold PEM lists (-----BEGIN X509 CRL-----); convert DER with openssl crl -inform DER")
        }
        self.warnings += warnings
    }
}
