/// The two figures that the bridge takes from librdkafka's statistics, a JSON text of its own making that can be
/// megabytes long. Searching it for two fixed texts needs no tree of values and no JSON library.
struct ProducerStatistics: Equatable {
    /// Brokers with a working connection.
    var connectedBrokers = 0
    /// Requests sent again, since the client was made.
    var retries = 0

    init(json: UnsafeRawBufferPointer) {
        connectedBrokers = Self.places(of: #""state":"UP""#, in: json).count
        retries = Self.numbers(after: #""txretries":"#, in: json).reduce(0, +)
    }

    /// The number behind each occurrence; 0 where none or a negative one stands.
    static func numbers(after text: StaticString, in json: UnsafeRawBufferPointer) -> [Int] {
        places(of: text, in: json).map { place in
            var number = 0
            for byte in json[place...].prefix(15) {
                guard case UInt8(ascii: "0")...UInt8(ascii: "9") = byte else { break }
                number = number * 10 + Int(byte - UInt8(ascii: "0"))
            }
            return number
        }
    }

    /// Indices behind each occurrence.
    private static func places(of text: StaticString, in json: UnsafeRawBufferPointer) -> [Int] {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        var places: [Int] = []
        var index = 0
        while index + wanted.count <= json.count {
            // The first two characters are a cheap sieve.
            if json[index] == wanted[0], json[index + 1] == wanted[1],
                json[index..<(index + wanted.count)].elementsEqual(wanted)
            {
                index += wanted.count
                places.append(index)
            } else {
                index += 1
            }
        }
        return places
    }
}
