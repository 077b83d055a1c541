#ifndef HEADWATER_CJEMALLOC_H
#define HEADWATER_CJEMALLOC_H

/// Settings of jemalloc that the program starts with (jemalloc(3), TUNING); the environment's MALLOC_CONF overrides them.
extern const char *malloc_conf;

#endif
