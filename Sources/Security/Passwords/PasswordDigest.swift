import CArgon2
import COpenSSL

/// The three functions from a password and a salt to a digest.
enum PasswordDigest {
    /// - Returns: `nil` when there is no memory for it.
    static func make(_ cost: PasswordCost, password: [UInt8], salt: ArraySlice<UInt8>) -> [UInt8]? {
        switch cost.kind {
        case .sha512: sha512(password, salt)
        case .pbkdf2(let iterations): pbkdf2(password, salt, iterations: iterations, digestBytes: cost.digestBytes)
        case .argon2id(let memoryKiB, let passes, let lanes):
            argon2id(password, salt, memoryKiB: memoryKiB, passes: passes, lanes: lanes, digestBytes: cost.digestBytes)
        }
    }

    private static func sha512(_ password: [UInt8], _ salt: ArraySlice<UInt8>) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: 64)
        var input = password + salt
        defer { input.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
        return EVP_Digest(input, input.count, &digest, nil, EVP_sha512(), nil) == 1 ? digest : nil
    }

    private static func pbkdf2(_ password: [UInt8], _ salt: ArraySlice<UInt8>, iterations: Int, digestBytes: Int) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: digestBytes)
        // An empty array may lend no address, which OpenSSL would take for "no password".
        let isDone = (password + [0]).withUnsafeBytes { password in
            salt.withUnsafeBytes { salt in
                PKCS5_PBKDF2_HMAC(
                    password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count - 1),
                    salt.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(salt.count), Int32(iterations), EVP_sha512(),
                    Int32(digestBytes), &digest)
            }
        }
        return isDone == 1 ? digest : nil
    }

    /// Lanes are worked off by this thread alone, one after another: a login takes one processor, whatever a file says.
    private static func argon2id(
        _ password: [UInt8], _ salt: ArraySlice<UInt8>, memoryKiB: Int, passes: Int, lanes: Int, digestBytes: Int
    ) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: digestBytes)
        var password = password
        var salt = Array(salt)
        let code = digest.withUnsafeMutableBufferPointer { digest in
            password.withUnsafeMutableBufferPointer { password in
                salt.withUnsafeMutableBufferPointer { salt in
                    var context = argon2_context()
                    context.out = digest.baseAddress
                    context.outlen = UInt32(digest.count)
                    context.pwd = password.isEmpty ? nil : password.baseAddress
                    context.pwdlen = UInt32(password.count)
                    context.salt = salt.baseAddress
                    context.saltlen = UInt32(salt.count)
                    context.t_cost = UInt32(passes)
                    context.m_cost = UInt32(memoryKiB)
                    context.lanes = UInt32(lanes)
                    context.threads = 1
                    context.version = UInt32(ARGON2_VERSION_13.rawValue)
                    return argon2id_ctx(&context)
                }
            }
        }
        return code == ARGON2_OK.rawValue ? digest : nil
    }
}
