import COpenSSL
import Glibc
import Synchronization

/// The present ticket keys of a process: read by every handshake, replaced by `refresh`.
package final class TicketKeyring: Sendable {
    /// Looked up once: OpenSSL 3 would search its providers for each ticket.
    private static let aes = Cipher()
    private let keys: Mutex<TicketKeys>
    private let file: String?
    private let rotationSeconds: Int64
    private let lifetimeSeconds: Int64

    /// - Parameters:
    ///   - file: Where the keys live; `nil`: in memory, and a restart makes all tickets void.
    ///   - rotationSeconds: Age at which a key gets a successor. At least 600.
    ///   - lifetimeSeconds: How long tickets are good: the longest `sessionLifetimeSeconds` of the listeners.
    package init(file: String?, rotationSeconds: Int64 = 43_200, lifetimeSeconds: Int64 = 7_200, nowSeconds: Int64)
        throws(TLSConfigurationError)
    {
        self.file = file
        self.rotationSeconds = max(2 * TicketKeys.spreadSeconds, rotationSeconds)
        self.lifetimeSeconds = lifetimeSeconds
        keys = Mutex(TicketKeys([], nowSeconds: nowSeconds))
        try refresh(nowSeconds: nowSeconds)
    }

    /// Takes over what another node has written, and rotates when it is time. To be called more often than every
    /// `TicketKeys.spreadSeconds`; reads and writes a file, so not on an event loop. An error leaves the present keys in use.
    package func refresh(nowSeconds: Int64) throws(TLSConfigurationError) {
        guard let file else {
            var next = keys.withLock { $0 }
            _ = try next.rotate(nowSeconds: nowSeconds, rotationSeconds: rotationSeconds, lifetimeSeconds: lifetimeSeconds)
            let result = next
            return keys.withLock { $0 = result }
        }
        let next = try TicketKeyFile.withLock(file) { () throws(TLSConfigurationError) -> TicketKeys in
            var next = TicketKeys(try TicketKeyFile.read(file) ?? [], nowSeconds: nowSeconds)
            if try next.rotate(nowSeconds: nowSeconds, rotationSeconds: rotationSeconds, lifetimeSeconds: lifetimeSeconds) {
                try TicketKeyFile.write(next.keys, to: file)
            }
            return next
        }
        keys.withLock { $0 = next }
    }

    /// Number of keys that open tickets.
    package var count: Int { keys.withLock { $0.keys.count } }

    /// For OpenSSL's callback, which has it seal (1) or open a ticket: `name` is 16 bytes, `iv` as many as the cipher's block.
    /// - Returns: 1; 2: opened, and worth a new one; 0: a key that isn't known; -1: failed.
    func apply(
        name: UnsafeMutablePointer<UInt8>, iv: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer, mac: OpaquePointer, seals: Bool
    ) -> Int32 {
        let (found, isSealing) = keys.withLock { keys -> (TicketKeys.Key?, Bool) in
            if seals { return (keys.sealingKey, true) }
            let index = keys.index(named: UnsafeRawBufferPointer(start: name, count: 16))
            return (index.map { keys.keys[$0] }, index == keys.sealing)
        }
        guard let found else { return seals ? -1 : 0 }
        if seals {
            found.name.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: name, count: 16).copyMemory(from: $0) }
            guard RAND_bytes(iv, 16) == 1 else { return -1 }
        }
        let isReady = found.cipherKey.withBytes { cipherKey in
            found.macKey.withBytes { macKey in
                headwater_tls_ticket_ciphers(
                    cipher, mac, Self.aes.pointer, cipherKey.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    UnsafeMutablePointer(mutating: macKey.baseAddress?.assumingMemoryBound(to: UInt8.self)), iv, seals ? 1 : 0)
            }
        }
        guard isReady == 1 else { return -1 }
        return isSealing ? 1 : 2
    }
}

/// One for the process, never freed.
// @unchecked: a fetched EVP_CIPHER isn't changed.
private struct Cipher: @unchecked Sendable {
    let pointer = EVP_CIPHER_fetch(nil, "AES-256-CBC", nil)
}
