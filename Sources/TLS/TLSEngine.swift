import COpenSSL
import NIOCore

/// One TLS connection without its socket: ciphertext in, plaintext out, and back.
///
/// Sans-IO: bytes are lent to it for the duration of a call, and it keeps an incomplete record and nothing else. Not Sendable;
/// whoever has it may give it away (`DetachedTLSEngine`).
package final class TLSEngine {
    package enum Phase: UInt8, Sendable {
        case handshaking
        case open
        /// The peer has said that nothing more comes (close_notify). It may still be written to.
        case closedByPeer
        /// See `failure`. There may be an alert to send.
        case failed
    }

    /// What `receive` has led to; `phase` and `failure` say more.
    package enum Progress: UInt8, Sendable {
        case ok
        /// Once in a connection. Plaintext may have come along, and `phase` may be beyond `open` already.
        case handshakeCompleted
        case closed
        case failed
    }

    let ssl: OpaquePointer
    let bytes: UnsafeMutablePointer<HeadwaterTLSBytes>
    /// The listener's, until the handshake is complete: connections don't keep what a reload has replaced.
    @exclusivity(unchecked) private(set) var context: TLSContext?
    @exclusivity(unchecked) private(set) var clientContext: TLSClientContext?
    @exclusivity(unchecked) package private(set) var phase = Phase.handshaking
    package let isServer: Bool
    /// The handshake was completed, whatever came after it.
    @exclusivity(unchecked) package private(set) var hasOpened = false
    /// Records since the last one with plaintext in it.
    @exclusivity(unchecked) private var barrenRecords: Int32 = 0
    @exclusivity(unchecked) private var handshakeBytes: Int32 = 0
    /// The largest plaintext of a record that goes out: less than 16 kB if the peer has asked so (RFC 6066 section 4).
    @exclusivity(unchecked) private(set) var fragmentBytes = 16_384
    /// The beginning of a record whose end has not come.
    @exclusivity(unchecked) private var partial: [UInt8] = []
    /// Before the handshake is complete: what the client claims. Afterwards: what it has proved.
    @exclusivity(unchecked) private(set) var psk: (identity: String, key: SecretBytes)?
    @exclusivity(unchecked) private var hasRefusedPSK = false
    @exclusivity(unchecked) package private(set) var failure: TLSError?

    /// Bytes that a peer may send before its handshake is complete.
    private static let maxHandshakeBytes: Int32 = 262_144
    /// Records in a row that bring nothing (KeyUpdate, tickets, refused renegotiation, empty ones).
    private static let maxBarrenRecords: Int32 = 64

    init?(server context: TLSContext, _ sslContext: OpaquePointer) {
        guard let (ssl, bytes) = Self.make(sslContext) else { return nil }
        self.ssl = ssl
        self.bytes = bytes
        self.context = context
        isServer = true
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_accept_state(ssl)
    }

    init?(client context: TLSClientContext, _ sslContext: OpaquePointer) {
        guard let (ssl, bytes) = Self.make(sslContext) else { return nil }
        self.ssl = ssl
        self.bytes = bytes
        clientContext = context
        isServer = false
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_connect_state(ssl)
    }

    deinit {
        // A connection that was lost without a farewell would else take its session with it (RFC 2246 had it so).
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        SSL_free(ssl)
        headwater_tls_drop_pending(bytes, .max)
        bytes.deallocate()
    }

    private static let bioMethod = BIOMethod()

    private static func make(_ sslContext: OpaquePointer) -> (OpaquePointer, UnsafeMutablePointer<HeadwaterTLSBytes>)? {
        guard let ssl = SSL_new(sslContext) else { return nil }
        guard let method = bioMethod.pointer, let bio = BIO_new(method) else {
            SSL_free(ssl)
            return nil
        }
        let bytes = UnsafeMutablePointer<HeadwaterTLSBytes>.allocate(capacity: 1)
        bytes.initialize(to: HeadwaterTLSBytes())
        headwater_bio_set_data(bio, bytes)
        SSL_set_bio(ssl, bio, bio)
        return (ssl, bytes)
    }

    // MARK: Reading

    /// Takes what has come from the network.
    /// - Parameters:
    ///   - ciphertext: Lent; everything in it is taken.
    ///   - plaintext: What was in it is appended: never more bytes than have come.
    package func receive(_ ciphertext: UnsafeRawBufferPointer, plaintext: inout ByteBuffer) -> Progress {
        guard phase <= .open else { return phase == .failed ? .failed : .closed }
        var rest = ciphertext
        var hasOpenedNow = false
        if !partial.isEmpty {
            guard let record = completePartial(from: &rest) else { return phase == .failed ? .failed : .ok }
            let progress = record.withUnsafeBytes { process($0, records: 1, into: &plaintext) }
            guard phase <= .open else { return progress }
            hasOpenedNow = progress == .handshakeCompleted
        }
        let whole = RecordScanner.wholeRecords(rest)
        if whole.count > 0 {
            let progress = process(UnsafeRawBufferPointer(rebasing: rest[..<whole.bytes]), records: whole.count, into: &plaintext)
            hasOpenedNow = hasOpenedNow || progress == .handshakeCompleted
            guard phase <= .open else { return hasOpenedNow ? .handshakeCompleted : progress }
        }
        if whole.bytes < rest.count {
            partial = Array(rest[whole.bytes...])
            if phase == .handshaking, !isAcceptable(opening: rest) { return .failed }
        }
        return hasOpenedNow ? .handshakeCompleted : .ok
    }

    /// The record whose beginning waited, if its end is there; `rest` begins behind what was taken.
    private func completePartial(from rest: inout UnsafeRawBufferPointer) -> [UInt8]? {
        while true {
            let needed = partial.withUnsafeBytes { RecordScanner.recordBytes($0) } ?? RecordScanner.headerBytes
            let missing = needed - partial.count
            if missing <= 0 {
                defer { partial = [] }
                return partial
            }
            guard !rest.isEmpty else {
                if phase == .handshaking { _ = partial.withUnsafeBytes { isAcceptable(opening: $0) } }
                return nil
            }
            let taken = min(missing, rest.count)
            partial.append(contentsOf: rest[..<taken])
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        }
    }

    /// `records` whole records.
    private func process(_ whole: UnsafeRawBufferPointer, records: Int, into plaintext: inout ByteBuffer) -> Progress {
        if phase == .handshaking, !isAcceptable(opening: whole) { return .failed }
        bytes.pointee.input = whole.baseAddress?.assumingMemoryBound(to: UInt8.self)
        bytes.pointee.inputCount = whole.count
        defer {
            bytes.pointee.input = nil
            bytes.pointee.inputCount = 0
        }
        guard phase == .handshaking else {
            return read(records: records, into: &plaintext)
        }
        handshakeBytes &+= Int32(clamping: whole.count)
        guard handshakeBytes <= Self.maxHandshakeBytes else {
            return fail(TLSError(.other, "the handshake has become too long"))
        }
        advanceHandshake()
        guard phase == .open else { return phase == .failed ? .failed : .ok }
        if bytes.pointee.inputCount > 0 { _ = read(records: records, into: &plaintext) }
        return .handshakeCompleted
    }

    /// Reads what is lent to its end.
    @inline(__always)
    private func read(records: Int, into plaintext: inout ByteBuffer) -> Progress {
        var reads: Int32 = 0
        var isAtEnd = true
        bytes.pointee.wantsMore = 0
        plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.pointee.inputCount) { room in
            var written = 0
            while bytes.pointee.inputCount > 0 {
                let count = SSL_read(ssl, room.baseAddress.unsafelyUnwrapped + written, Int32(truncatingIfNeeded: room.count &- written))
                guard count > 0 else {
                    isAtEnd = bytes.pointee.wantsMore != 0
                    break
                }
                written &+= Int(count)
                reads &+= 1
            }
            return written
        }
        guard isAtEnd else { return ended() }
        if reads > 0 { barrenRecords = 0 } else { barrenRecords &+= Int32(clamping: records) }
        guard barrenRecords <= Self.maxBarrenRecords else {
            return fail(TLSError(.other, "many records and no data in them"))
        }
        return .ok
    }

    /// SSL_read has returned nothing, and not because everything was read.
    private func ended() -> Progress {
        if SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0, SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN {
            phase = .closedByPeer
            return .closed
        }
        return fail(TLSError.fromErrorQueue(ssl, usedPSK: false, refusedPSK: false))
    }

    // MARK: The handshake

    /// Client: makes the ClientHello.
    package func start() {
        if phase == .handshaking, !isServer { advanceHandshake() }
    }

    private func advanceHandshake() {
        // Other users of OpenSSL on this thread may have left something.
        ERR_clear_error()
        bytes.pointee.wantsMore = 0
        let result = SSL_do_handshake(ssl)
        if result == 1 { return opened() }
        if bytes.pointee.wantsMore != 0 { return }
        _ = fail(TLSError.fromErrorQueue(ssl, usedPSK: psk != nil, refusedPSK: hasRefusedPSK))
    }

    private func opened() {
        phase = .open
        hasOpened = true
        settlePSK()
        if isServer { headwater_x509_drop_roots(SSL_get_peer_cert_chain(ssl)) }
        context = nil
        clientContext = nil
        if let session = SSL_get_session(ssl) {
            let mode = SSL_SESSION_get_max_fragment_length(session)
            if mode != 0 { fragmentBytes = 256 << Int(mode) }
        }
    }

    /// A server reads a ClientHello first, and not what would have it take memory for more.
    private func isAcceptable(opening record: UnsafeRawBufferPointer) -> Bool {
        guard isServer, !record.isEmpty, awaitsClientHello else { return true }
        // After a HelloRetryRequest a client may send change_cipher_spec first (RFC 8446 appendix D.4).
        if handshakeBytes > 0, record[0] != 22 { return true }
        switch RecordScanner.opening(record) {
        case nil, .clientHello: return true
        case .plainText: _ = fail(TLSError(.plainText, "this is not TLS"))
        case .oldVersion: _ = fail(TLSError(.unsupportedProtocol, "SSL 2.0"))
        case .malformed: _ = fail(TLSError(.other, "the ClientHello is malformed or too long"))
        }
        return false
    }

    private var awaitsClientHello: Bool {
        if handshakeBytes == 0 { return true }
        let state = SSL_get_state(ssl)
        return state == TLS_ST_BEFORE || state == TLS_ST_EARLY_DATA
    }

    /// The network connection is gone. A peer that has sent nothing at all (a probe of a load balancer) is told apart by the detail.
    package func connectionLost() {
        if phase == .handshaking { _ = fail(TLSError(.closedEarly, handshakeBytes == 0 && partial.isEmpty ? "nothing sent" : "")) }
        if phase == .open { phase = .closedByPeer }
    }

    func fail(_ error: TLSError) -> Progress {
        ERR_clear_error()
        failure = error
        phase = .failed
        context = nil
        clientContext = nil
        partial = []
        return .failed
    }

    /// The client offers an identity, and OpenSSL wants to know the key. In TLS 1.3 it may offer several, tickets among them.
    func offeredPSK(_ identity: String?) -> SecretBytes? {
        psk = nil
        guard let identity, let key = context?.configuration.preSharedKeys?.keys[identity] else {
            hasRefusedPSK = true
            return nil
        }
        psk = (identity, key)
        // Whether the key is still good could not be told from a ticket.
        SSL_set_num_tickets(ssl, 0)
        return key
    }

    /// The handshake is complete: the identity was proved if its key was used, and not if a certificate or ticket was in the end.
    private func settlePSK() {
        guard psk != nil else { return }
        if version >= .v1_3 {
            if SSL_session_reused(ssl) != 1 { psk = nil }
        } else if SSL_get_psk_identity(ssl) == nil {
            psk = nil
        }
    }
}

extension TLSEngine.Phase: Comparable {
    package static func < (left: TLSEngine.Phase, right: TLSEngine.Phase) -> Bool { left.rawValue < right.rawValue }
}

/// One for the process, never freed.
// @unchecked: a BIO_METHOD isn't changed once it is made.
private struct BIOMethod: @unchecked Sendable {
    let pointer = headwater_tls_bio_method()
}
