/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DECODE_ARRIVALS_H
#define DECODE_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "vramtrace/config.h"
#include "vramtrace/wire.h"

/* The reader's own count of what arrived, per CPU and per process: against the producer's it shows whether every loss is known. */

#define ARRIVALS_ENDED_MAX 4096 /* kept with their figures; of more only whether they come out even */
#define ARRIVALS_LIVE_MAX 65536 /* more than live at a time are not counted */

struct arrivals_process {
	uint32_t tgid;
	bool ended;
	uint64_t start_ns; /* 0: not known */
	uint64_t delivered;
	uint64_t produced; /* when it has ended: as the producer says, like lost */
	uint64_t lost;
	char comm[17]; /* NUL-terminated, any other bytes; "" if unknown */
};

struct arrivals {
	uint64_t *cpus; /* delivered */
	uint32_t cpu_count;
	struct map live; /* tgid -> struct arrivals_process */
	struct arrivals_process *last;
	struct arrivals_process **ended; /* in the order of their ends */
	size_t ended_count;
	uint64_t forgotten; /* not kept: even, or their end was not seen */
	uint64_t uneven;    /* ended, not kept, and not even */
};

void arrivals_init(struct arrivals *arrivals);
void arrivals_fini(struct arrivals *arrivals);

/* A good record arrived. process: where it is one of process life, else NULL. */
void arrivals_record(struct arrivals *arrivals, const struct vt_header *header, const struct vt_process *process);

/* The end of a process as its state tells it; nothing happens if its EXIT arrived. Else that was lost too, and earlier ones may yet arrive. */
void arrivals_lost_exit(struct arrivals *arrivals, uint32_t tgid, const struct vt_process_state *state);

bool arrivals_is_even(const struct arrivals_process *process);

#endif
