/* Stands between the broker and the files of its store (LD_PRELOAD). It writes down what reaches the kernel and what the
 * kernel has promised to be on the disk, so that a test can make the disk of a moment in which the power went; and it can
 * make calls fail as a full, read-only or broken disk does. Built by the tests with gcc; no part of the program.
 *
 *   STORESHIM_STORE    the store's directory, absolute: nothing else is touched
 *   STORESHIM_LOG      file for the records below; unset: none are written
 *   STORESHIM_CONTROL  file of `struct control`, mapped; unset: no call fails
 *   STORESHIM_BOOT_ID  opened instead of /proc/sys/kernel/random/boot_id
 *
 * Seen are the calls that go through the dynamic linker: open, write, pwrite, writev, pwritev, ftruncate, fsync, fdatasync,
 * msync, rename, unlink, mkdir and their kin. Not seen are stores into a shared writable mapping before its msync, stdio,
 * duplicates made by fcntl, and system calls made without libc. The store's program uses none of these for its data; its
 * lock file (NAME-lock), which is shared memory and means nothing after a power cut, is left alone on purpose.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- records: header, path, data; all numbers little-endian ---- */

enum kind {
    K_EXISTS = 1,   /* file `file` was there when it was opened, under `path` */
    K_CREATE = 2,   /* directory change: `path` names the new file `file` */
    K_WRITE = 3,    /* data for `file` at `offset`, about to be written */
    K_WRITTEN = 4,  /* record `offset` was written, its first `aux` bytes; flag 1: and is on the disk */
    K_SYNC = 5,     /* what `file` got before record `offset` is on the disk */
    K_TRUNCATE = 6, /* `file` now has `offset` bytes */
    K_RENAME = 7,   /* directory change: `path`, a zero byte, the new path */
    K_UNLINK = 8,   /* directory change */
    K_MKDIR = 9,    /* directory change */
    K_RMDIR = 10,   /* directory change */
    K_DIRSYNC = 11, /* directory changes before record `offset` are on the disk */
};

struct header {
    uint32_t magic, kind, file, flags;
    uint64_t number, offset, aux;
    uint32_t path_bytes, data_bytes;
};

#define MAGIC 0x474F4C48u

/* ---- faults ---- */

enum { F_WRITE = 1, F_SYNC = 2, F_TRUNCATE = 4, F_CREATE = 8, F_SHORT = 16 };

struct control {
    int32_t is_armed, error, calls, reserved; /* error -1: the process is killed instead */
    int64_t passes; /* calls that may still succeed */
    int64_t failed; /* calls that have failed */
};

/* ---- state ---- */

#define MAX_FD 65536
#define MAX_MAPPINGS 64

enum { IS_SYNCED = 1, IS_APPENDING = 2, IS_DIRECTORY = 4 };

static uint32_t fd_file[MAX_FD]; /* 0: not the store's */
static uint8_t fd_flags[MAX_FD];
static struct { ino_t inode; uint32_t file; } *known;
static size_t known_count;
static uint32_t next_file = 1;
static uint64_t next_number = 1;
static struct { char *address; size_t length; uint32_t file; off_t offset; } mappings[MAX_MAPPINGS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char store[4096];
static size_t store_length;
static const char *boot_id;
static int log_fd = -1;
static struct control *control;

#define REAL(name) static __typeof__(name) *real_##name;
#define FIND(name) real_##name = (__typeof__(real_##name))dlsym(RTLD_NEXT, #name)
REAL(open) REAL(openat) REAL(close) REAL(write) REAL(pwrite) REAL(writev) REAL(pwritev) REAL(ftruncate)
REAL(fsync) REAL(fdatasync) REAL(msync) REAL(mmap) REAL(munmap) REAL(rename) REAL(renameat) REAL(renameat2) REAL(unlink)
REAL(unlinkat) REAL(mkdir) REAL(mkdirat) REAL(rmdir) REAL(dup) REAL(dup2) REAL(dup3) REAL(sendfile) REAL(copy_file_range) REAL(fopen)

static void begin(void) {
    FIND(open); FIND(openat); FIND(close); FIND(write); FIND(pwrite); FIND(writev); FIND(pwritev); FIND(ftruncate);
    FIND(fsync); FIND(fdatasync); FIND(msync); FIND(mmap); FIND(munmap); FIND(rename); FIND(renameat); FIND(renameat2); FIND(unlink);
    FIND(unlinkat); FIND(mkdir); FIND(mkdirat); FIND(rmdir); FIND(dup); FIND(dup2); FIND(dup3); FIND(sendfile); FIND(copy_file_range);
    FIND(fopen);
    const char *path = getenv("STORESHIM_STORE");
    if (path) {
        snprintf(store, sizeof store, "%s", path);
        store_length = strlen(store);
    }
    boot_id = getenv("STORESHIM_BOOT_ID");
    path = getenv("STORESHIM_LOG");
    if (path) {
        int fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        log_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 400);
        if (fd >= 0) real_close(fd);
        if (log_fd < 0) abort();
    }
    path = getenv("STORESHIM_CONTROL");
    if (path) {
        int fd = real_open(path, O_RDWR | O_CLOEXEC);
        control = fd < 0 ? NULL : real_mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (!control || control == MAP_FAILED) abort();
        real_close(fd);
    }
}

