/* A disk that fails when it is told to, seen by one process: preloaded, it stands between the program and libc.
 *
 * KNIK_FAULT names a file; what it says now decides, so that the test can break and mend the disk while the program
 * runs: "full" (files can be written where they have room already, and cannot grow), "sync" (fsync and fdatasync
 * fail with EIO), "write" (writes fail with EIO), "half" (of a write only half is done, which is no error), "read"
 * (reads of letters' files fail with EIO). Only files under KNIK_FAULT_UNDER are touched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The first letter of the fault that is set: f, h, r, s, w; 0 for none. */
static char fault(void) {
    const char *path = getenv("KNIK_FAULT");
    char said = 0;
    int fd = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    if (REAL(read)(fd, &said, 1) != 1)
        said = 0;
    REAL(close)(fd);
    return said;
}

static int is_ours(int fd) {
    const char *under = getenv("KNIK_FAULT_UNDER");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!under || length < 0)
        return 0;
    path[length] = 0;
    return strncmp(path, under, strlen(under)) == 0;
}

/* The error of writing so much there, or 0. */
static int refused(int fd, off_t at, size_t count) {
    char now = fault();
    struct stat status;
    if (!now || now == 's' || now == 'h' || now == 'r' || !is_ours(fd))
        return 0;
    if (now == 'w')
        return EIO;
    return fstat(fd, &status) == 0 && at + (off_t)count > status.st_size ? ENOSPC : 0;
}

/* How much of a write is done: half, once it is worth halving, while the fault is "half". */
static size_t part(int fd, size_t count) {
    return count > 1 && fault() == 'h' && is_ours(fd) ? count / 2 : count;
}

static size_t sum(const struct iovec *parts, int count) {
    size_t total = 0;
    for (int at = 0; at < count; at++)
        total += parts[at].iov_len;
    return total;
}

static off_t place(int fd) {
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND)
        return fstat(fd, &status) == 0 ? status.st_size : 0;
    return lseek(fd, 0, SEEK_CUR);
}

#define GUARD(at, count)                                                                                               \
    int why = refused(fd, at, count);                                                                                  \
    if (why) {                                                                                                         \
        errno = why;                                                                                                   \
        return -1;                                                                                                     \
    }

ssize_t write(int fd, const void *octets, size_t count) {
    GUARD(place(fd), count)
    return REAL(write)(fd, octets, part(fd, count));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    GUARD(place(fd), sum(parts, count))
    return REAL(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *octets, size_t count, off_t at) {
    GUARD(at, count)
    return REAL(pwrite)(fd, octets, part(fd, count), at);
}

ssize_t pwrite64(int fd, const void *octets, size_t count, off64_t at) {
    GUARD(at, count)
    return REAL(pwrite64)(fd, octets, part(fd, count), at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    GUARD(at, sum(parts, count))
    return REAL(pwritev)(fd, parts, count, at);
}

int fallocate(int fd, int mode, off_t at, off_t count) {
    GUARD(at, (size_t)count)
    return REAL(fallocate)(fd, mode, at, count);
}

int fallocate64(int fd, int mode, off64_t at, off64_t count) {
    GUARD(at, (size_t)count)
    return REAL(fallocate64)(fd, mode, at, count);
}

int posix_fallocate(int fd, off_t at, off_t count) {
    int why = refused(fd, at, (size_t)count);
    return why ? why : REAL(posix_fallocate)(fd, at, count);
}

/* Files of letters alone: they end in .segment or .letter. */
static int read_refused(int fd) {
    char link[64], path[4096];
    if (fault() != 'r' || !is_ours(fd))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, ".segment") || strstr(path, ".letter");
}

ssize_t pread(int fd, void *octets, size_t count, off_t at) {
    if (read_refused(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(pread)(fd, octets, count, at);
}

ssize_t pread64(int fd, void *octets, size_t count, off64_t at) {
    if (read_refused(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(pread64)(fd, octets, count, at);
}

static int sync_refused(int fd) {
    return fault() == 's' && is_ours(fd);
}

int fsync(int fd) {
    if (sync_refused(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    if (sync_refused(fd)) {
        errno = EIO;
        return -1;
    }
    return REAL(fdatasync)(fd);
}
