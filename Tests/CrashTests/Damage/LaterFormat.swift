import LMDB

@testable import Storage

/// Makes a store one of a later version of Headwater.
enum LaterFormat {
    static func write(into path: String) throws {
        var options = Environment.Options()
        options.maxDatabases = Schema.names.count + 4
        let environment = try Environment(path: path, options: options)
        let meta = try environment.openDatabases(["meta"], createIfMissing: false)[0]
        var writer = RecordWriter()
        writer.put(Schema.format + 1)
        let content = writer.bytes
        var transaction = try environment.beginWrite()
        try Schema.formatKey.lend { key throws(LMDBError) in try transaction.putSealed(key, content, in: meta) }
        try transaction.commit()
    }
}
