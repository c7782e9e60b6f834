// SPDX-License-Identifier: Apache-2.0
/*
 * A process that another one locks, checkpoints, restores, unlocks. What it has on the card leaves the card and comes back; that its
 * calls are held up meanwhile is not simulated.
 */
#include <errno.h>

#include "card.h"
#include "cuda_context.h"
#include "sim.h"

static CUresult result_of(int err)
{
	switch (err) {
	case 0:
		return CUDA_SUCCESS;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EBUSY:
		return CUDA_ERROR_ILLEGAL_STATE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult step(const char *call, int pid, enum card_step step)
{
	struct truth truth = truth_enter(call);
	CUresult result = cuda_begin(&truth);

	truth.addr = (unsigned int)pid;
	return cuda_leave(&truth, result ? result : result_of(card_step(pid, step)));
}

SIM_EXPORT CUresult cuCheckpointProcessLock(int pid, CUcheckpointLockArgs *args)
{
	return args ? CUDA_ERROR_INVALID_VALUE : step(__func__, pid, CARD_LOCK);
}

SIM_EXPORT CUresult cuCheckpointProcessCheckpoint(int pid, CUcheckpointCheckpointArgs *args)
{
	return args ? CUDA_ERROR_INVALID_VALUE : step(__func__, pid, CARD_CHECKPOINT);
}

SIM_EXPORT CUresult cuCheckpointProcessRestore(int pid, CUcheckpointRestoreArgs *args)
{
	return args ? CUDA_ERROR_INVALID_VALUE : step(__func__, pid, CARD_RESTORE);
}

SIM_EXPORT CUresult cuCheckpointProcessUnlock(int pid, CUcheckpointUnlockArgs *args)
{
	return args ? CUDA_ERROR_INVALID_VALUE : step(__func__, pid, CARD_UNLOCK);
}
