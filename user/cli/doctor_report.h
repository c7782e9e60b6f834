/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DOCTOR_REPORT_H
#define CLI_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/attach.h"
#include "base/buf.h"
#include "cli/privilege.h"
#include "device/gpu.h"
#include "probe/library.h"

/*
 * What `vramtrace doctor` found out: filled in by the doctor_*.c of each concern, judged, then printed as text or JSON. It may be
 * shown to strangers: no environment, no command lines, no host name. Strings are raw, whoever prints them escapes; "" is what
 * could not be seen.
 */

/* The machine, and what we may do on it. */
struct doctor_system {
	char kernel[65];
	char architecture[65];
	char distribution[128];
	long processors;
	char lockdown[32];
	char unprivileged_bpf_disabled[16];
	char perf_event_paranoid[16];
	char seccomp[16]; /* of this process: "0" none, "1" strict, "2" filter */
	char no_new_privs[16];
	unsigned int uid;
	struct privilege privileges[PRIVILEGE_COUNT];
	bool initial_pid_ns;
	uint64_t memlock_bytes;	 /* UINT64_MAX: no limit */
	char nvidia_module[160]; /* as the module says it */
	char nvidia_version[32]; /* "580.159.04" */
	bool wsl;
	unsigned int mig_instances;
	unsigned int other_kernels; /* virtual machines and sandboxes running here */
};

/* One call of a function of our own with and without the probes of the real programs, nanoseconds; 0: not measured. */
struct doctor_cost {
	uint64_t untraced_ns;
	uint64_t emulated_ns;
	uint64_t stepped_ns;
	uint64_t calls;	  /* made under probes */
	uint64_t counted; /* by the programs in the kernel */
	struct diag diag; /* why not */
};

/* A CUDA library of the machine. */
struct doctor_file {
	char *path; /* as it was named */
	char *real; /* as the kernel names the open file; NULL: not opened */
	enum vt_layer layer;
	pid_t pid;  /* a process that has it mapped; 0: none known */
	bool named; /* by --library */
	bool bits32;
	bool attached;
	char version[32]; /* from the file's name */
	dev_t dev;
	ino_t ino;
	struct elf_exports exports;
	char *problem; /* NULL: none; a sentence, escaped */
};

struct doctor_report {
	struct doctor_system system;
	struct features features;
	int features_err; /* 0, or why they could not be asked */
	int load_err;	  /* of the BPF programs */
	struct diag load;
	bool entry_only;
	struct doctor_cost cost;
	struct doctor_file *files;
	size_t file_count;
	size_t files_left; /* found, and one too many to look at */
	struct gpus *gpus; /* NULL: no answer */
	struct diag gpus_diag;
	struct buf problems; /* why nothing can be traced; one a line, escaped */
	struct buf limits;   /* what will be missing; the same */
};

void doctor_system_read(struct doctor_system *ret_system);

/* Probes on our own file; counted as the only process. attach: loaded for listed processes. */
void doctor_cost_measure(struct attach *attach, struct doctor_cost *ret_cost);

/* attach NULL: they are only read. The files stay probed until attach_detach(). */
void doctor_files_find(struct doctor_report *report, struct attach *attach, const char *const *named,
		       size_t named_count);
void doctor_files_free(struct doctor_report *report);
bool doctor_file_has(const struct doctor_file *file, unsigned int row);

/* Things that vramtrace does not support, by name. */
struct doctor_unsupported {
	const char *name;
	const char *text; /* what it means where it is there */
	bool (*is_here)(const struct doctor_report *report);
};
size_t doctor_unsupported_count(void);
const struct doctor_unsupported *doctor_unsupported_at(size_t i);

size_t doctor_untraced_calls(void); /* of CUDA's memory calls, those that will be probed one day */

void doctor_judge(struct doctor_report *report);
const char *doctor_verdict(const struct doctor_report *report);			   /* "ready", "limited", "unable" */
void doctor_verdict_text(const struct doctor_report *report, struct buf *ret_buf); /* one line, without its end */

void doctor_print_text(const struct doctor_report *report, struct buf *ret_buf);
void doctor_print_json(const struct doctor_report *report, struct buf *ret_buf);

#endif
