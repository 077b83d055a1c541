import Security

extension LoginLimits {
    /// - Parameter connectTimeoutSeconds: A client that waits longer than that would be closed without an answer.
    init(_ settings: BrokerConfiguration.Logins, connectTimeoutSeconds: Int) {
        // 0 is never: more failures than a window has room for.
        self.init(
            attemptsBeforeBan: settings.maxFailures == 0 ? 1_000_000_000 : settings.maxFailures, windowSeconds: settings.windowSeconds,
            banSeconds: settings.banSeconds, maxWaitMilliseconds: max(250, connectTimeoutSeconds * 500))
    }
}
