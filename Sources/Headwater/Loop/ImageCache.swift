import MQTTModel
import MQTTWire

/// One PUBLISH encoded once for each layout of a fan-out: version 3 or 5, with packet identifier or without. Receivers
/// get a copy whose first byte and packet identifier are patched.
struct ImageCache {
    private struct Image {
        var bytes: [UInt8] = []
        var packetIDOffset = -1
        var isFresh = false
    }
    private var images = [Image](repeating: Image(), count: 4)

    mutating func begin() {
        for index in 0..<4 { images[index].isFresh = false }
    }

    /// Encodes at first use; then lends the bytes.
    mutating func withImage<Result>(
        isV5: Bool, hasPacketID: Bool, make: () -> PublishImage, _ body: (UnsafeRawBufferPointer, _ packetIDOffset: Int) -> Result
    ) -> Result {
        let index = (isV5 ? 2 : 0) + (hasPacketID ? 1 : 0)
        if !images[index].isFresh {
            let image = make()
            let size = image.encodedSize
            if images[index].bytes.count < size { images[index].bytes = [UInt8](repeating: 0, count: size) }
            // A buffer that held something huge once is not kept.
            if images[index].bytes.count > 1 << 20, size < 1 << 16 { images[index].bytes = [UInt8](repeating: 0, count: size) }
            images[index].bytes.withUnsafeMutableBytes { _ = image.write(to: $0.baseAddress.unsafelyUnwrapped) }
            images[index].packetIDOffset = image.packetIDOffset
            images[index].isFresh = true
            sizes.withUnsafeMutableBufferPointer { $0[index] = size }
        }
        let offset = images[index].packetIDOffset
        let size = sizes[index]
        return images[index].bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[0..<size]), offset) }
    }
    private var sizes = [Int](repeating: 0, count: 4)
}
