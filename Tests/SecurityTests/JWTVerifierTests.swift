import Encodings
import COpenSSL
import Foundation
import Testing

@testable import Security

@Suite struct JWTVerifierTests {
    static let secret = [UInt8](repeating: 0x41, count: 64)
    static let now: Int64 = 1_700_000_000

    static func hmac(_ text: String, _ secret: [UInt8] = secret) -> String {
        var code = [UInt8](repeating: 0, count: 32)
        _ = HMAC(EVP_sha256(), secret, Int32(secret.count), Array(text.utf8), text.utf8.count, &code, nil)
        return Base64.encode(code, .url)
    }

    static func token(header: String = #"{"alg":"HS256"}"#, _ payload: String, secret: [UInt8] = secret) -> [UInt8] {
        let message = Base64.encode(header.utf8, .url) + "." + Base64.encode(payload.utf8, .url)
        return Array("\(message).\(hmac(message, secret))".utf8)
    }

    static func verify(_ token: [UInt8], _ rules: JWTRules = JWTRules(), keys: JWTKeySet? = nil) throws(JWTFault) -> JWTClaims {
        let keys = keys ?? JWTKeySet([JWTKey(id: nil, secret: secret)!])
        return try JWTVerifier(keys: keys, rules: rules).verify(token, now: now)
    }

    static func fault(_ token: [UInt8], _ rules: JWTRules = JWTRules(), keys: JWTKeySet? = nil) -> JWTFault? {
        do throws(JWTFault) {
            _ = try verify(token, rules, keys: keys)
            return nil
        } catch { return error }
    }

    static let good = #"{"exp":1700000600,"sub":"a"}"#

