import Encodings
import Testing

@testable import Security

@Suite struct PasswordHashTests {
    /// Made with hashlib of Python and with the reference implementation's `argon2`.
    static let foreign = [
        "$6$AAECAwQFBgcICQoL$yVGZQ+S9lziFpaSgcq1oCNeLRMaw+kB1itO9631SF0/o4SwKThy5eM0M62N6i2QLm7s6c+HNJ0uuW6U+Lh9ebg==",
        "$7$101$AAECAwQFBgcICQoL$19FDyvggg0T3fMeC7wxCzZYNOBBEtm6OzIlM5AtA0Sl3/kJ+hoDyDXYfdiJWPSbMmymwUzV3Nfc2EZA9lgz6cg==",
        "$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$JMiws1q/Oa85vX4q+2J+98Bu"
            + "LpYDXuJYu+66Ti2naABVskdh7ZLwv4+7hmo17Fne8dsEoulCr5zPeNAe45PAJQ==",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97z+TknZ8Qr5vfEeHL1PDDsuWumv7i/1hJMapuvNLjQGGM"
            + "Mdwkr6H7ZtHnBPlMGw",
        "$argon2id$v=19$m=1024,t=1,p=4$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw$V5fv"
            + "0FokRkZ1UbClKBIp9PBXMea2r91zZ4xq2rTWdfF67OlG86KlohfhKIYP8tCfFLE3Fik7/xyNYzuZAXfj2g",
    ]

