/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/demangle.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Of the C++ ABI: a string from malloc, or NULL. */
typedef char *demangle_fn(const char *symbol, char *buffer, size_t *bytes, int *status);

static demangle_fn *cxa_demangle;

void demangle_open(void)
{
	void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

	/* Never closed: the child ends with it. */
	cxa_demangle = library ? (demangle_fn *)dlsym(library, "__cxa_demangle") : NULL;
}

void demangle(const char *symbol, char *ret, size_t bytes)
{
	char *name = NULL;
	size_t length;
	int status = -1;

	ret[0] = '\0';
	/* Without the prefix it would take "i" for a type and say "int". */
	if (cxa_demangle && strncmp(symbol, "_Z", 2) == 0)
		name = cxa_demangle(symbol, NULL, NULL, &status);
	length = name && status == 0 ? strlen(name) : 0;
	if (length > 0 && length < bytes)
		memcpy(ret, name, length + 1);
	free(name);
}
