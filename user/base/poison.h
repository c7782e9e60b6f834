/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_POISON_H
#define BASE_POISON_H

/* Memory that is kept and is nobody's: under the sanitizer of addresses whoever touches it is found. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(start, bytes) ASAN_POISON_MEMORY_REGION(start, bytes)
#define UNPOISON(start, bytes) ASAN_UNPOISON_MEMORY_REGION(start, bytes)
#else
#define POISON(start, bytes) ((void)(start), (void)(bytes))
#define UNPOISON(start, bytes) ((void)(start), (void)(bytes))
#endif

#endif
