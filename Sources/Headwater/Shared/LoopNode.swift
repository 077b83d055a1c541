import NIOCore
import PluginAPI
import Synchronization

/// The address of one event loop: its mailbox and the way to wake it.
final class LoopNode: Sendable {
    let index: Int
    let eventLoop: any EventLoop
    let mailbox = Mailbox()
    /// The one bridge from Sendable code to the state that the loop owns: it can be opened on the loop only.
    let bound: NIOLoopBoundBox<BrokerLoop?>

    /// What plugins have completed and the loop has not seen.
    let completions = Mutex<[(UInt64, PublishOutcome)]>([])

    init(index: Int, eventLoop: any EventLoop) {
        self.index = index
        self.eventLoop = eventLoop
        bound = NIOLoopBoundBox.makeEmptyBox(valueType: BrokerLoop.self, eventLoop: eventLoop)
    }

    /// Posts a batch and wakes the loop if it may be asleep.
    func post(_ batch: [Letter], bytes: Int) {
        if mailbox.post(batch, bytes: bytes) {
            eventLoop.execute { [self] in bound.value?.readMailbox() }
        }
    }
}
