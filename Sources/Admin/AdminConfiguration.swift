import Headwater

/// Where metrics and health are served over HTTP. There is no default in the library: without a configuration nothing
/// listens.
public struct AdminConfiguration: Sendable, Equatable {
    /// Plain HTTP without authentication: keep it on an address that only operators reach.
    public var address: ListenerConfiguration.Address

    /// What the program uses when `http` is switched on without an address.
    public static let defaultAddress = ListenerConfiguration.Address.tcp(host: "127.0.0.1", port: 9883)

    public init(address: ListenerConfiguration.Address = defaultAddress) {
        self.address = address
    }
}
