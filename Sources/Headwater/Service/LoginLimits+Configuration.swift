import Security

extension LoginLimits {
    init(_ settings: BrokerConfiguration.Logins) {
        // 0 is never: more failures than a window has room for.
        self.init(
            attemptsBeforeBan: settings.maxFailures == 0 ? 1_000_000_000 : settings.maxFailures, windowSeconds: settings.windowSeconds,
            banSeconds: settings.banSeconds)
    }
}
