/* A name that is in no DNS: KNIK_TEST_HOST is found at KNIK_TEST_ADDRESS, so that programs can verify the name in a
 * server's certificate. Every other name is looked up as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *name = getenv("KNIK_TEST_HOST"), *address = getenv("KNIK_TEST_ADDRESS");
    if (node && name && address && strcmp(node, name) == 0)
        node = address;
    return real(node, service, hints, found);
}