    @Test("a hash of another program is right for its password and no other", arguments: foreign)
    func verifies(text: String) throws {
        let hash = try PasswordHash(text: text.utf8)
        #expect(hash.verify(Array("geheim".utf8)) == .right)
        for wrong in ["", "geheim ", "Geheim", "geheim\0", "gehei"] { #expect(hash.verify(Array(wrong.utf8)) == .wrong, "\(wrong)") }
        #expect(hash.text == text)
    }

    static let cheap: [PasswordCost] = [
        .sha512, PasswordCost(.pbkdf2(iterations: 1)), PasswordCost(.argon2id(memoryKiB: 8, passes: 1, lanes: 1)),
    ]

    @Test("what is made is read and verified, under a new salt each time", arguments: cheap)
    func roundTrip(cost: PasswordCost) throws {
        for password in ["", "geheim", String(repeating: "ä", count: 30_000)] {
            let hash = try #require(PasswordHash.make(cost, password: Array(password.utf8)))
            let again = try PasswordHash(text: hash.text.utf8)
            #expect(again == hash)
            #expect(again.verify(Array(password.utf8)) == .right)
            #expect(again.verify(Array((password + "x").utf8)) == .wrong)
            #expect(PasswordHash.make(cost, password: Array(password.utf8))?.salt != hash.salt)
        }
    }

    @Test("salts have the lengths that Mosquitto reads")
    func saltLengths() throws {
        #expect(Self.cheap.map { PasswordHash.make($0, password: [1])?.salt.count } == [12, 12, 64])
        #expect(PasswordHash.make(.argon2id, password: [1])?.text.hasPrefix("$argon2id$v=19$m=47104,t=1,p=1$") == true)
    }

    @Test("a password with a NUL is never right for the older kinds, not even where the part before it is, and can't be made")
    func nul() throws {
        for text in Self.foreign.prefix(3) {
            let hash = try PasswordHash(text: text.utf8)
            #expect(hash.verify(Array("geheim\0".utf8)) == .wrong)
            #expect(hash.verify(Array("geheim\0more".utf8)) == .wrong)
        }
        let digest = try #require(PasswordDigest.make(.sha512, password: Array("a\0b".utf8), salt: [UInt8](repeating: 1, count: 12)[...]))
        let hash = PasswordHash(cost: .sha512, salt: [UInt8](repeating: 1, count: 12), digest: digest)
        #expect(hash.verify(Array("a\0b".utf8)) == .wrong)
        #expect(PasswordHash.make(.sha512, password: [0]) == nil)
        let argon = try #require(PasswordHash.make(Self.cheap[2], password: Array("a\0b".utf8)))
        #expect(argon.verify(Array("a\0b".utf8)) == .right && argon.verify(Array("a".utf8)) == .wrong)
    }

    @Test("costs above the limits are refused, and those at the limits are not")
    func limits() throws {
        func hash(_ text: String, _ limits: PasswordCostLimits = PasswordCostLimits()) -> String? {
            do throws(PasswordHashFault) {
                _ = try PasswordHash(text: text.utf8, limits: limits)
                return nil
            } catch {
                return error.what
            }
        }
        let salt = "AAECAwQFBgcICQoL"
        let digest = Base64.encode([UInt8](repeating: 0, count: 64), .standard)
        let tail = "\(salt)AAAAAAAA$\(digest.dropLast(2))"
        #expect(hash("$7$2147483647$\(salt)$\(digest)")?.contains("2147483647 iterations, at most 5000000") == true)
        #expect(hash("$7$5000001$\(salt)$\(digest)") != nil && hash("$7$5000000$\(salt)$\(digest)") == nil)
        #expect(hash("$argon2id$v=19$m=4194304,t=1,p=1$\(tail)")?.contains("m=4194304 KiB, at most 262144") == true)
        #expect(hash("$argon2id$v=19$m=262145,t=1,p=1$\(tail)") != nil && hash("$argon2id$v=19$m=262144,t=16,p=16$\(tail)") == nil)
        #expect(hash("$argon2id$v=19$m=1024,t=17,p=1$\(tail)") != nil && hash("$argon2id$v=19$m=1024,t=1,p=17$\(tail)") != nil)
        #expect(hash("$argon2id$v=19$m=262145,t=1,p=1$\(tail)", PasswordCostLimits(maxMemoryKiB: 300_000)) == nil)
    }

    @Test(
        "text that is no hash is refused with what it is",
        arguments: [
            ("geheim", "a plain password"), ("", "a plain password"), ("$6$", "followed by salt$digest"), ("$8$a$b", "isn't known"),
            ("$6$AAECAwQFBgcICQoL$AA==", "the digest has 1 bytes"), ("$6$AAECAwQFBgcICQ==$\(digest)", "the salt has 10 bytes"),
            ("$6$AAECAwQFBgcICQoL$\(digest.dropLast())", "isn't Base64"), ("$6$AAECAwQFBgcI CQoL$\(digest)", "isn't Base64"),
            ("$7$0$AAECAwQFBgcICQoL$\(digest)", "iterations"), ("$7$-1$AAECAwQFBgcICQoL$\(digest)", "iterations"),
            ("$7$ 1$AAECAwQFBgcICQoL$\(digest)", "iterations"), ("$7$99999999999999999999$AAECAwQFBgcICQoL$\(digest)", "iterations"),
            ("$7$AAECAwQFBgcICQoL$\(digest)", "followed by iterations"),
            ("$argon2id$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo", "followed by v=19"),
            ("$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97", "followed by v=19"),
            ("$argon2id$v=19$t=2,m=256,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97", "m, t and p"),
            ("$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97", "eight times"),
            ("$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97", "m, t and p"),
            ("$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHRzb21lc2FsdA$4wiOxf1cKtq85Ye0dLo/WX97", "m, t and p"),
            ("$argon2id$v=19$m=256,t=2,p=1$c29t$4wiOxf1cKtq85Ye0dLo/WX97", "salt and digest"),
            ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdA==$4wiOxf1cKtq85Ye0dLo/WX97", "isn't Base64"),
        ])
    func refused(text: String, reason: String) {
        let fault = #expect(throws: PasswordHashFault.self) { try PasswordHash(text: text.utf8) }
        #expect(fault?.what.contains(reason) == true, "\(fault?.what ?? "")")
    }

    static let digest = Base64.encode([UInt8](repeating: 0, count: 64), .standard)

    @Test(
        "crypt(3) and htpasswd strings are refused by name, and not repeated",
        arguments: [
            ("$6$abcdefgh$msgktWxVAbjjh3X7lA5LaM7dS/ZfABJL6T4qcRsnjcOTj0kptUvZcrvrXIoO5fgPA9xz6UnF2To2Y7jGc/IZY/", "SHA-512-crypt"),
            ("$6$rounds=5000$abcdefgh$msgktWxVAbjjh3X7lA5LaM7dS/ZfABJL6T4qcRsnjcOTj0kptUvZcrvrXIoO5f", "SHA-512-crypt"),
            ("$5$abcdefgh$ieJJZKBIlYB6bSxGdSTVQ2bNOJqdx6jAzYvzFqdVDs9", "SHA-256-crypt"),
            ("$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", "MD5-crypt"),
            ("$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC", "bcrypt"),
            ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "yescrypt"),
            ("$apr1$abcdefgh$kgHNOEVMfNTp2XuzK1F9p0", "Apache"), ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$4wiOxf1cKtq85Ye0dLo", "argon2i"),
        ])
    func foreignKinds(text: String, name: String) {
        let fault = #expect(throws: PasswordHashFault.self) { try PasswordHash(text: text.utf8) }
        #expect(fault?.what.contains(name) == true, "\(fault?.what ?? "")")
        #expect(fault?.what.contains("abcdefgh") == false)
    }

    @Test("neither salt nor digest shows in a description")
    func secrecy() throws {
        let hash = try PasswordHash(text: Self.foreign[1].utf8)
        var dumped = ""
        dump(hash, to: &dumped)
        for text in [
            "\(hash)", String(reflecting: hash), dumped, "\(PasswordTable([[1]: hash]))", String(reflecting: PasswordTable([[1]: hash])),
        ] {
            #expect(!text.contains("AAEC") && !text.contains("215, ") && !text.contains("[0, 1, 2"), "\(text)")
        }
    }
}
