#include "CJemalloc.h"

// A thread of its own gives back what has been free for ten seconds, also when nothing is allocated or freed any more.
const char *malloc_conf = "background_thread:true";
