/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VRAMSIM_CUDART_CALL_H
#define VRAMSIM_CUDART_CALL_H

/* Begin and end of a call of the runtime that the truth log has. Those that it has not begin with driver_ready() alone. */
#include <stdint.h>

#include "cudart_driver.h"
#include "fault.h"
#include "sim.h"
#include "truth.h"

/* The failure that VRAMSIM_FAIL wants of this call, else driver_ready(). */
static inline cudaError_t call_begin(const struct truth *truth)
{
	cudaError_t error = (cudaError_t)fault_code(truth->call);

	return error ? error : driver_ready();
}

/* Of a call that wants no context. */
static inline cudaError_t call_open(const struct truth *truth)
{
	cudaError_t error = (cudaError_t)fault_code(truth->call);

	return error ? error : driver_open();
}

static inline cudaError_t call_end(const struct truth *truth, cudaError_t error)
{
	return driver_last_error((cudaError_t)truth_leave(truth, error));
}

/* What the driver said, and what it wrote to *out if it was a success. */
static inline cudaError_t call_answer(struct truth *truth, const void *out, CUresult result)
{
	if (!result)
		truth->addr = *(const uint64_t *)out;
	return (cudaError_t)result;
}

#endif
