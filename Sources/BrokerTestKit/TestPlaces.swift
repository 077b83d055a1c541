/// Places for the brokers that run at once in one test process. Whoever comes first is served first.
actor TestPlaces {
    static let all = 3
    static let shared = TestPlaces()

    private var free = all
    private var waiting: [(places: Int, continuation: CheckedContinuation<Void, Never>)] = []

    func take(_ places: Int) async {
        if waiting.isEmpty, free >= places {
            free -= places
            return
        }
        await withCheckedContinuation { waiting.append((places, $0)) }
    }

    func give(_ places: Int) {
        free += places
        while let next = waiting.first, next.places <= free {
            waiting.removeFirst()
            free -= next.places
            next.continuation.resume()
        }
    }
}
