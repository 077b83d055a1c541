import Headwater
let port = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1])! : 1883
var configuration = BrokerConfiguration(listeners: [.loopback(port: port)])
if CommandLine.arguments.count > 2 { configuration.eventLoops = Int(CommandLine.arguments[2]) }
let broker = Broker(configuration: configuration)
try await broker.run()
