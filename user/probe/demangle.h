/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_DEMANGLE_H
#define PROBE_DEMANGLE_H

#include <stddef.h>

/*
 * C++ names by the C++ library's own function, which is opened at run time and never linked: without it, names stay as they
 * are. Only for the confined child of probe/reader.h: names are hostile, and this can take memory and time without bound, or crash.
 */

/* Opens libstdc++; before the child confines itself, for it takes paths. */
void demangle_open(void);

/* The name for people of a symbol that begins with _Z. ret "": none, the C++ library is missing, or the name does not fit. */
void demangle(const char *symbol, char *ret, size_t bytes);

#endif
