/* SPDX-License-Identifier: Apache-2.0 */
/* A record as long as a call's with frames, into the one ring or into the ring of this CPU; how many did not fit. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define RECORD_BYTES 100
#define RINGS_MAX 64

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};

struct ring first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RINGS_MAX);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

struct record {
	__u64 words[(RECORD_BYTES + 7) / 8];
};

static __always_inline void count_lost(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &zero);

	if (count)
		*count += 1;
}

/* As bpf/ does it: built first, reserved last, no wake-up of its own. */
static __always_inline int produce(void *ring)
{
	struct record record = { { bpf_ktime_get_ns(), bpf_get_current_pid_tgid() } };

	if (!ring || bpf_ringbuf_output(ring, &record, RECORD_BYTES, BPF_RB_NO_WAKEUP))
		count_lost();
	return 0;
}

SEC("raw_tp/sys_enter")
int produce_nothing(void *ctx)
{
	(void)ctx;
	return 0;
}

SEC("raw_tp/sys_enter")
int produce_one(void *ctx)
{
	(void)ctx;
	return produce(&first);
}

SEC("raw_tp/sys_enter")
int produce_several(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id() % RINGS_MAX;

	(void)ctx;
	return produce(bpf_map_lookup_elem(&rings, &cpu));
}

char LICENSE[] SEC("license") = "Apache-2.0";
