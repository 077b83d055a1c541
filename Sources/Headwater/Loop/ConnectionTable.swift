/// The connections of one loop by slot, with a generation that tells a reused slot from the one that was meant.
struct ConnectionTable {
    private struct Slot {
        var connection: ConnectionHandler?
        var generation: UInt32
    }
    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private(set) var count = 0

    /// Enters the connection and tells it its place.
    mutating func insert(_ connection: ConnectionHandler) {
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
            slots[Int(slot)].generation &+= 1
            slots[Int(slot)].connection = connection
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot(connection: connection, generation: 1))
        }
        connection.slot = slot
        connection.generation = slots[Int(slot)].generation
        count += 1
    }

    mutating func remove(_ connection: ConnectionHandler) {
        guard Int(connection.slot) < slots.count, slots[Int(connection.slot)].connection === connection else { return }
        slots[Int(connection.slot)].connection = nil
        free.append(connection.slot)
        count -= 1
    }

    subscript(slot: UInt32, generation: UInt32) -> ConnectionHandler? {
        guard Int(slot) < slots.count, slots[Int(slot)].generation == generation else { return nil }
        return slots[Int(slot)].connection
    }

    subscript(reference: ConnectionReference) -> ConnectionHandler? { self[reference.slot, reference.generation] }

    /// All of them, as they are now.
    var all: [ConnectionHandler] { slots.compactMap(\.connection) }
}
