import CRdKafka
import MQTTModel

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension OAuthBearer {
    /// Has librdkafka ask for tokens, on its background thread.
    func install(in configuration: OpaquePointer) -> String? {
        rd_kafka_conf_set_oauthbearer_token_refresh_cb(configuration) { client, text, _ in
            guard let client, let text else { return }
            OAuthBearer(text: String(cString: text))?.refresh(client)
        }
        return ProducerProperties.set("sasl.oauthbearer.config", text, in: configuration)
    }

    private func refresh(_ client: OpaquePointer) {
        do throws(KafkaClientError) {
            let token = try fetch(now: MessageClock.now.unixMilliseconds)
            let pairs = extensions.split(separator: ",").flatMap { pair in
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return [String(parts[0]), parts.count == 2 ? String(parts[1]) : ""]
            }
            let copies = pairs.map { strdup($0) }
            defer { for copy in copies { free(copy) } }
            var pointers = copies.map { UnsafePointer($0) }
            let reason = KafkaClientError.text { buffer, size in
                rd_kafka_oauthbearer_set_token(client, token.value, token.expiry, token.principal, &pointers, pointers.count, buffer, size)
                    == RD_KAFKA_RESP_ERR_NO_ERROR
            }
            if let reason { throw KafkaClientError(reason: reason) }
        } catch {
            rd_kafka_oauthbearer_set_token_failure(client, "no token: \(error.reason)")
        }
    }
}
