/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Records into the ring: built by the caller, every byte set, handed over last. What does not fit is counted. */

#define WAKE_MIN_NS (1000 * 1000)

/*
 * When the reader was last woken. Plain loads and stores from all CPUs: a lost race costs one wake-up more or less. A wake-up
 * per record would cost several microseconds each, so there is one per window, or per millisecond when the ring
 * fills; the reader looks again by itself one window after each time it found something.
 */
static volatile __u64 last_wake_ns;

static __always_inline struct vt_stats *stats_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&stats, &zero);
}

/* Atomic, for a program can be preempted by another one on the same CPU. */
#define COUNT(field)                                                                                                   \
	do {                                                                                                           \
		struct vt_stats *here_ = stats_here();                                                                 \
		if (here_)                                                                                             \
			__sync_fetch_and_add(&here_->field, 1);                                                        \
	} while (0)

static __always_inline __u64 wake_flags(__u64 now_ns)
{
	__u64 elapsed_ns = now_ns - last_wake_ns;

	if ((__s64)elapsed_ns < (__s64)settings.wake_window_ns) {
		if ((__s64)elapsed_ns < WAKE_MIN_NS)
			return BPF_RB_NO_WAKEUP;
		if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < settings.wake_bytes)
			return BPF_RB_NO_WAKEUP;
	}
	last_wake_ns = now_ns;
	return BPF_RB_FORCE_WAKEUP;
}

/* header.kind, tgid, tid, time_ns and flags are the caller's. 0 or a negative error, counted. */
static __always_inline int emit(struct vt_header *header, __u32 length)
{
	struct vt_stats *here = stats_here();
	int err;

	if (!here)
		return -1;
	header->length = length;
	header->version = VT_WIRE_VERSION;
	header->cpu = bpf_get_smp_processor_id();
	header->lost = here->lost_ring;
	__sync_fetch_and_add(&here->produced, 1);
	err = bpf_ringbuf_output(&ring, header, length, wake_flags(header->time_ns));
	if (err)
		__sync_fetch_and_add(&here->lost_ring, 1);
	return err;
}
