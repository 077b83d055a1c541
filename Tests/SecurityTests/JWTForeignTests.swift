import Foundation
import Testing

@testable import Security

/// Tokens of PyJWT, another implementation, with every algorithm.
@Suite(.enabled(if: ForeignSigner.isHere)) struct JWTForeignTests {
    static let now: Int64 = 1_700_000_000

    @Test("every algorithm, with keys as PEM and as JWKS", arguments: ForeignSigner.names)
    func algorithms(name: String) throws {
        let signed = try #require(try ForeignSigner.signed[name])
        let sets = [
            try JWKSDocument(Array(signed.jwk.utf8), allowsSecrets: true).keys,
            try JWTKeyFile.parse(Array(signed.pem.utf8), path: "key", form: name.hasPrefix("HS") ? .secret : .publicKeys).keys,
        ]
        for keys in sets {
            let claims = try JWTVerifier(keys: keys).verify(Array(signed.token.utf8), now: Self.now)
            #expect(claims.subject == "sensor-17" && claims.text("number") == "42" && claims.expiresAt == Self.now + 600)
            #expect(throws: JWTFault.expired) { try JWTVerifier(keys: keys).verify(Array(signed.token.utf8), now: Self.now + 660) }
        }
    }

    @Test("a token is right for its own key and none of the others")
    func crossed() throws {
        for (name, signed) in try ForeignSigner.signed {
            for (other, foreign) in try ForeignSigner.signed where foreign.jwk != signed.jwk {
                let keys = try JWKSDocument(Array(foreign.jwk.utf8), allowsSecrets: true).keys
                #expect(throws: JWTFault.self, "\(name) by \(other)") {
                    try JWTVerifier(keys: keys).verify(Array(signed.token.utf8), now: Self.now)
                }
            }
        }
    }

    @Test("a public key is never a secret: HS256 with the PEM as the secret is refused")
    func confusion() throws {
        let rsa = try #require(try ForeignSigner.signed["RS256"])
        for (file, form) in [("public key", JWTKeyFile.Form.publicKeys)] {
            let keys = try JWTKeyFile.parse(Array(rsa.pem.utf8), path: file, form: form).keys
            #expect(throws: JWTFault.algorithm) { try JWTVerifier(keys: keys).verify(Array(rsa.confused.utf8), now: Self.now) }
        }
        let fault = #expect(throws: SecurityFault.self) { try JWTKeyFile.parse(Array(rsa.pem.utf8), path: "key", form: .secret) }
        #expect(fault?.description.contains("everybody could sign") == true)
        // With a secret beside the public key the token meets the secret, and is wrong for it.
        let both = try JWTKeyFile.parse(Array(rsa.pem.utf8), path: "key", form: .publicKeys).keys.adding(
            JWTKeySet([JWTKey(id: nil, secret: [UInt8](repeating: 7, count: 64))!]))
        #expect(throws: JWTFault.signature) { try JWTVerifier(keys: both).verify(Array(rsa.confused.utf8), now: Self.now) }
    }

    @Test("certificates give their key, PKCS #1 keys are read, several keys stand in one file, private keys are refused")
    func files() throws {
        let rsa = try #require(try ForeignSigner.signed["RS256"])
        let es = try #require(try ForeignSigner.signed["ES256"])
        let token = Array(rsa.token.utf8)
        for text in [
            rsa.certificate, rsa.pkcs1, "text before\n" + es.pem + "between\n" + rsa.pem.replacingOccurrences(of: "\n", with: "\r\n"),
        ] {
            let keys = try JWTKeyFile.parse(Array(text.utf8), path: "key", form: .publicKeys).keys
            #expect(try JWTVerifier(keys: keys).verify(token, now: Self.now).subject == "sensor-17")
        }
        let fault = #expect(throws: SecurityFault.self) {
            try JWTKeyFile.parse(Array((es.pem + rsa.privateKey).utf8), path: "key", form: .publicKeys)
        }
        #expect(fault?.description.contains("a private key") == true && (fault?.line ?? 0) > 1)
        for wrong in [
            rsa.weak, rsa.pem.replacingOccurrences(of: "MII", with: "MIJ"), String(rsa.pem.dropLast(30)),
            "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        ] {
            let fault = #expect(throws: SecurityFault.self) { try JWTKeyFile.parse(Array(wrong.utf8), path: "key", form: .publicKeys) }
            #expect(fault?.line == 1)
        }
    }

    @Test("an algorithm that the rules don't allow is refused, and so is one that the key's alg excludes")
    func narrowed() throws {
        let rsa = try #require(try ForeignSigner.signed["RS512"])
        let keys = try JWTKeyFile.parse(Array(rsa.pem.utf8), path: "key", form: .publicKeys).keys
        #expect(throws: JWTFault.algorithm) {
            try JWTVerifier(keys: keys, rules: JWTRules(algorithms: [.rs256])).verify(Array(rsa.token.utf8), now: Self.now)
        }
        let narrow = try JWTKeyFile.parse(Array(rsa.pem.utf8), path: "key", form: .publicKeys, algorithms: [.rs256, .ps256]).keys
        #expect(throws: JWTFault.algorithm) { try JWTVerifier(keys: narrow).verify(Array(rsa.token.utf8), now: Self.now) }
        let jwk = rsa.jwk.replacingOccurrences(of: "{", with: #"{"alg":"PS256","#)
        #expect(throws: JWTFault.algorithm) {
            try JWTVerifier(keys: try JWKSDocument(Array(jwk.utf8), allowsSecrets: false).keys).verify(Array(rsa.token.utf8), now: Self.now)
        }
        #expect(throws: SecurityFault.self) {
            try JWTKeyFile.parse(Array(rsa.pem.utf8), path: "key", form: .publicKeys, algorithms: [.es256])
        }
    }
}

