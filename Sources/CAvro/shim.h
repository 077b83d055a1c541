// libavro, and its macros that call through a value's table of methods under names that Swift can call.
//
// Only what filling and writing a value needs. Text and bytes are copied by libavro.
#pragma once
#include <avro.h>
#include <stdint.h>
#include <stddef.h>

static inline int headwater_avro_set_null(avro_value_t *value) { return avro_value_set_null(value); }
static inline int headwater_avro_set_boolean(avro_value_t *value, int to) { return avro_value_set_boolean(value, to); }
static inline int headwater_avro_set_int(avro_value_t *value, int32_t to) { return avro_value_set_int(value, to); }
static inline int headwater_avro_set_long(avro_value_t *value, int64_t to) { return avro_value_set_long(value, to); }
static inline int headwater_avro_set_float(avro_value_t *value, float to) { return avro_value_set_float(value, to); }
static inline int headwater_avro_set_double(avro_value_t *value, double to) { return avro_value_set_double(value, to); }
static inline int headwater_avro_set_enum(avro_value_t *value, int to) { return avro_value_set_enum(value, to); }

/// libavro takes the bytes of `bytes` and of `fixed` as not constant, but only reads them.
static inline int headwater_avro_set_bytes(avro_value_t *value, const void *bytes, size_t count) {
    return avro_value_set_bytes(value, (void *)bytes, count);
}
static inline int headwater_avro_set_fixed(avro_value_t *value, const void *bytes, size_t count) {
    return avro_value_set_fixed(value, (void *)bytes, count);
}

/// `bytes` ends with a 0 that `count` doesn't count; libavro counts it.
static inline int headwater_avro_set_string(avro_value_t *value, const char *bytes, size_t count) {
    return avro_value_set_string_len(value, (char *)bytes, count + 1);
}

static inline int headwater_avro_field(const avro_value_t *record, size_t index, avro_value_t *field) {
    return avro_value_get_by_index(record, index, field, NULL);
}
static inline int headwater_avro_append(const avro_value_t *array, avro_value_t *item) {
    return avro_value_append(array, item, NULL);
}
static inline int headwater_avro_add(const avro_value_t *map, const char *key, avro_value_t *item) {
    return avro_value_add(map, key, item, NULL, NULL);
}
static inline int headwater_avro_branch(const avro_value_t *aUnion, int index, avro_value_t *branch) {
    return avro_value_set_branch(aUnion, index, branch);
}
static inline void headwater_avro_release_iface(avro_value_iface_t *iface) { avro_value_iface_decref(iface); }
