import Foundation

/// One record of the shim's log; `storeshim.c` says what each means.
struct DiskRecord: Equatable {
    enum Kind: UInt32 {
        case exists = 1
        case create, write, written, sync, truncate, rename, unlink, makeDirectory, removeDirectory, directorySync
    }

    var kind: Kind
    var file: UInt32 = 0
    var isDurable = false
    var number: UInt64 = 0
    var offset: UInt64 = 0
    var aux: UInt64 = 0
    var path = ""
    var data: [UInt8] = []
    /// Bytes of the log up to the record's end.
    var end = 0

    private static let headerBytes = 48
    private static let magic: UInt32 = 0x474F_4C48

    /// Reads a log. A record that is not whole, at its end, was being written when the process died: nothing had happened yet.
    ///
    /// - Throws: `DiskLogDamage` where the log is no log.
    static func read(_ log: Data) throws -> [DiskRecord] {
        var records: [DiskRecord] = []
        try log.withUnsafeBytes { bytes in
            var place = 0
            while place + headerBytes <= bytes.count {
                func number32(_ offset: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: place + offset, as: UInt32.self) }
                func number64(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: place + offset, as: UInt64.self) }
                guard number32(0) == magic, let kind = Kind(rawValue: number32(4)) else { throw DiskLogDamage(place: place) }
                let path = place + headerBytes
                let data = path + Int(number32(40))
                let end = data + Int(number32(44))
                guard end <= bytes.count else { break }
                records.append(
                    DiskRecord(
                        kind: kind, file: number32(8), isDurable: number32(12) & 1 == 1, number: number64(16), offset: number64(24),
                        aux: number64(32), path: String(decoding: bytes[path..<data], as: UTF8.self), data: Array(bytes[data..<end]),
                        end: end))
                place = end
            }
        }
        return records
    }
}

struct DiskLogDamage: Error {
    let place: Int
}
