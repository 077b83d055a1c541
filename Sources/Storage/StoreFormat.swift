import LMDB

/// The format number of the environment (docs/storage-format.md, "Versions").
enum StoreFormat {
    /// A new environment gets the number; another one must have it.
    ///
    /// Migrations from older formats will begin here; format 1 is the first.
    static func check(_ environment: StoreEnvironment) throws(StoreFault) {
        do {
            switch try read(environment) {
            case .number(Schema.format): return
            case .number(let other) where other > Schema.format:
                throw StoreFault.tooNew(
                    "the store was written by a later version of Headwater (format \(other), this one knows \(Schema.format)): run that version, "
                        + "or give store.directory another directory")
            case .number(let other): throw StoreFault.damaged("format \(other) was never in use")
            case .unreadable: throw StoreFault.damaged("the format number can't be read")
            case .missing:
                let isEmpty = try environment.current.withRead { transaction throws(LMDBError) in
                    try transaction.count(in: environment.databases.sessions) == 0
                }
                guard isEmpty else { throw StoreFault.damaged("there is no format number") }
                try write(environment)
            }
        } catch let error as LMDBError {
            throw StoreFault(error)
        } catch let error as StoreFault {
            throw error
        } catch {
            throw StoreFault.unusable("\(error)")
        }
    }

    private enum Found { case number(UInt32), unreadable, missing }

    private static func read(_ environment: StoreEnvironment) throws(LMDBError) -> Found {
        let found = try environment.current.withRead { transaction throws(LMDBError) in
            try Schema.formatKey.lend { key throws(LMDBError) in
                try transaction.withValue(key, in: environment.databases.meta) { value throws(LMDBError) -> Found in
                    guard let content = SealedRecord.open(value, key: key) else { return .unreadable }
                    var reader = RecordReader(content)
                    guard let number: UInt32 = try? reader.integer() else { return .unreadable }
                    return .number(number)
                }
            }
        }
        return found ?? .missing
    }

    private static func write(_ environment: StoreEnvironment) throws(LMDBError) {
        var writer = RecordWriter()
        writer.put(Schema.format)
        let content = writer.bytes
        var transaction = try environment.current.beginWrite()
        try Schema.formatKey.lend { key throws(LMDBError) in
            try transaction.putSealed(key, content, in: environment.databases.meta)
        }
        try transaction.commit()
    }
}
