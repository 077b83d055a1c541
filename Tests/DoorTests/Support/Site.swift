import Foundation
import TestAuthority

/// Two authorities, a server and a device, made once for all tests.
enum Site {
    static let authority = TestAuthority("Site Root")
    static let stranger = TestAuthority("Somebody Else")
    static let server = authority.issue(Profile("localhost", names: "DNS:localhost,IP:127.0.0.1"))
    static let pump = authority.issue(
        Profile("pump-7", names: "DNS:pump-7.example.org,URI:urn:dev:pump-7,email:pump@example.org").with {
            $0.organization = "Works"
            $0.unit = "Hall 3"
        })
}

/// PEM files of a certificate and its key.
struct PairFiles {
    let certificate: String
    let key: String

    /// As options of openssl s_client, and of mosquitto's clients.
    var forOpenSSL: [String] { ["-cert", certificate, "-key", key] }
    var forMosquitto: [String] { ["--cert", certificate, "--key", key] }
}

extension TestFiles {
    @discardableResult
    func pair(_ name: String, _ issued: Issued, chain: [Issued] = []) -> PairFiles {
        PairFiles(
            certificate: write("\(name).pem", ([issued] + chain).map(\.pem).joined()), key: write("\(name).key", issued.keyPEM))
    }

    /// The site's authority, for clients and for the broker.
    var root: String { write("root.pem", Site.authority.own.pem) }

    /// Options of a listener that speaks TLS with the site's certificate.
    func tls(_ options: String...) -> String {
        let pair = pair("server", Site.server)
        var text = "tls:\n  certificate: \(pair.certificate)\n  key: \(pair.key)\n"
        for option in options { text += "  \(option)\n" }
        return text
    }

    /// The same, which asks for certificates of the site's authority.
    func mutualTLS(_ wish: String = "required", _ options: String...) -> String {
        tls("client_certificates: \(wish)", "ca_file: \(root)") + options.map { "  \($0)\n" }.joined()
    }
}
