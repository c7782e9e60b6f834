/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_LDCACHE_H
#define PROBE_LDCACHE_H

#include <stddef.h>

/*
 * The dynamic loader's cache, in the format of glibc 2.2 and later ("glibc-ld.so.cache1.1"), alone or after the older one. Only
 * entries of this machine's 64-bit ABI are reported.
 */
#define LDCACHE_PATH "/etc/ld.so.cache"

/* name: as programs ask for it; path: absolute. Both live inside the parsed bytes. Non-zero ends the walk. */
typedef int ldcache_fn(void *ctx, const char *name, const char *path);

/* 0, -EBADMSG (not such a cache), or what fn returned. */
int ldcache_parse(const char *bytes, size_t length, ldcache_fn *fn, void *ctx);

/* The same for a file of at most 64 MiB. No such file is an empty cache. */
int ldcache_walk(const char *path, ldcache_fn *fn, void *ctx);

#endif
