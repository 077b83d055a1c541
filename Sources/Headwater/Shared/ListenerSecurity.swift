import Security
import TLS
import Transport

/// What a listener's files say, compiled: one immutable object, replaced as a whole when they change.
///
/// Each loop holds one for each listener, in the listeners' order. Sendable by being immutable.
final class ListenerSecurity: Sendable {
    /// `nil`: no TLS.
    let tls: TLSContext?
    /// Those that `tls` has.
    let presharedKeys: PSKTable?
    let proxyProtocol: ProxyOptions?
    let webSocket: WebSocketOptions
    let passwords: PasswordTable?
    let tokens: TokenLogin?
    /// `nil`: everybody may everything.
    let acl: ACLPolicy?
    let tenantNaming: TenantNaming

    init(
        tls: TLSContext?, presharedKeys: PSKTable?, proxyProtocol: ProxyOptions?, webSocket: WebSocketOptions, passwords: PasswordTable?, tokens: TokenLogin?,
        acl: ACLPolicy?, tenantNaming: TenantNaming
    ) {
        self.tls = tls
        self.presharedKeys = presharedKeys
        self.proxyProtocol = proxyProtocol
        self.webSocket = webSocket
        self.passwords = passwords
        self.tokens = tokens
        self.acl = acl
        self.tenantNaming = tenantNaming
    }
}
