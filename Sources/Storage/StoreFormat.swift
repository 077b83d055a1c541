import LMDB

/// The format number of the environment (docs/storage-format.md, "Versions").
enum StoreFormat {
    /// A new environment gets the number; another one must have it.
    ///
    /// Migrations from older formats will begin here; formats 1 to 3 are read alike.
    static func check(_ environment: StoreEnvironment) throws(StoreFault) {
        do {
            switch try read(environment) {
            case .number(Schema.firstFormat...Schema.format): return
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
                try transaction.withValue(key, in: environment.databases.meta) { value throws(LMDBError) in number(value, key: key) }
            }
        }
        return found ?? .missing
    }

    private static func number(_ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> Found {
        guard let content = SealedRecord.open(value, key: key) else { return .unreadable }
        var reader = RecordReader(content)
        guard let number: UInt32 = try? reader.integer() else { return .unreadable }
        return .number(number)
    }

    /// Something of this format is stored in this transaction: programs that don't know it may not open the store any more.
    static func note(_ format: UInt32, in transaction: inout WriteTransaction, _ databases: Databases) throws(LMDBError) {
        let content = encoded(format)
        try Schema.formatKey.lend { key throws(LMDBError) in
            let found = try transaction.withValue(key, in: databases.meta) { value throws(LMDBError) in number(value, key: key) }
            if case .number(format...)? = found { return }
            try transaction.putSealed(key, content, in: databases.meta)
        }
    }

    private static func encoded(_ format: UInt32) -> [UInt8] {
        var writer = RecordWriter()
        writer.put(format)
        return writer.bytes
    }

    private static func write(_ environment: StoreEnvironment) throws(LMDBError) {
        let content = encoded(Schema.firstFormat)
        var transaction = try environment.current.beginWrite()
        try Schema.formatKey.lend { key throws(LMDBError) in
            try transaction.putSealed(key, content, in: environment.databases.meta)
        }
        try transaction.commit()
    }
}
