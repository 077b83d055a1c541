import MQTTModel

/// All paths that a route asks a payload for, as a tree: so one pass over the payload finds all of them.
struct PayloadTree: Sendable, Equatable {
    struct Node: Sendable, Equatable {
        var names: [(name: [UInt8], child: Int)] = []
        var indexes: [(index: Int, child: Int)] = []

        static func == (left: Node, right: Node) -> Bool {
            left.names.elementsEqual(right.names, by: ==) && left.indexes.elementsEqual(right.indexes, by: ==)
        }
    }

    /// The first is the payload itself.
    private(set) var nodes = [Node()]
    var isEmpty: Bool { nodes.count == 1 }

    init(_ paths: some Sequence<PayloadPath>) {
        for path in paths {
            var node = 0
            for step in path.steps {
                if let child = child(of: node, step) {
                    node = child
                    continue
                }
                switch step {
                case .name(let name): nodes[node].names.append((name, nodes.count))
                case .index(let index): nodes[node].indexes.append((index, nodes.count))
                }
                node = nodes.count
                nodes.append(Node())
            }
        }
    }

    /// The node of a path; `nil` where the tree was made without it.
    func node(of path: PayloadPath) -> Int? {
        var node = 0
        for step in path.steps {
            guard let child = child(of: node, step) else { return nil }
            node = child
        }
        return node
    }

    private func child(of node: Int, _ step: PayloadPath.Step) -> Int? {
        switch step {
        case .name(let name): nodes[node].names.first { $0.name == name }?.child
        case .index(let index): nodes[node].indexes.first { $0.index == index }?.child
        }
    }
}

/// What one payload holds at the paths of a tree.
struct PayloadValues {
    /// Whether the payload is JSON (RFC 8259), nested at most `JSONScanner.deepest` deep. `false` where nobody has asked.
    let isJSON: Bool
    private let tree: PayloadTree
    /// By node; empty where the payload is no JSON.
    private let texts: [[UInt8]?]

    /// Of a message whose payload is not asked for anything: it is not read.
    static let unread = PayloadValues(isJSON: false, tree: PayloadTree([]), texts: [])

    private init(isJSON: Bool, tree: PayloadTree, texts: [[UInt8]?]) {
        self.isJSON = isJSON
        self.tree = tree
        self.texts = texts
    }

    /// Reads the payload of `message` once.
    init(of message: Message, at tree: PayloadTree) {
        self = message.withParts { _, _, payload in PayloadValues(of: payload, at: tree) }
    }

    init(of payload: UnsafeRawBufferPointer, at tree: PayloadTree) {
        var scanner = JSONScanner(payload, tree: tree)
        let isJSON = scanner.scan()
        // What stood before the fault is not to be relied on.
        self.init(isJSON: isJSON, tree: tree, texts: isJSON ? scanner.values : [])
    }

    /// The text, number, true or false at `path`; `nil` for null, an object, an array, or nothing at all.
    subscript(path: PayloadPath) -> [UInt8]? {
        guard isJSON, let node = tree.node(of: path) else { return nil }
        return texts[node]
    }
}
