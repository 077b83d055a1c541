/// The head of an outbox entry: everything of a record but its value. Little-endian; docs/storage-format.md has the table.
///
/// Made in two parts: one that all messages of a client and topic share, and a tail for each message.
struct RecordFrame {
    static let version: UInt8 = 1

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let hasKey = Flags(rawValue: 1)
        static let hasPartition = Flags(rawValue: 2)
        /// The record can't be sent as it is: it goes to the dead letters.
        static let isDead = Flags(rawValue: 4)
    }

    /// The shared part.
    struct Head: Equatable {
        var topic = ""
        var partition: Int32?
        var key: [UInt8]?
        var tenant = ""
        var headers: [OutboxRecord.Header] = []
        /// Why it can't be sent: a word for counting, and a text.
        var death: (reason: String, text: String)?

        static func == (a: Head, b: Head) -> Bool {
            a.topic == b.topic && a.partition == b.partition && a.key == b.key && a.tenant == b.tenant && a.headers == b.headers
                && a.death?.reason == b.death?.reason && a.death?.text == b.death?.text
        }

        func encoded() -> [UInt8] {
            var bytes: [UInt8] = [RecordFrame.version]
            var flags: Flags = []
            if key != nil { flags.insert(.hasKey) }
            if partition != nil { flags.insert(.hasPartition) }
            if death != nil { flags.insert(.isDead) }
            bytes.append(flags.rawValue)
            bytes.put(text: topic)
            if let partition { bytes.put(partition) }
            if let key { bytes.put(data: key) }
            bytes.put(text: tenant)
            if let death {
                bytes.put(text: death.reason)
                bytes.put(text: death.text)
            }
            bytes.put(headers)
            return bytes
        }
    }

    /// The part of one message.
    static func tail(timestamp: Int64, receivedUnixMilliseconds: Int64, headers: [OutboxRecord.Header] = []) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(18)
        bytes.put(timestamp)
        bytes.put(receivedUnixMilliseconds)
        bytes.put(headers)
        return bytes
    }
}

/// An entry's head, read in place: nothing is copied but what is asked for.
struct RecordFrameView {
    let topic: UnsafeRawBufferPointer
    let partition: Int32?
    let key: UnsafeRawBufferPointer?
    let tenant: UnsafeRawBufferPointer
    let death: (reason: String, text: String)?
    let timestamp: Int64
    let receivedUnixMilliseconds: Int64
    let headerCount: Int
    private let shared: FrameReader
    private let own: FrameReader

    /// - Returns: `nil`: these bytes are no frame of this program's.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = FrameReader(bytes)
        guard reader.integer(UInt8.self) == RecordFrame.version, let raw = reader.integer(UInt8.self) else { return nil }
        let flags = RecordFrame.Flags(rawValue: raw)
        guard let topic = reader.data() else { return nil }
        self.topic = topic
        partition = flags.contains(.hasPartition) ? reader.integer() : nil
        key = flags.contains(.hasKey) ? reader.data() : nil
        guard let tenant = reader.data() else { return nil }
        self.tenant = tenant
        if flags.contains(.isDead) {
            guard let reason = reader.data(), let text = reader.data() else { return nil }
            death = (String(decoding: reason, as: UTF8.self), String(decoding: text, as: UTF8.self))
        } else {
            death = nil
        }
        shared = reader
        guard let sharedCount = reader.skipHeaders(), let timestamp = reader.integer(Int64.self), let received = reader.integer(Int64.self)
        else { return nil }
        self.timestamp = timestamp
        receivedUnixMilliseconds = received
        own = reader
        guard let ownCount = reader.skipHeaders(), reader.isAtEnd else { return nil }
        headerCount = sharedCount + ownCount
    }

    func forEachHeader(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        var reader = shared
        _ = reader.skipHeaders(body)
        reader = own
        _ = reader.skipHeaders(body)
    }

    /// The record, with a value of its own.
    func record(value: UnsafeRawBufferPointer) -> OutboxRecord {
        var headers: [OutboxRecord.Header] = []
        headers.reserveCapacity(headerCount)
        forEachHeader { headers.append(.init(name: String(decoding: $0, as: UTF8.self), value: Array($1))) }
        return OutboxRecord(
            topic: String(decoding: topic, as: UTF8.self), partition: partition, key: key.map { Array($0) }, headers: headers,
            timestamp: timestamp, value: Array(value))
    }
}

/// Reads what `Head.encoded` and `tail` have written. Bytes from a disk may be anything: what is not there is `nil`.
struct FrameReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
        let size = MemoryLayout<Value>.size
        guard bytes.count - offset >= size else { return nil }
        defer { offset += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    mutating func data() -> UnsafeRawBufferPointer? {
        guard let count = integer(UInt32.self), bytes.count - offset >= Int(count) else { return nil }
        defer { offset += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(count))])
    }

    mutating func text() -> String? { data().map { String(decoding: $0, as: UTF8.self) } }

    /// - Returns: How many there were.
    mutating func skipHeaders(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void = { _, _ in }) -> Int? {
        guard let count = integer(UInt16.self) else { return nil }
        for _ in 0..<count {
            guard let name = data(), let value = data() else { return nil }
            body(name, value)
        }
        return Int(count)
    }
}

extension [UInt8] {
    mutating func put<Value: FixedWidthInteger>(_ value: Value) { Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) } }

    /// Length in four bytes, then the bytes.
    mutating func put(data: some Collection<UInt8>) {
        put(UInt32(data.count))
        append(contentsOf: data)
    }

    mutating func put(text: String) { put(data: text.utf8) }

    mutating func put(_ headers: [OutboxRecord.Header]) {
        put(UInt16(clamping: headers.count))
        for header in headers.prefix(Int(UInt16.max)) {
            put(text: header.name)
            put(data: header.value)
        }
    }
}
