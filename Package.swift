// swift-tools-version: 6.1
import PackageDescription

// The target graph is the architecture: a target sees those below it along the edges written here and no others
// (docs/architecture.md). Settings shared by every Swift target stand here, once. Flags that SwiftPM calls unsafe
// would forbid embedding the library in another package, so the release build adds them on the command line: see
// RELEASE_FLAGS in the Makefile.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
    name: "headwater",
    products: [
        .library(name: "Headwater", targets: ["Headwater", "PluginAPI", "MQTTModel"]),
        .library(name: "KafkaBridge", targets: ["KafkaBridge"]),
        .library(name: "BrokerTestKit", targets: ["BrokerTestKit"]),
        .executable(name: "headwater", targets: ["headwater-cli"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // 0: values, bytes, system libraries
        .systemLibrary(name: "CRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "CPrivileges"),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CAvro", pkgConfig: "avro-c", providers: [.apt(["libavro-dev"])]),
        // The program's malloc (docs/adr/0021-an-allocator-whose-locks-are-short.md). Who embeds the library chooses for himself.
        .target(name: "CJemalloc", linkerSettings: [.linkedLibrary("jemalloc")]),
        library("Encodings", []),
        library("MQTTModel", ["Encodings", nioCore]),
        library("MQTTWire", ["MQTTModel"]),
        // 1: logic without I/O, and I/O without logic
        library("Routing", ["MQTTModel"]),
        library("PluginAPI", ["MQTTModel", logging]),
        library("MQTTSession", ["Encodings", "MQTTModel", "MQTTWire", deque]),
        library("Transport", [nioCore, nioPosix, nioHTTP1, nioWebSocket]),
        library("TLS", ["COpenSSL", nioCore]),
        library("LMDB", ["CLMDB"]),
        library("Storage", ["LMDB", "MQTTModel"]),
        library("Security", ["Encodings", "MQTTModel", "COpenSSL", "CArgon2"]),
        library("HTTPFetch", ["CCurl"]),
        library("SchemaRegistry", ["Encodings", "HTTPFetch", "CAvro", nioCore, nioPosix, nioHTTP1]),
        // 2: the broker
        library("Headwater", [
            "Encodings", "Transport", "TLS", "Security", "HTTPFetch", "MQTTSession", "MQTTWire", "Routing", "Storage", "PluginAPI", "MQTTModel",
            nioCore, nioPosix, logging, lifecycle, deque, heap,
        ]),
        // 3: what stands on the broker, or on its plugin API alone
        library("KafkaBridge", ["Encodings", "PluginAPI", "MQTTModel", "SchemaRegistry", "HTTPFetch", "CRdKafka", logging]),
        library("Admin", ["Headwater", "PluginAPI", "Transport", nioCore, nioPosix, nioHTTP1, logging, lifecycle]),
        library("ConfigFile", ["Headwater", "KafkaBridge", "Admin", "MQTTModel", .product(name: "Yams", package: "Yams")]),
        library("BrokerTestKit", ["Headwater", "MQTTWire", "MQTTModel", "PluginAPI", nioCore, nioPosix, logging, deque]),
        // 4: the program
        .executableTarget(
            name: "headwater-cli",
            dependencies: [
                "Headwater", "Storage", "Security", "TLS", "Admin", "ConfigFile", "KafkaBridge", "PluginAPI", "MQTTWire", "MQTTModel",
                "CPrivileges", "CJemalloc", nioCore, nioPosix, logging, lifecycle, signals, arguments,
            ],
            path: "Sources/headwater",
            swiftSettings: settings),
        // examples: built with the tests, so that they can't rot
        .target(
            name: "TopicFence", dependencies: ["PluginAPI", "MQTTModel", logging], path: "Examples/TopicFence", swiftSettings: settings),
        .target(name: "Journal", dependencies: ["PluginAPI", "MQTTModel", nioCore], path: "Examples/Journal", swiftSettings: settings),
        .executableTarget(
            name: "EmbeddedBroker", dependencies: ["Headwater", "MQTTModel", "TopicFence", nioCore], path: "Examples/EmbeddedBroker",
            swiftSettings: settings),
        // benchmarks: small programs that print what they measure
        .executableTarget(name: "acl-benchmark", dependencies: ["Security", "MQTTModel"], path: "Benchmarks/ACL", swiftSettings: settings),
        // tests
        .target(name: "TestAuthority", dependencies: ["COpenSSL"], path: "Tests/TestAuthority", swiftSettings: settings),
        .executableTarget(name: "lmdb-reader", dependencies: ["LMDB", "CLMDB"], path: "Tests/LMDBReader", swiftSettings: settings),
        tests("LMDBTests", ["LMDB", "CLMDB", "lmdb-reader"]),
        tests("StorageTests", ["Storage", "LMDB", "MQTTModel"]),
        tests("SecurityTests", ["Encodings", "Security", "MQTTModel", "COpenSSL"]),
        tests("HTTPFetchTests", ["HTTPFetch"]),
        tests("SchemaRegistryTests", ["Encodings", "SchemaRegistry", "HTTPFetch", nioCore, nioPosix, nioHTTP1], resources: [.copy("Scripts")]),
        tests("TLSTests", ["TLS", "TestAuthority", "COpenSSL", nioCore, nioEmbedded, nioPosix]),
        tests("RoutingTests", ["Routing", "MQTTModel"]),
        tests("MQTTWireTests", ["MQTTWire", "MQTTModel"]),
        tests("MQTTSessionTests", ["MQTTSession", "MQTTModel", nioCore]),
        tests("TransportTests", ["Transport", nioCore, nioEmbedded, nioPosix], resources: [.copy("Scripts")]),
        tests(
            "HeadwaterTests",
            ["Headwater", "headwater-cli", "BrokerTestKit", "TLS", "MQTTWire", "MQTTModel", "PluginAPI", nioCore, nioPosix, logging]),
        tests(
            "CrashTests", ["headwater-cli", "BrokerTestKit", "Storage", "LMDB", "MQTTWire", "MQTTModel"], resources: [.copy("Resources")]),
        tests(
            "DoorTests",
            ["headwater-cli", "BrokerTestKit", "TestAuthority", "TLS", "Transport", "Security", "MQTTWire", "MQTTModel", nioCore, nioPosix],
            resources: [.copy("Scripts"), .copy("Resources")]),
        tests("InteropTests", ["Headwater", "BrokerTestKit", "Security", "MQTTWire", "MQTTModel"], resources: [.copy("Scripts")]),
        tests("KafkaBridgeTests", ["KafkaBridge", "Headwater", "BrokerTestKit", "TestAuthority", "MQTTWire", "PluginAPI", "MQTTModel", "CRdKafka", logging]),
        .executableTarget(
            name: "privileges-probe", dependencies: ["CPrivileges"], path: "Tests/PrivilegesProbe", swiftSettings: settings),
        tests(
            "CommandTests",
            ["headwater-cli", "privileges-probe", "Storage", "Security", "ConfigFile", "BrokerTestKit", "MQTTModel", "MQTTWire", logging, arguments]),
        tests("ConfigFileTests", ["ConfigFile", "Headwater", "KafkaBridge", "Admin", "MQTTModel"]),
        tests(
            "ExampleTests", ["EmbeddedBroker", "TopicFence", "Journal", "Headwater", "BrokerTestKit", "PluginAPI", "MQTTWire", "MQTTModel"]),
        tests(
            "AdminTests",
            ["Admin", "Headwater", "KafkaBridge", "BrokerTestKit", "PluginAPI", "MQTTModel", "MQTTWire", nioCore, nioPosix, nioHTTP1, logging]),
    ]
)