/// Keys and tokens that a Python program makes once for all tests.
enum ForeignSigner {
    struct Signed: Decodable, Sendable {
        let token: String
        let jwk: String
        let pem: String
        let privateKey: String
        let certificate: String
        let pkcs1: String
        /// A key of 1,024 bits.
        let weak: String
        /// An HS256 token whose secret is the text of `pem`.
        let confused: String
    }

    static let names = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "Ed448",
    ]
    static let isHere = (try? Program.run("/usr/bin/python3", ["-c", "import jwt, cryptography"])) != nil
    static var signed: [String: Signed] { get throws { try made.get() } }
    private static let made = Result {
        try JSONDecoder().decode([String: Signed].self, from: Data(try Program.run("/usr/bin/python3", ["-c", script])))
    }

    private static let script = #"""
        import base64, datetime, hashlib, hmac, json, jwt, os
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization as s
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
        b = lambda x: base64.urlsafe_b64encode(x).rstrip(b"=").decode()
        n = lambda v, size=None: b(v.to_bytes(size or (v.bit_length() + 7) // 8, "big"))
        claims = {"sub": "sensor-17", "number": 42, "exp": 1700000600, "nbf": 1699999990, "iat": 1699999990.5, "aud": ["a", "mqtt"]}
        pub = lambda k, f=s.PublicFormat.SubjectPublicKeyInfo: k.public_key().public_bytes(s.Encoding.PEM, f).decode()
        rsa_key = rsa.generate_private_key(65537, 2048)
        weak = pub(rsa.generate_private_key(65537, 1024))
        keys = {"RS": rsa_key, "ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1()),
                "ES512": ec.generate_private_key(ec.SECP521R1()), "Ed25519": ed25519.Ed25519PrivateKey.generate(),
                "Ed448": ed448.Ed448PrivateKey.generate()}
        def jwk(name, k):
            if name[:2] in ("RS", "PS"):
                p = k.public_key().public_numbers()
                return {"kty": "RSA", "n": n(p.n), "e": n(p.e)}
            if name[:2] == "ES":
                p = k.public_key().public_numbers()
                size = {"ES256": 32, "ES384": 48, "ES512": 66}[name]
                return {"kty": "EC", "crv": {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[name], "x": n(p.x, size),
                        "y": n(p.y, size)}
            return {"kty": "OKP", "crv": name, "x": b(k.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw))}
        out = {}
        for name in "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 Ed25519 Ed448".split():
            alg = "EdDSA" if name.startswith("Ed") else name
            if name.startswith("HS"):
                secret = b(os.urandom(64)).encode()
                out[name] = dict(token=jwt.encode(claims, secret, alg), jwk=json.dumps({"kty": "oct", "k": b(secret)}),
                                 pem=secret.decode() + "\n",
                                 privateKey="", certificate="", pkcs1="", weak="", confused="")
                continue
            k = keys["RS"] if name[:2] in ("RS", "PS") else keys[name]
            pem = pub(k)
            head = b(b'{"alg":"HS256","typ":"JWT"}') + "." + b(json.dumps(claims).encode())
            confused = head + "." + b(hmac.new(pem.encode(), head.encode(), hashlib.sha256).digest())
            x = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
            day = datetime.datetime(2020, 1, 1)
            cert = x509.CertificateBuilder().subject_name(x).issuer_name(x).public_key(k.public_key()).serial_number(1)
            cert = cert.not_valid_before(day).not_valid_after(day + datetime.timedelta(1))
            cert = cert.sign(k, None if name.startswith("Ed") else hashes.SHA256())
            out[name] = dict(token=jwt.encode(claims, k, alg), jwk=json.dumps(jwk(name, k)), pem=pem, weak=weak, confused=confused,
                privateKey=k.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode(),
                certificate=cert.public_bytes(s.Encoding.PEM).decode(),
                pkcs1=pub(k, s.PublicFormat.PKCS1) if name[:2] in ("RS", "PS") else "")
        print(json.dumps(out))
        """#
}
