// LMDB, and the one thing that Swift has no word for: the processor's own CRC-32C instruction, which must be compiled for
// a processor that has it and called only there.
#pragma once
#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

static inline int headwater_has_crc32c(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
}

/// `state` is the register's raw content: the caller inverts it before and after.
__attribute__((target("sse4.2"))) static inline uint32_t headwater_crc32c(uint32_t state, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t wide = state;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; count--, at++) state = __builtin_ia32_crc32qi(state, *at);
    return state;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static inline int headwater_has_crc32c(void) { return (getauxval(AT_HWCAP) & (1ul << 7 /* HWCAP_CRC32 */)) != 0; }

__attribute__((target("crc"))) static inline uint32_t headwater_crc32c(uint32_t state, const void *bytes, size_t count) {
    const unsigned char *at = (const unsigned char *)bytes;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = __builtin_arm_crc32cd(state, word);
    }
    for (; count > 0; count--, at++) state = __builtin_arm_crc32cb(state, *at);
    return state;
}
#else
static inline int headwater_has_crc32c(void) { return 0; }
static inline uint32_t headwater_crc32c(uint32_t state, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}
#endif
