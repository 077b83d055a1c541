import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite("Accepting without descriptors")
struct AcceptBackoffTests {
    private final class ReadCounter: ChannelOutboundHandler {
        typealias OutboundIn = Never
        var reads = 0
        func read(context: ChannelHandlerContext) { reads += 1 }
    }

    @Test("a listener that can't accept tries again after a pause, not at once", arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func pause(code: Int32) throws {
        let counter = ReadCounter()
        let channel = EmbeddedChannel(handlers: [counter, AcceptBackoff()])
        channel.read()
        #expect(counter.reads == 1)
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        for _ in 0..<10 { channel.read() }
        #expect(counter.reads == 1)
        channel.embeddedEventLoop.advanceTime(by: AcceptBackoff.pause)
        #expect(counter.reads == 2)
        channel.read()
        #expect(counter.reads == 3)
    }

    @Test("other errors of an accept don't stop the listener")
    func otherErrors() throws {
        let counter = ReadCounter()
        let channel = EmbeddedChannel(handlers: [counter, AcceptBackoff()])
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        channel.read()
        #expect(counter.reads == 1)
    }
}
