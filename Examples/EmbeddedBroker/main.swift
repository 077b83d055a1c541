// A whole program around the broker: starts it with a plugin, publishes, receives, stops. docs/embedding.md explains it.
//
//   swift run EmbeddedBroker [PORT]
import Headwater
import MQTTModel
import NIOCore
import TopicFence

let port = CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 1883
let listener = ListenerConfiguration(name: "plant", address: .tcp(host: "127.0.0.1", port: port))
var configuration = BrokerConfiguration(listeners: [listener])
configuration.sessions.maxQueuedMessages = 1_000

let fence = TopicFence(users: ["press-4": .init(password: "secret", territory: "plant/4/")])
let broker = Broker(configuration: configuration, plugins: [fence])
try await broker.start()
print("clients may connect to \(broker.boundListeners[0].address)")

let temperatures = try await broker.subscribe(try TopicFilter("plant/+/temperature"))
for celsius in ["20.5", "21.0", "21.5"] {
    await broker.publish(Message(topic: try TopicName("plant/4/temperature"), payload: celsius.utf8, qos: .atLeastOnce))
}
for await message in temperatures.prefix(3) {
    print(message.topic, String(buffer: message.payload))
}

let statistics = await broker.statistics()
print("delivered \(statistics.delivered) of \(statistics.deliveriesDue)")
await broker.stop()
