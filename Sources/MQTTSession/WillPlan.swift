import MQTTModel

/// What becomes of a will when its connection ends (MQTT 5.0 section 3.1.2.5 and 3.1.3.2.2).
package enum WillPlan: Equatable {
    /// A normal DISCONNECT takes the will back [MQTT-3.14.4-3].
    case discard
    case publishNow
    /// Unless the session is resumed before [MQTT-3.1.3-9]; if the session ends before, at its end.
    case publishAfter(seconds: UInt32)

    package enum Ending {
        /// DISCONNECT with reason 0x00.
        case normalDisconnect
        /// Every other end of the connection, DISCONNECT 0x04 included.
        case other
        /// The same client connects again; the session goes on.
        case takenOverAndResumed
        /// The same client connects again with Clean Start: the session ends here.
        case takenOverAndDiscarded
    }

    package init(ending: Ending, delaySeconds: UInt32, sessionExpirySeconds: UInt32) {
        switch ending {
        case .normalDisconnect: self = .discard
        case .takenOverAndDiscarded: self = .publishNow
        // A new connection before the delay has passed: the will is not sent [MQTT-3.1.3-9]. A session without expiry
        // ends with its connection all the same.
        case .takenOverAndResumed: self = delaySeconds > 0 && sessionExpirySeconds > 0 ? .discard : .publishNow
        case .other:
            let wait = min(delaySeconds, sessionExpirySeconds)
            self = wait == 0 ? .publishNow : .publishAfter(seconds: wait)
        }
    }
}
