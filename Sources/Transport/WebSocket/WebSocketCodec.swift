import NIOCore

/// What a WebSocket connection is after some of its bytes.
package enum WebSocketOutcome: Sendable, Equatable {
    /// It goes on.
    case ok
    /// The peer has closed; the answer is among the replies, unless we had closed first. `.noStatus`: it gave no code.
    case closed(WebSocketCloseCode)
    /// The peer broke a rule; the close frame is among the replies.
    case failed(WebSocketCloseCode, reason: String)
}

/// The frames of one WebSocket connection, seen from the server (RFC 6455), for MQTT: a stream of bytes in binary frames
/// [MQTT-6.0.0-1]. No I/O and no clock.
///
/// Frame borders mean nothing to MQTT [MQTT-6.0.0-2], so payload streams through as it comes and no frame is ever held. The state is
/// a value of 40 bytes that moves with its connection from loop to loop (docs/adr/0015); memory is taken for at most one split
/// header or one control frame.
package struct WebSocketCodec: Sendable {
    private enum Stage: UInt8 {
        case header, data, close, ping, pong, ended
    }

    /// Empty data frames in a row that are let pass: they cost the peer nothing and say nothing.
    static let maxEmptyFrames = 100

    /// Bytes of a split header, or payload of a control frame, as far as they have come. Empty between frames.
    private var held: [UInt8] = []
    /// Payload of the frame under way that has not come.
    private var remaining: UInt64 = 0
    private let maxFrameBytes: UInt32
    /// Turned so that its first byte in memory is for the next byte of payload.
    private var mask: UInt32 = 0
    private var controlSecond: UInt32 = 0
    private var controlsInSecond: UInt16 = 0
    private let maxControlsPerSecond: UInt16
    private var endCode = WebSocketCloseCode.normal
    private var emptyFrames: UInt8 = 0
    private var stage = Stage.header
    /// Between the first frame of a message and its last.
    private var isInMessage = false
    private var hasSentClose = false

    /// - Parameters:
    ///   - maxFrameBytes: Largest payload of one frame, 1…4,294,967,295. More ends the connection with 1009 before any of it is
    ///     taken. Not less than the largest MQTT packet, which a client may put into one frame, and better several times that.
    ///   - maxControlsPerSecond: Pings and pongs in one second; more end the connection with 1008.
    package init(maxFrameBytes: Int, maxControlsPerSecond: Int = 20) {
        self.maxFrameBytes = UInt32(clamping: max(1, maxFrameBytes))
        self.maxControlsPerSecond = UInt16(clamping: maxControlsPerSecond)
    }

    // MARK: From the client

    /// Takes all of `wire`.
    ///
    /// What stands before a fault or a close frame is in `payload` in any outcome. After the end further bytes are discarded, and the
    /// outcome is `closed`.
    ///
    /// - Parameters:
    ///   - nowMilliseconds: Of any clock that doesn't go back.
    ///   - payload: MQTT's bytes are appended, at most as many as `wire` has.
    ///   - replies: Whole frames for the client are appended; they go out before anything that is written later.
    package mutating func receive(
        _ wire: UnsafeRawBufferPointer, nowMilliseconds: UInt64, payload: inout ByteBuffer, replies: inout [UInt8]
    ) -> WebSocketOutcome {
        var offset = 0
        while stage != .ended {
            if stage == .header {
                guard offset < wire.count else { return .ok }
                switch takeHeader(wire, &offset) {
                case .needMore: return .ok
                case .malformed(let code, let reason): return fail(code, reason, &replies)
                case .header(let header):
                    if let (code, reason) = begin(header, nowMilliseconds: nowMilliseconds) { return fail(code, reason, &replies) }
                }
            }
            let count = Int(min(UInt64(wire.count - offset), remaining))
            let part = UnsafeRawBufferPointer(rebasing: wire[offset..<offset + count])
            offset += count
            if stage == .data {
                if count > 0 {
                    payload.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
                        Self.unmask(part, into: $0, mask: mask)
                        return count
                    }
                    turnMask(by: count)
                }
            } else if count > 0 {
                hold(part)
            }
            remaining -= UInt64(count)
            guard remaining == 0 else { return .ok }
            if let outcome = endFrame(&replies) { return outcome }
        }
        return .closed(endCode)
    }

    /// The next header, which may have come in pieces.
    private mutating func takeHeader(_ wire: UnsafeRawBufferPointer, _ offset: inout Int) -> WebSocketFrameHeader.Parsed {
        if held.isEmpty {
            let rest = UnsafeRawBufferPointer(rebasing: wire[offset...])
            let parsed = WebSocketFrameHeader.parse(rest)
            switch parsed {
            case .header(let header): offset += header.byteCount
            case .needMore:
                held = Array(rest)  // less than a header
                offset = wire.count
            case .malformed: break
            }
            return parsed
        }
        while offset < wire.count {
            held.append(wire[offset])
            offset += 1
            let parsed = held.withUnsafeBytes { WebSocketFrameHeader.parse($0) }
            guard parsed == .needMore else {
                held = []
                return parsed
            }
        }
        return .needMore
    }

    /// - Returns: The fault, if the frame may not come now.
    private mutating func begin(_ header: WebSocketFrameHeader, nowMilliseconds: UInt64) -> (WebSocketCloseCode, String)? {
        switch header.opcode {
        case .close: stage = .close
        case .ping, .pong:
            guard admitsControl(nowMilliseconds) else { return (.policyViolation, "too many pings or pongs") }
            stage = header.opcode == .ping ? .ping : .pong
        case .binary, .text:
            guard !isInMessage else { return (.protocolError, "new message inside a fragmented one") }
            stage = .data
            isInMessage = !header.isFinal
        case .continuation:
            guard isInMessage else { return (.protocolError, "continuation of no message") }
            stage = .data
            isInMessage = !header.isFinal
        }
        if stage == .data {
            guard header.payloadBytes <= maxFrameBytes else { return (.messageTooBig, "frame above the limit of \(maxFrameBytes) bytes") }
            emptyFrames = header.payloadBytes == 0 ? emptyFrames + 1 : 0
            guard emptyFrames <= Self.maxEmptyFrames else { return (.policyViolation, "too many empty frames") }
        }
        remaining = header.payloadBytes
        mask = header.mask
        return nil
    }

    /// Pings cost an answer each; a second's worth of them is counted anew with each second.
    private mutating func admitsControl(_ nowMilliseconds: UInt64) -> Bool {
        let second = UInt32(truncatingIfNeeded: nowMilliseconds / 1000)
        if second != controlSecond {
            controlSecond = second
            controlsInSecond = 0
        }
        guard controlsInSecond < maxControlsPerSecond else { return false }
        controlsInSecond += 1
        return true
    }

    /// Part of a control frame's payload.
    private mutating func hold(_ part: UnsafeRawBufferPointer) {
        let start = held.count
        held.append(contentsOf: part)
        held.withUnsafeMutableBytes { Self.unmask(part, into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]), mask: mask) }
        turnMask(by: part.count)
    }

    /// All of a frame has come.
    private mutating func endFrame(_ replies: inout [UInt8]) -> WebSocketOutcome? {
        let frame = stage
        stage = .header
        defer { held = [] }
        switch frame {
        case .ping:
            guard !hasSentClose else { return nil }
            replies.append(contentsOf: [0x8A, UInt8(held.count)])  // at most 125
            replies.append(contentsOf: held)
            return nil
        case .close: return endedByPeer(&replies)
        default: return nil
        }
    }

    private mutating func endedByPeer(_ replies: inout [UInt8]) -> WebSocketOutcome {
        guard held.count != 1 else { return fail(.protocolError, "close frame with half a code", &replies) }
        var code = WebSocketCloseCode.noStatus
        if held.count >= 2 {
            code = WebSocketCloseCode(rawValue: UInt16(held[0]) << 8 | UInt16(held[1]))
            guard code.mayBeSent else { return fail(.protocolError, "close code that may not be sent", &replies) }
            guard String(validating: held[2...], as: UTF8.self) != nil else {
                return fail(.invalidPayload, "close reason is not UTF-8", &replies)
            }
        }
        if !hasSentClose { replies.append(contentsOf: Self.closeFrame(code)) }
        return end(code, .closed(code))
    }

    private mutating func fail(_ code: WebSocketCloseCode, _ reason: String, _ replies: inout [UInt8]) -> WebSocketOutcome {
        if !hasSentClose { replies.append(contentsOf: Self.closeFrame(code)) }
        return end(code, .failed(code, reason: reason))
    }

    private mutating func end(_ code: WebSocketCloseCode, _ outcome: WebSocketOutcome) -> WebSocketOutcome {
        hasSentClose = true
        stage = .ended
        endCode = code
        held = []
        remaining = 0
        return outcome
    }

    /// Begins the close from our side: appends the close frame, once. What the client still sends is taken as before, until its own
    /// close frame gives the outcome `closed`; nothing may be written behind the close frame.
    package mutating func close(_ code: WebSocketCloseCode, into replies: inout [UInt8]) {
        guard !hasSentClose else { return }
        hasSentClose = true
        replies.append(contentsOf: Self.closeFrame(code))
    }

    private mutating func turnMask(by count: Int) {
        let bits = UInt32(count & 3) * 8
        guard bits > 0 else { return }
        let value = UInt32(littleEndian: mask)
        mask = (value >> bits | value << (32 - bits)).littleEndian
    }
}
