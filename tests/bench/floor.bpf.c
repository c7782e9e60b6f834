/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: what the kernel takes for an entry and a return probe that do nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("uprobe")
int floor_entry(void *ctx)
{
	(void)ctx;
	return 0;
}

SEC("uprobe")
int floor_return(void *ctx)
{
	(void)ctx;
	return 0;
}

char LICENSE[] SEC("license") = "Apache-2.0";
