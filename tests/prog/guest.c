// SPDX-License-Identifier: Apache-2.0
/*
 * guest [HOLD_MS [LIBRARY]]
 * Opens a library of someone else's, by default its own path and ".so", and calls go() in it, which is to allocate. Holds what it got
 * for HOLD_MS (0) and ends with it. Says nothing: its name may be anything.
 */
#include <dlfcn.h>
#include <limits.h>

#include "prog.h"

int main(int argc, char **argv)
{
	char own[PATH_MAX];
	void *library;
	int (*go)(void);

	snprintf(own, sizeof(own), "%s.so", argv[0]);
	library = dlopen(argc > 2 ? argv[2] : own, RTLD_NOW);
	go = library ? (int (*)(void))dlsym(library, "go") : NULL;
	if (!go || go())
		return 1;
	sleep_ms(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
	return 0;
}