__attribute__((constructor)) static void at_load(void) { pthread_once(&once, begin); }
static void ready(void) { pthread_once(&once, begin); }
static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }

/* To be called with the lock held. Returns the record's number. */
static uint64_t record(enum kind kind, uint32_t file, uint32_t flags, uint64_t offset, uint64_t aux, const char *path, size_t path_bytes,
                       const struct iovec *parts, int count, size_t bytes) {
    uint64_t number = next_number++;
    if (log_fd < 0) return number;
    struct header header = {MAGIC, kind, file, flags, number, offset, aux, (uint32_t)path_bytes, (uint32_t)bytes};
    struct iovec all[1026];
    all[0] = (struct iovec){&header, sizeof header};
    all[1] = (struct iovec){(void *)path, path_bytes};
    int used = 2;
    for (int i = 0; i < count && used < 1024; i++) all[used++] = parts[i];
    size_t total = sizeof header + path_bytes + bytes;
    int saved = errno;
    if (real_writev(log_fd, all, used) != (ssize_t)total) abort(); /* the test's own disk is full: no result is better */
    errno = saved;
    return number;
}

/* ---- which files ---- */

/* The path below the store's directory, "" for the directory itself; NULL: not the store's. */
static const char *inside(int directory, const char *path, char *buffer, size_t size) {
    if (!store_length || !path) return NULL;
    if (path[0] != '/') {
        char base[4096];
        if (directory == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return NULL;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return NULL;
            base[length] = 0;
        }
        snprintf(buffer, size, "%s/%s", base, path);
    } else {
        snprintf(buffer, size, "%s", path);
    }
    size_t length = strlen(buffer);
    while (length > 1 && buffer[length - 1] == '/') buffer[--length] = 0;
    if (length >= 5 && strcmp(buffer + length - 5, "-lock") == 0) return NULL;
    if (strncmp(buffer, store, store_length) != 0) return NULL;
    if (buffer[store_length] == 0) return "";
    return buffer[store_length] == '/' ? buffer + store_length + 1 : NULL;
}

static int is_ours(int fd) { return fd >= 0 && fd < MAX_FD && fd_file[fd] != 0; }

/* To be called with the lock held. */
static uint32_t file_of(ino_t inode, int is_new) {
    for (size_t i = 0; i < known_count; i++) {
        if (known[i].inode != inode) continue;
        if (is_new) known[i].file = next_file++; /* the number of a file that is gone, used again */
        return known[i].file;
    }
    known = realloc(known, (known_count + 1) * sizeof *known);
    known[known_count].inode = inode;
    known[known_count].file = next_file++;
    return known[known_count++].file;
}

/* Whether a call is to fail now; errno is set. */
static int fails(int call) {
    if (!control || !__atomic_load_n(&control->is_armed, __ATOMIC_ACQUIRE) || !(control->calls & call)) return 0;
    if (__atomic_fetch_sub(&control->passes, 1, __ATOMIC_ACQ_REL) > 0) return 0;
    __atomic_fetch_add(&control->failed, 1, __ATOMIC_ACQ_REL);
    if (control->error < 0) kill(getpid(), SIGKILL);
    errno = control->error;
    return 1;
}