    @Test(
        "claims in time, and out of it",
        arguments: [
            (#"{"exp":1699999941}"#, nil), (#"{"exp":1699999940}"#, .expired), (#"{"exp":1699999940.9}"#, .expired),
            (#"{"exp":0}"#, .expired),
            (#"{"exp":-1}"#, .expired), (#"{"exp":1e300}"#, .malformed), (#"{"exp":9223372036854775807}"#, .malformed),
            (#"{"exp":"1700000600"}"#, .malformed), (#"{"exp":null}"#, .malformed), (#"{}"#, .missingClaim),
            (#"{"exp":1700000600,"nbf":1700000060}"#, nil), (#"{"exp":1700000600,"nbf":1700000061}"#, .notYetValid),
            (#"{"exp":1700000600,"iat":1700000060}"#, nil), (#"{"exp":1700000600,"iat":1700000061}"#, .notYetValid),
            (#"{"exp":1700000600,"nbf":true}"#, .malformed), (#"{"exp":1700000600,"exp":1}"#, .malformed),
            (#"{"exp":1700000600,"\u0065xp":1}"#, .malformed), ("[]", .malformed), ("", .malformed), ("{\"exp\":1700000600}x", .malformed),
        ] as [(String, JWTFault?)])
    func times(payload: String, fault: JWTFault?) { #expect(Self.fault(Self.token(payload)) == fault) }

    @Test("a token without exp is taken where the rules say so")
    func noExpiry() throws {
        let claims = try Self.verify(Self.token("{}"), JWTRules(isExpiryRequired: false))
        #expect(claims.expiresAt == nil && claims.subject == nil)
        #expect(Self.fault(Self.token(#"{"exp":1}"#), JWTRules(isExpiryRequired: false)) == .expired)
    }

    @Test("issuer and audience, alone and in a list")
    func parties() {
        let rules = JWTRules(issuers: ["https://issuer", "second"], audiences: ["mqtt", "broker"])
        func check(_ claims: String) -> JWTFault? { Self.fault(Self.token("{\"exp\":1700000600," + claims + "}"), rules) }
        #expect(check(#""iss":"second","aud":"broker""#) == nil)
        #expect(check(#""iss":"https://issuer","aud":["x","mqtt"]"#) == nil)
        for wrong in [#""aud":"mqtt""#, #""iss":"other","aud":"mqtt""#, #""iss":["second"],"aud":"mqtt""#, #""iss":null,"aud":"mqtt""#] {
            #expect(check(wrong) == .issuer)
        }
        for wrong in [
            #""iss":"second""#, #""iss":"second","aud":"x""#, #""iss":"second","aud":[]"#, #""iss":"second","aud":[1,["mqtt"]]"#,
            #""iss":"second","aud":{"mqtt":1}"#,
        ] {
            #expect(check(wrong) == .audience)
        }
    }

    @Test("claims that are required, as text or number")
    func required() throws {
        let rules = JWTRules(requiredClaims: ["device"])
        #expect(try Self.verify(Self.token(#"{"exp":1700000600,"device":"d1"}"#), rules).text("device") == "d1")
        #expect(try Self.verify(Self.token(#"{"exp":1700000600,"device":17,"acl":{"pub":["a"]}}"#), rules).text("device") == "17")
        for wrong in [
            Self.good, #"{"exp":1700000600,"device":null}"#, #"{"exp":1700000600,"device":[]}"#, #"{"exp":1700000600,"device":true}"#,
        ] {
            #expect(Self.fault(Self.token(wrong), rules) == .missingClaim)
        }
    }

    @Test(
        "headers that are no word of trust",
        arguments: [
            (#"{"alg":"none"}"#, .algorithm), (#"{"alg":"None"}"#, .algorithm), (#"{"alg":""}"#, .algorithm), ("{}", .algorithm),
            (#"{"alg":null}"#, .algorithm), (#"{"alg":["HS256"]}"#, .algorithm), (#"{"alg":"hs256"}"#, .algorithm),
            (#"{"alg":"RS256"}"#, .algorithm),
            (#"{"alg":"ES256"}"#, .algorithm), (#"{"alg":"HS256","crit":["exp"]}"#, .critical), (#"{"alg":"HS256","crit":[]}"#, .critical),
            (#"{"alg":"HS256","kid":7}"#, .malformed), (#"{"alg":"HS256","kid":null}"#, .malformed),
            (#"{"alg":"none","alg":"HS256"}"#, .malformed),
            (#"{"alg":"HS256""#, .malformed), ("[]", .malformed), (#""HS256""#, .malformed),
            (#"{"alg":"HS256","jku":"http://evil/","jwk":{"kty":"oct","k":"AAAA"},"x5u":"x","typ":"anything"}"#, nil),
            (#"{"alg":"HS256","kid":"any"}"#, nil), (#"{"alg":"HS512"}"#, .signature),
        ] as [(String, JWTFault?)])
    func headers(header: String, fault: JWTFault?) { #expect(Self.fault(Self.token(header: header, Self.good)) == fault) }

    @Test("none with an empty signature is refused in every spelling")
    func unsigned() {
        let payload = Base64.encode(Self.good.utf8, .url)
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let header = Base64.encode("{\"alg\":\"\(name)\"}".utf8, .url)
            for tail in [".", ".AA", ""] { #expect(Self.fault(Array("\(header).\(payload)\(tail)".utf8)) != nil) }
        }
    }

    @Test("parts, padding, blanks and foreign characters")
    func shape() {
        let token = String(decoding: Self.token(Self.good), as: UTF8.self)
        let parts = token.split(separator: ".").map(String.init)
        for wrong in [
            "", ".", "..", "...", parts[0], "\(parts[0]).\(parts[1])", token + ".", "." + token, token + "=", token + " ", token + "\n",
            " " + token,
            token.replacingOccurrences(of: ".", with: ".."), token + ".a.b", "\(parts[0])=.\(parts[1]).\(parts[2])", "Bearer " + token,
            token + "\0",
        ] { #expect(Self.fault(Array(wrong.utf8)) != nil, "\(wrong)") }
        #expect(Self.fault([UInt8](repeating: 0xFF, count: 1_000)) == .malformed)
        #expect(Self.fault(Self.token(Self.good)) == nil)
    }

    @Test("the last character of a signature can't be spelled in another way")
    func malleable() throws {
        let token = Self.token(Self.good)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8
        let accepted = alphabet.filter { Self.fault(token.dropLast() + [$0]) == nil }
        #expect(accepted == [token.last!])
    }

    @Test("16 KiB is the most")
    func size() {
        func sized(_ count: Int) -> [UInt8] {
            var filler = count
            while true {
                let token = Self.token(#"{"exp":1700000600,"x":""# + String(repeating: "a", count: filler) + "\"}")
                if token.count <= count { return token }
                filler -= max(1, (token.count - count) * 3 / 4)
            }
        }
        let most = sized(16_384)
        #expect(most.count > 16_370 && Self.fault(most) == nil)
        #expect(Self.fault(Self.token(#"{"exp":1700000600,"x":""# + String(repeating: "a", count: 12_400) + "\"}")) == .tooLong)
        #expect(Self.fault([UInt8](repeating: UInt8(ascii: "."), count: 1 << 20)) == .tooLong)
        #expect(Self.fault(Self.token(#"{"exp":1700000600,"x":"# + String(repeating: "[", count: 5_000) + "}")) == .malformed)
    }

    @Test("kid chooses the key; keys without one serve all; a kid that nobody has is told apart")
    func keyIDs() throws {
        let other = [UInt8](repeating: 0x42, count: 64)
        let named = JWTKeySet([JWTKey(id: "a", secret: Self.secret)!, JWTKey(id: "b", secret: other)!])
        func token(_ id: String?, _ secret: [UInt8]) -> [UInt8] {
            Self.token(header: id.map { #"{"alg":"HS256","kid":"\#($0)"}"# } ?? #"{"alg":"HS256"}"#, Self.good, secret: secret)
        }
        #expect(Self.fault(token("a", Self.secret), keys: named) == nil && Self.fault(token("b", other), keys: named) == nil)
        #expect(Self.fault(token("b", Self.secret), keys: named) == .signature)
        #expect(Self.fault(token("c", Self.secret), keys: named) == .unknownKey)
        #expect(Self.fault(token(nil, other), keys: named) == nil)
        #expect(Self.fault(token(nil, [UInt8](repeating: 0x43, count: 64)), keys: named) == .signature)
        let anonymous = named.adding(JWTKeySet([JWTKey(id: nil, secret: [UInt8](repeating: 0x43, count: 64))!]))
        #expect(Self.fault(token("c", [UInt8](repeating: 0x43, count: 64)), keys: anonymous) == nil)
        #expect(Self.fault(token("c", Self.secret), keys: anonymous) == .signature)
        #expect(Self.fault(token("a", Self.secret), keys: JWTKeySet()) == .unknownKey)
        // Two keys of one kid, as while a key is exchanged.
        let pair = JWTKeySet([JWTKey(id: "a", secret: other)!, JWTKey(id: "a", secret: Self.secret)!])
        #expect(Self.fault(token("a", Self.secret), keys: pair) == nil && Self.fault(token("a", other), keys: pair) == nil)
        // The number of keys that one token is tried with is bounded.
        let crowd = JWTKeySet((0..<20).map { JWTKey(id: "k\($0)", secret: [UInt8](repeating: UInt8($0), count: 32))! })
        #expect(Self.fault(token(nil, [UInt8](repeating: 15, count: 32)), keys: crowd) == nil)
        #expect(Self.fault(token(nil, [UInt8](repeating: 16, count: 32)), keys: crowd) == .signature)
    }

    @Test("a secret serves the algorithms that it is long enough for")
    func secretLengths() {
        #expect(JWTKey(id: nil, secret: [UInt8](repeating: 1, count: 31)) == nil)
        #expect(JWTKey(id: nil, secret: [UInt8](repeating: 1, count: 32))?.algorithms == [.hs256])
        #expect(JWTKey(id: nil, secret: [UInt8](repeating: 1, count: 48))?.algorithms == [.hs256, .hs384])
        #expect(JWTKey(id: nil, secret: [UInt8](repeating: 1, count: 64))?.algorithms == [.hs256, .hs384, .hs512])
    }

    @Test("secret files: one line end is no part of the secret; short and empty ones are refused; the secret shows nowhere")
    func secretFiles() throws {
        let secret = String(repeating: "s3cr", count: 8)
        for text in [secret, secret + "\n", secret + "\r\n"] {
            let keys = try JWTKeyFile.parse(Array(text.utf8), path: "secret", form: .secret).keys
            #expect(Self.fault(Self.token(Self.good, secret: Array(secret.utf8)), keys: keys) == nil)
            var dumped = ""
            dump(keys, to: &dumped)
            for shown in ["\(keys.keys[0])", String(reflecting: keys), dumped] {
                #expect(!shown.contains("115") && !shown.contains("s3cr"))
            }
        }
        for text in ["", "\n", "s3cret\n", String(secret.dropLast())] {
            let fault = #expect(throws: SecurityFault.self) { try JWTKeyFile.parse(Array(text.utf8), path: "secret", form: .secret) }
            #expect(fault?.description.contains("s3cr") == false)
        }
        #expect(throws: SecurityFault.self) {
            try JWTKeyFile.parse(Array(secret.utf8), path: "secret", form: .secret, algorithms: [.hs512])
        }
        let directory = try TestDirectory()
        try directory.write("secret", Array(secret.utf8))
        #expect(try JWTKeyFile.load(directory.path("secret"), form: .secret).warnings.isEmpty)
        chmod(directory.path("secret"), 0o644)
        #expect(try JWTKeyFile.load(directory.path("secret"), form: .secret).warnings.count == 1)
        #expect(throws: SecurityFaults.self) { try JWTKeyFile.load(directory.path, form: .publicKeys) }
    }

    @Test("random damage to a token is refused and never crashes")
    func fuzz() {
        let good = Self.token(Self.good)
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3) {
                let at = Int.random(in: 0..<bytes.count)
                switch Int.random(in: 0..<3) {
                case 0: bytes[at] = UInt8.random(in: 0...255)
                case 1: bytes.remove(at: at)
                default: bytes.insert(UInt8("._-=A".utf8.randomElement()!), at: at)
                }
            }
            #expect(bytes == good || Self.fault(bytes) != nil)
        }
    }
}
