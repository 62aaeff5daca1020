/* A clock that jumps when it is told to: preloaded, it adds as many seconds to the time of day as the file named by
 * KNIK_CLOCK says now.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real)
        real = (__typeof__(&clock_gettime))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *path = getenv("KNIK_CLOCK");
    if (result != 0 || clock != CLOCK_REALTIME || !path)
        return result;
    char said[32] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, said, sizeof said - 1) > 0)
            now->tv_sec += atol(said);
        close(fd);
    }
    return result;
}
