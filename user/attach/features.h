/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_FEATURES_H
#define ATTACH_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

/* What this kernel can do, as the kernel itself says: each is asked for by a call that needs it. Versions are told, never compared. */
struct features {
	bool btf;	   /* types of the running kernel */
	bool ring_buffer;  /* BPF_MAP_TYPE_RINGBUF */
	bool task_storage; /* BPF_MAP_TYPE_TASK_STORAGE, and its use in a uprobe program */
	bool perf_uprobe;  /* uprobes as perf events, without tracefs */
	bool cookie;	   /* a number per link, seen by the program */
	bool uprobe_multi; /* one link for all probes of a file */
	bool return_probes;
	const char *return_probes_why; /* where there are none: what went wrong; else "" */
};

/*
 * without: enum attach_without, taken as not there. features_ask() loads a few tiny BPF programs and makes no probe: return_probes stays
 * false. features_detect() also tries return probes on a child of our own (selftest.h), and takes some tens of milliseconds to let
 * go of the probe. 0, or -errno where nothing can be asked (-EPERM: not allowed to use BPF).
 */
int features_ask(unsigned int without, struct features *ret_features);
int features_detect(unsigned int without, struct features *ret_features);

/* One line per feature, for people. */
struct feature {
	const char *name;    /* "uprobe_multi" */
	const char *text;    /* what it is, and for what */
	const char *since;   /* the kernel version that brought it: "6.6" */
	const char *instead; /* what is used where there is none; NULL: vramtrace does not run without it */
};
size_t feature_count(void);
const struct feature *feature_at(size_t i); /* i < feature_count() */
bool feature_is_there(const struct features *features, size_t i);

#endif
