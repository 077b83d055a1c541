import Encodings
import MQTTModel

/// Names one shared subscription group (`$share/NAME/FILTER`) and the event loop that owns it.
@usableFromInline
package final class ShareReference: Sendable {
    package struct Key: Hashable, Sendable {
        package let tenant: ExactText
        package let name: ExactText
        package let pattern: ExactText

        package init(tenant: String, name: String, pattern: String) {
            self.tenant = ExactText(tenant)
            self.name = ExactText(name)
            self.pattern = ExactText(pattern)
        }
    }

    package let key: Key
    /// The filter as clients write it, `$share/NAME/` included.
    package var filter: String { "$share/\(key.name.string)/\(key.pattern.string)" }
    package let ownerLoop: Int
    /// Number of the key's tenant in this process.
    package let tenantNumber: UInt32

    package init(key: Key, tenantNumber: UInt32, ownerLoop: Int) {
        self.key = key
        self.tenantNumber = tenantNumber
        self.ownerLoop = ownerLoop
    }
}
