// SPDX-License-Identifier: Apache-2.0
/* How the runtime finds the driver's calls, and the names of its errors. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cuda.h"
#include "sim.h"

struct error {
	CUresult number;
	const char *name, *text;
};

static const struct error errors[] = {
#define ERROR(number, driver_name, runtime_name, driver_text, runtime_text) { number, driver_name, driver_text },
#include "errors.def"
#undef ERROR
};

static const struct error *find_error(CUresult number)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].number == number)
			return &errors[i];
	}
	return NULL;
}

SIM_EXPORT CUresult cuGetErrorName(CUresult number, const char **name)
{
	const struct error *error = find_error(number);

	*name = error ? error->name : NULL;
	return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGetErrorString(CUresult number, const char **text)
{
	const struct error *error = find_error(number);

	*text = error ? error->text : NULL;
	return error ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Of several versions of a call the newest that there is. */
static const char *const suffixes[] = { "_v4", "_v2", "" };

/* Calls whose plain version the runtime asks for, by a version number from before the newer one. */
static const struct {
	const char *symbol;
	int newer;
} plain[] = {
	{ "cuDevicePrimaryCtxReset", 11000 },
	{ "cuDeviceGetUuid", 11040 },
};

static bool wants_plain(const char *symbol, int version)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (!strcmp(symbol, plain[i].symbol))
			return version < plain[i].newer;
	}
	return false;
}

static void *find_version(void *library, const char *symbol, const char *twin)
{
	char name[128];
	void *fn = NULL;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && !fn; i++) {
		snprintf(name, sizeof(name), "%s%s%s", symbol, suffixes[i], twin);
		fn = dlsym(library, name);
	}
	return fn;
}

/* The address is the exported function's own, so that a probe there sees calls that were resolved this way. */
SIM_EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version, cuuint64_t flags,
					CUdriverProcAddressQueryResult *status)
{
	void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);

	if (!symbol || !fn || !library)
		return CUDA_ERROR_INVALID_VALUE;
	*fn = NULL;
	if (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		*fn = find_version(library, symbol, "_ptsz");
	if (!*fn && wants_plain(symbol, version))
		*fn = dlsym(library, symbol);
	if (!*fn)
		*fn = find_version(library, symbol, "");
	dlclose(library);
	if (status)
		*status = *fn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return *fn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
