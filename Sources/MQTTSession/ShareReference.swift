/// Names one shared subscription group (`$share/NAME/FILTER`) and the event loop that owns it.
package final class ShareReference: Sendable {
    package struct Key: Hashable, Sendable {
        package let tenant: String
        package let name: String
        package let pattern: String

        package init(tenant: String, name: String, pattern: String) {
            self.tenant = tenant
            self.name = name
            self.pattern = pattern
        }
    }

    package let key: Key
    package let ownerLoop: Int

    package init(key: Key, ownerLoop: Int) {
        self.key = key
        self.ownerLoop = ownerLoop
    }
}
