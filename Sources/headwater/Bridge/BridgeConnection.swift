import Admin
import ArgumentParser
import ConfigFile
import Foundation
import Headwater

/// Where the broker is, and how to print what it says: what every `bridge` command takes.
struct BridgeConnection: ParsableArguments {
    @Option(name: [.short, .customLong("config")], help: "The broker's configuration file, whose http.address is used.")
    var config: String?

    @Option(help: ArgumentHelp("HOST:PORT or unix:/PATH of the broker's HTTP. (default: 127.0.0.1:9883)", valueName: "address"))
    var admin: String?

    @Flag(help: "Print JSON, as the broker sends it.")
    var json = false

    func validate() throws {
        if config != nil, admin != nil { throw ValidationError("--admin and --config say the same thing: give one of them") }
        if let admin, let fault = ListenerAddress.fault(in: admin) { throw ValidationError("--admin \(fault)") }
    }

    func get(_ path: [String], query: [(String, String)] = [], timeoutSeconds: Int = 10) async throws -> [UInt8] {
        let address = try address()
        let pairs = query.map { "\($0.0)=\(Self.encoded($0.1))" }.joined(separator: "&")
        let target = Self.target(path) + (pairs.isEmpty ? "" : "?\(pairs)")
        return try await checked(address) { () async throws(AdminExchange.Fault) in
            try await AdminExchange(address: address, timeoutSeconds: timeoutSeconds).get(target)
        }
    }

    func post(_ path: [String], _ body: [UInt8] = Array("{}".utf8)) async throws -> [UInt8] {
        let address = try address()
        return try await checked(address) { () async throws(AdminExchange.Fault) in
            try await AdminExchange(address: address, timeoutSeconds: 70).post(Self.target(path), json: body)
        }
    }

    static func target(_ path: [String]) -> String { (["/plugins/kafka"] + path.map(encoded)).joined(separator: "/") }

    /// Reads an answer, or says that it is not understood and ends with 1.
    func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do { return try decoder.decode(type, from: Data(body)) } catch {
            StandardStreams.complain("the answer is not understood; is the broker of another version than \(Version.current)? (\(error))")
            throw ExitCode(1)
        }
    }

    private func address() throws -> ListenerConfiguration.Address {
        if let admin, let address = ListenerAddress.parse(admin) { return address }
        guard let config else { return AdminConfiguration.defaultAddress }
        guard let http = try CheckCommand.load(config).http else {
            StandardStreams.complain("\(config) has no http section, so its broker can't be asked; add \"http:\" with an address, and start it anew")
            throw ExitCode(1)
        }
        if case .tcp(_, 0) = http.address {
            StandardStreams.complain("http.address in \(config) lets the system choose the port; see the broker's log, and give it with --admin")
            throw ExitCode(1)
        }
        return http.address
    }

    private func checked(
        _ address: ListenerConfiguration.Address, _ send: () async throws(AdminExchange.Fault) -> AdminExchange.Answer
    ) async throws -> [UInt8] {
        let place = ListenerAddress.text(address)
        let answer: AdminExchange.Answer
        do throws(AdminExchange.Fault) {
            answer = try await send()
        } catch {
            StandardStreams.complain(Self.advice(error, place))
            throw ExitCode(1)
        }
        guard answer.status != 200 else { return answer.body }
        struct Refusal: Decodable { let error: String }
        if let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(answer.body)) {
            StandardStreams.complain(StandardStreams.printable(refusal.error))
        } else if answer.status == 404 {
            StandardStreams.complain(
                "the broker at \(place) has no Kafka bridge: its configuration has no kafka section, or it is of an earlier version")
        } else {
            let text = String(decoding: answer.body.prefix(300), as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
            StandardStreams.complain("\(place) answered \(answer.status): \(StandardStreams.printable(text))")
        }
        throw ExitCode(1)
    }

    static func advice(_ fault: AdminExchange.Fault, _ place: String) -> String {
        switch fault {
        case .noConnection(let reason):
            "no broker answers at \(place) (\(reason)). Is it running, and does it have http there? `headwater run --http \(place)` or http.address "
                + "in its configuration switch it on; --admin ADDRESS or --config FILE say where else to ask"
        case .overdue, .broken:
            "the broker at \(place) does not answer (\(fault)). What was asked may have been done all the same: look with `headwater bridge status`"
        }
    }

    private static func encoded(_ text: String) -> String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? text
    }
}
