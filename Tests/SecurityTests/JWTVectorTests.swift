import Encodings
import Testing

@testable import Security

/// The examples of RFC 7515 appendix A and RFC 8037 appendix A.
@Suite struct JWTVectorTests {
    static let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    struct Vector: Sendable {
        let name: String
        let key: String
        let message: String
        let signature: String
    }

    static let vectors = [
        Vector(
            name: "RFC 7515 A.1, HS256",
            key: #"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            message: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joe, signature: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        Vector(
            name: "RFC 7515 A.2, RS256",
            key: #"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"#
                + #"yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"#
                + #"R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4F"#
                + #"RWyuXpoQ","e":"AQAB"}"#,
            message: "eyJhbGciOiJSUzI1NiJ9." + joe,
            signature: "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1d"
                + "nZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eO"
                + "kHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
        Vector(
            name: "RFC 7515 A.3, ES256",
            key:
                #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
                + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            message: "eyJhbGciOiJFUzI1NiJ9." + joe,
            signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
        Vector(
            name: "RFC 7515 A.4, ES512",
            key:
                #"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4q"#
                + #"UxcWceqwQGk","#
                + #""y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
            message: "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
            signature:
                "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX"
                + "3xKpRwcdOO8"
                + "KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"),
        Vector(
            name: "RFC 8037 A.4, Ed25519", key: #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            message: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
    ]

    @Test("the signature is right, and wrong when a bit of it, of the message or of the key's use is another", arguments: vectors)
    func vector(vector: Vector) throws {
        let keys = try JWKSDocument(vector.key.utf8, allowsSecrets: true).keys
        let key = try #require(keys.keys.first)
        let message = Array(vector.message.utf8)
        let signature = try #require(Base64.decode(Array(vector.signature.utf8), .url))
        let header = try JSONReader.read(try #require(Base64.decode(message.split(separator: UInt8(ascii: "."))[0], .url)))
        let algorithm = try #require(JWTAlgorithm(rawValue: header["alg"]?.string ?? ""))
        #expect(key.verifies(signature, of: message[...], by: algorithm))
        for other in JWTAlgorithm.allCases where other != algorithm { #expect(!key.verifies(signature, of: message[...], by: other)) }
        for at in 0..<signature.count {
            var wrong = signature
            wrong[at] ^= 1
            #expect(!key.verifies(wrong, of: message[...], by: algorithm))
        }
        for wrong in [[], Array(signature.dropLast()), signature + [0], [0] + signature] {
            #expect(!key.verifies(wrong, of: message[...], by: algorithm))
        }
        #expect(!key.verifies([UInt8](repeating: 0, count: signature.count), of: message[...], by: algorithm))
        #expect(!key.verifies(signature, of: message.dropLast(), by: algorithm))
    }

    @Test("the whole token is verified, and its time is looked at")
    func token() throws {
        for vector in Self.vectors.prefix(3) {
            let verifier = JWTVerifier(
                keys: try JWKSDocument(vector.key.utf8, allowsSecrets: true).keys, rules: JWTRules(issuers: ["joe"], leewaySeconds: 0))
            let token = Array("\(vector.message).\(vector.signature)".utf8)
            let claims = try verifier.verify(token, now: 1_300_819_379)
            #expect(claims.text("iss") == "joe" && claims.expiresAt == 1_300_819_380 && claims["http://example.com/is_root"] == .bool(true))
            #expect(throws: JWTFault.expired) { try verifier.verify(token, now: 1_300_819_380) }
            for at in token.indices {
                var wrong = token
                wrong[at] = wrong[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                #expect(throws: JWTFault.self) { try verifier.verify(wrong, now: 1_300_819_379) }
            }
        }
        // What is signed in A.4 is no JSON.
        let text = Self.vectors[3]
        let verifier = JWTVerifier(keys: try JWKSDocument(text.key.utf8, allowsSecrets: true).keys)
        #expect(throws: JWTFault.malformed) { try verifier.verify(Array("\(text.message).\(text.signature)".utf8), now: 0) }
    }
}