/* ---- open and close ---- */

static int open_inside(int directory, const char *path, int flags, mode_t mode) {
    char buffer[4096];
    if (boot_id && path && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) return real_open(boot_id, flags, mode);
    const char *name = inside(directory, path, buffer, sizeof buffer);
    if (!name) return real_openat(directory, path, flags, mode);
    lock();
    struct stat status;
    int existed = fstatat(directory, path, &status, 0) == 0;
    if (((flags & O_CREAT) && !existed) || (flags & O_TRUNC)) {
        if (fails(F_CREATE)) {
            unlock();
            return -1;
        }
    }
    int fd = real_openat(directory, path, flags, mode);
    if (fd >= 0 && fd < MAX_FD && fstat(fd, &status) == 0) {
        int is_directory = S_ISDIR(status.st_mode);
        int is_new = !existed && !is_directory;
        fd_file[fd] = file_of(status.st_ino, is_new);
        fd_flags[fd] = ((flags & (O_SYNC | O_DSYNC)) ? IS_SYNCED : 0) | ((flags & O_APPEND) ? IS_APPENDING : 0) | (is_directory ? IS_DIRECTORY : 0);
        if (!is_directory) {
            record(is_new ? K_CREATE : K_EXISTS, fd_file[fd], 0, 0, 0, name, strlen(name), NULL, 0, 0);
            if ((flags & O_TRUNC) && existed) record(K_TRUNCATE, fd_file[fd], 0, 0, 0, NULL, 0, NULL, 0, 0);
        }
    }
    unlock();
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) { ready(); MODE(flags) return open_inside(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { ready(); MODE(flags) return open_inside(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { ready(); MODE(flags) return open_inside(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { ready(); MODE(flags) return open_inside(directory, path, flags, mode); }
int __open_2(const char *path, int flags) { ready(); return open_inside(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { ready(); return open_inside(AT_FDCWD, path, flags, 0); }
int __openat_2(int directory, const char *path, int flags) { ready(); return open_inside(directory, path, flags, 0); }
int __openat64_2(int directory, const char *path, int flags) { ready(); return open_inside(directory, path, flags, 0); }
int creat(const char *path, mode_t mode) { ready(); return open_inside(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { ready(); return open_inside(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE *open_stream(const char *path, const char *mode) {
    ready();
    return real_fopen(boot_id && path && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot_id : path, mode);
}
FILE *fopen(const char *path, const char *mode) { return open_stream(path, mode); }
FILE *fopen64(const char *path, const char *mode) { return open_stream(path, mode); }

int close(int fd) {
    ready();
    if (is_ours(fd)) {
        lock();
        fd_file[fd] = 0;
        unlock();
    }
    return real_close(fd);
}

static int copied(int from, int to) {
    if (to >= 0 && to < MAX_FD) {
        fd_file[to] = is_ours(from) ? fd_file[from] : 0;
        fd_flags[to] = is_ours(from) ? fd_flags[from] : 0;
    }
    return to;
}
int dup(int fd) { ready(); return copied(fd, real_dup(fd)); }
int dup2(int fd, int to) { ready(); return copied(fd, real_dup2(fd, to)); }
int dup3(int fd, int to, int flags) { ready(); return copied(fd, real_dup3(fd, to, flags)); }

/* ---- writing ---- */

static ssize_t write_inside(int fd, const struct iovec *parts, int count, off_t offset, int has_offset) {
    lock();
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    struct iovec half;
    if (fails(F_WRITE)) {
        /* A disk that fills up takes the first part of a write. */
        if (!(control->calls & F_SHORT) || count == 0 || parts[0].iov_len < 1024 || control->failed > 1) {
            unlock();
            return -1;
        }
        half = (struct iovec){parts[0].iov_base, 512};
        parts = &half;
        count = 1;
        bytes = 512;
    }
    struct stat status;
    off_t place = has_offset ? offset : (fd_flags[fd] & IS_APPENDING) && fstat(fd, &status) == 0 ? status.st_size : lseek(fd, 0, SEEK_CUR);
    uint32_t file = fd_file[fd];
    int is_synced = (fd_flags[fd] & IS_SYNCED) != 0;
    uint64_t number = record(K_WRITE, file, 0, (uint64_t)place, 0, NULL, 0, parts, count, bytes);
    ssize_t written = has_offset ? real_pwritev(fd, parts, count, offset) : real_writev(fd, parts, count);
    record(K_WRITTEN, file, is_synced && written >= 0, number, written < 0 ? 0 : (uint64_t)written, NULL, 0, NULL, 0, 0);
    unlock();
    return written;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ready();
    if (!is_ours(fd)) return real_write(fd, bytes, count);
    struct iovec part = {(void *)bytes, count};
    return write_inside(fd, &part, 1, 0, 0);
}
static ssize_t write_at(int fd, const void *bytes, size_t count, off_t offset) {
    ready();
    if (!is_ours(fd)) return real_pwrite(fd, bytes, count, offset);
    struct iovec part = {(void *)bytes, count};
    return write_inside(fd, &part, 1, offset, 1);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return write_at(fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) { return write_at(fd, bytes, count, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
    ready();
    return is_ours(fd) ? write_inside(fd, parts, count, 0, 0) : real_writev(fd, parts, count);
}
static ssize_t write_parts_at(int fd, const struct iovec *parts, int count, off_t offset) {
    ready();
    return is_ours(fd) ? write_inside(fd, parts, count, offset, 1) : real_pwritev(fd, parts, count, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return write_parts_at(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return write_parts_at(fd, parts, count, offset); }

/* Bytes that the kernel has moved are read back for the record. */
static void moved(int fd, off_t offset, ssize_t count) {
    if (count <= 0) return;
    char *bytes = malloc((size_t)count);
    if (!bytes || pread(fd, bytes, (size_t)count, offset) != count) abort();
    struct iovec part = {bytes, (size_t)count};
    uint64_t number = record(K_WRITE, fd_file[fd], 0, (uint64_t)offset, 0, NULL, 0, &part, 1, (size_t)count);
    record(K_WRITTEN, fd_file[fd], 0, number, (uint64_t)count, NULL, 0, NULL, 0, 0);
    free(bytes);
}

static ssize_t send_inside(int out, int in, off_t *offset, size_t count) {
    ready();
    if (!is_ours(out)) return real_sendfile(out, in, offset, count);
    /* Refused where the copy could not be read back: the caller reads and writes instead. */
    if ((fcntl(out, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        errno = EINVAL;
        return -1;
    }
    lock();
    off_t place = lseek(out, 0, SEEK_CUR);
    ssize_t result = fails(F_WRITE) ? -1 : real_sendfile(out, in, offset, count);
    moved(out, place, result);
    unlock();
    return result;
}
ssize_t sendfile(int out, int in, off_t *offset, size_t count) { return send_inside(out, in, offset, count); }
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) { return send_inside(out, in, offset, count); }
ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t count, unsigned flags) {
    ready();
    if (!is_ours(out)) return real_copy_file_range(in, in_offset, out, out_offset, count, flags);
    errno = ENOSYS; /* the caller copies by itself */
    return -1;
}

static int truncate_inside(int fd, off_t length) {
    ready();
    if (!is_ours(fd)) return real_ftruncate(fd, length);
    lock();
    int result = -1;
    if (!fails(F_TRUNCATE)) {
        record(K_TRUNCATE, fd_file[fd], 0, (uint64_t)length, 0, NULL, 0, NULL, 0, 0);
        result = real_ftruncate(fd, length);
    }
    unlock();
    return result;
}
int ftruncate(int fd, off_t length) { return truncate_inside(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_inside(fd, length); }

/* ---- what is on the disk ---- */

static int sync_inside(int fd, int (*real)(int)) {
    lock();
    uint32_t file = fd_file[fd];
    int is_directory = fd_flags[fd] & IS_DIRECTORY;
    uint64_t before = next_number++;
    if (fails(F_SYNC)) {
        unlock();
        return -1;
    }
    unlock();
    int result = real(fd);
    lock();
    if (result == 0) record(is_directory ? K_DIRSYNC : K_SYNC, file, 0, before, 0, NULL, 0, NULL, 0, 0);
    unlock();
    return result;
}
int fsync(int fd) { ready(); return is_ours(fd) ? sync_inside(fd, real_fsync) : real_fsync(fd); }
int fdatasync(int fd) { ready(); return is_ours(fd) ? sync_inside(fd, real_fdatasync) : real_fdatasync(fd); }

static void *map_inside(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    ready();
    void *result = real_mmap(address, length, protection, flags, fd, offset);
    if (result != MAP_FAILED && is_ours(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        lock();
        for (int i = 0; i < MAX_MAPPINGS; i++) {
            if (mappings[i].address) continue;
            mappings[i].address = result;
            mappings[i].length = length;
            mappings[i].file = fd_file[fd];
            mappings[i].offset = offset;
            break;
        }
        unlock();
    }
    return result;
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return map_inside(address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return map_inside(address, length, protection, flags, fd, offset);
}
int munmap(void *address, size_t length) {
    ready();
    lock();
    for (int i = 0; i < MAX_MAPPINGS; i++)
        if (mappings[i].address == address) mappings[i].address = NULL;
    unlock();
    return real_munmap(address, length);
}
int msync(void *address, size_t length, int flags) {
    ready();
    lock();
    for (int i = 0; i < MAX_MAPPINGS; i++) {
        char *start = mappings[i].address;
        if (!start || (char *)address < start || (char *)address >= start + mappings[i].length) continue;
        if (fails(F_SYNC)) {
            unlock();
            return -1;
        }
        struct iovec part = {address, length};
        uint64_t place = (uint64_t)mappings[i].offset + (uint64_t)((char *)address - start);
        uint64_t number = record(K_WRITE, mappings[i].file, 0, place, 0, NULL, 0, &part, 1, length);
        record(K_WRITTEN, mappings[i].file, (flags & MS_SYNC) != 0, number, length, NULL, 0, NULL, 0, 0);
    }
    unlock();
    return real_msync(address, length, flags);
}

/* ---- directory changes ---- */

static int rename_inside(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    ready();
    char one[4096], other[4096], both[8200];
    const char *old = inside(from_directory, from, one, sizeof one);
    const char *new = inside(to_directory, to, other, sizeof other);
    if (!old && !new) return real_renameat2(from_directory, from, to_directory, to, flags);
    if (!old || !new) {
        errno = EXDEV; /* a file that comes or goes must be copied, so that its bytes are seen */
        return -1;
    }
    lock();
    int result = -1;
    if (!fails(F_CREATE)) {
        result = flags ? real_renameat2(from_directory, from, to_directory, to, flags) : real_renameat(from_directory, from, to_directory, to);
        if (result == 0) {
            int length = snprintf(both, sizeof both, "%s%c%s", old, 0, new);
            record(K_RENAME, 0, 0, 0, 0, both, (size_t)length, NULL, 0, 0);
        }
    }
    unlock();
    return result;
}
int rename(const char *from, const char *to) { return rename_inside(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_inside(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return rename_inside(a, from, b, to, flags); }

static int change(int directory, const char *path, enum kind kind, mode_t mode, int flags) {
    ready();
    char buffer[4096];
    const char *name = inside(directory, path, buffer, sizeof buffer);
    lock();
    int result = -1;
    if (!(name && kind == K_MKDIR && fails(F_CREATE))) {
        result = kind == K_MKDIR ? real_mkdirat(directory, path, mode) : real_unlinkat(directory, path, flags);
        if (result == 0 && name) record(kind, 0, 0, 0, 0, name, strlen(name), NULL, 0, 0);
    }
    unlock();
    return result;
}
int unlink(const char *path) { return change(AT_FDCWD, path, K_UNLINK, 0, 0); }
int unlinkat(int directory, const char *path, int flags) {
    return change(directory, path, (flags & AT_REMOVEDIR) ? K_RMDIR : K_UNLINK, 0, flags);
}
int rmdir(const char *path) { return change(AT_FDCWD, path, K_RMDIR, 0, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return change(AT_FDCWD, path, K_MKDIR, mode, 0); }
int mkdirat(int directory, const char *path, mode_t mode) { return change(directory, path, K_MKDIR, mode, 0); }
int remove(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) ? rmdir(path) : unlink(path);
}
