import Glibc

/// A data file read page by page, with reads and not through a mapping: a device that fails gives an error here, and a
/// signal there.
struct PageFile: ~Copyable {
    let descriptor: CInt
    let byteCount: Int

    init(path: String) throws(PageFinding) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw .unreadable(code)
        }
        byteCount = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `buffer` from `offset`, or says that the file ends before (`page` is only for the report).
    func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int, page: UInt64) throws(PageFinding) {
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw .unreadable(errno)
            }
            if count == 0 { throw .damaged(page, "the file ends before this page does") }
            done += count
        }
    }

    /// Has the system fetch a run of pages, without waiting. A tree's leaves lie all over the file: read one by one, a
    /// disk would do a single request at a time.
    func prefetch(_ page: UInt64, count: UInt64, pageSize: Int) {
        let offset = Int(page) * pageSize
        guard offset < byteCount else { return }
        posix_fadvise(descriptor, off_t(offset), off_t(Int(count) * pageSize), CInt(POSIX_FADV_WILLNEED))
    }
}

/// What ends a verification.
enum PageFinding: Error {
    case damaged(UInt64?, String)
    case unreadable(CInt)
    case foreign(String)
}
