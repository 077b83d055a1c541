#pragma once
#include <sys/prctl.h>
#include <sys/types.h>

// GNU's, which Swift's module of glibc leaves out: all three numbers of the process at once, in all of its threads.
int setresuid(uid_t real, uid_t effective, uid_t saved);
int setresgid(gid_t real, gid_t effective, gid_t saved);
int getresuid(uid_t *real, uid_t *effective, uid_t *saved);
int getresgid(gid_t *real, gid_t *effective, gid_t *saved);

// prctl has variable arguments, which Swift can't call.

/// No core dump of this process, and no debugger of the same user at its memory.
static inline int headwater_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// 1 if the process may be dumped.
static inline int headwater_is_dumpable(void) { return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0); }

/// No program that this process may ever start gets more rights than it has.
static inline int headwater_forbid_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
