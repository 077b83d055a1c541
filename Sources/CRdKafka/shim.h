// Swift can't call C functions with variable arguments. rd_kafka_producev is the one function of librdkafka that takes
// headers and a timestamp together with a topic handle, so it gets a fixed form here.
#pragma once
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/prctl.h>

/// Hands a record to librdkafka without waiting. Without RD_KAFKA_MSG_F_COPY in `flags` the value is not copied and must
/// stay in place until the delivery report. On success librdkafka owns `headers`, on failure the caller still does. The key is copied.
static inline rd_kafka_resp_err_t headwater_produce(
    rd_kafka_t *client, rd_kafka_topic_t *topic, int32_t partition, int flags, const void *key, size_t key_size,
    const void *value, size_t value_size, int64_t timestamp_milliseconds, rd_kafka_headers_t *headers, void *opaque) {
    return rd_kafka_producev(
        client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(flags),
        RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE((void *)value, value_size),
        RD_KAFKA_V_TIMESTAMP(timestamp_milliseconds), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque),
        RD_KAFKA_V_END);
}

/// Names the calling thread for ps and debuggers; the system keeps 15 bytes. prctl has variable arguments too.
static inline void headwater_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
