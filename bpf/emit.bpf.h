/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Records into the ring: built by the caller, every byte set, handed over last. What does not fit is counted. */

#define WAKE_MIN_NS (1000 * 1000)

/* A thread is noisy when it makes more than so many records per window, for longer than a moment. */
#define NOISE_WINDOW_NS (100 * 1000 * 1000)
#define NOISE_RECORDS 32

/* What a thread has told. Its own, so that counting costs no other CPU anything. */
struct tally {
	__u64 produced; /* not yet in the state of its process */
	__u64 window_ns;
	__u32 records; /* of this window, and half of what was counted before it */
	__u32 pad;
};

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

/* The loss is its process' before it is in the totals: what the totals say can then be found there. */
static __always_inline void process_lose(__u32 tgid, enum vt_lost cause)
{
	struct vt_process_state *state = bpf_map_lookup_elem(&processes, &tgid);

	if (state)
		__sync_fetch_and_add(&state->lost[cause], 1);
}

#define LOSE(cause, field)                                                                                             \
	do {                                                                                                           \
		process_lose(bpf_get_current_pid_tgid() >> 32, cause);                                                 \
		COUNT(field);                                                                                          \
	} while (0)

/* Counts this record. */
static __always_inline bool is_noisy(struct tally *tally, __u64 now_ns)
{
	__u64 elapsed_ns = now_ns - tally->window_ns;

	if (elapsed_ns > NOISE_WINDOW_NS) {
		tally->records = elapsed_ns > 2ull * NOISE_WINDOW_NS ? 0 : tally->records / 2;
		tally->window_ns = now_ns;
	}
	if (tally->records < 4 * NOISE_RECORDS)
		tally->records++;
	return tally->records > 2 * NOISE_RECORDS;
}

/* The last part of the ring is not for those who filled the rest. */
static __always_inline bool is_refused(struct tally *tally, __u64 now_ns)
{
	return is_noisy(tally, now_ns) && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= settings.full_bytes;
}

/* header.kind, tgid, tid, time_ns and flags are the caller's; the record counts for tally. 0 or a negative error, counted. */
static __always_inline int emit(struct vt_header *header, __u32 length, struct tally *tally)
{
	struct vt_stats *here = stats_here();
	int err = -1;

	if (!here)
		return -1;
	header->length = length;
	header->version = VT_WIRE_VERSION;
	header->cpu = bpf_get_smp_processor_id();
	header->lost = here->lost_ring;
	__sync_fetch_and_add(&here->produced, 1);
	tally->produced++;
	if (!is_refused(tally, header->time_ns))
		err = bpf_ringbuf_output(&ring, header, length, wake_flags(header->time_ns));
	if (err) {
		process_lose(header->tgid, VT_LOST_RING);
		__sync_fetch_and_add(&here->lost_ring, 1);
	}
	return err;
}
