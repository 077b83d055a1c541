/// The keep alive in force: what the client asked for, cut by the server's limit (MQTT 5.0 section 3.1.2.10).
package struct KeepAlive {
    /// Seconds; 0 is none.
    package let seconds: Int
    /// Whether CONNACK must tell with Server Keep Alive [MQTT-3.2.2-21].
    package let isServerChoice: Bool

    package init(requestedSeconds: Int, maxSeconds: Int?) {
        if let maxSeconds, requestedSeconds == 0 || requestedSeconds > maxSeconds {
            seconds = maxSeconds
            isServerChoice = true
        } else {
            seconds = requestedSeconds
            isServerChoice = false
        }
    }

    /// One and a half times the keep alive without a packet, and the connection is closed [MQTT-3.1.2-22].
    package var limitMilliseconds: UInt64? { seconds == 0 ? nil : UInt64(seconds) * 1500 }
}
