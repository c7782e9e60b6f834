/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/self.h"
#include "cli/doctor_report.h"
#include "probe/table.h"

/*
 * Small enough for all records to fit into the ring, which nobody reads meanwhile. The median of the batches is told: it is a
 * machine at work that is measured.
 */
#define BATCHES 9
#define BATCH_CALLS 500
#define UNTRACED_CALLS 100000

/*
 * What is probed: allocations by their arguments, that store the size as the address. In assembly, for the first instruction is what
 * the cost depends on, and compilers put one of their own there (-fcf-protection).
 */
typedef int target_fn(void **out, size_t size);

#if defined(__x86_64__)
target_fn doctor_target_emulated, doctor_target_stepped;

__asm__(".pushsection .text\n"
	".balign 16\n"
	".type doctor_target_emulated, @function\n"
	"doctor_target_emulated:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	mov %rsi, (%rdi)\n"
	"	xor %eax, %eax\n"
	"	pop %rbp\n"
	"	ret\n"
	".size doctor_target_emulated, . - doctor_target_emulated\n"
	".balign 16\n"
	".type doctor_target_stepped, @function\n"
	"doctor_target_stepped:\n"
	"	xor %eax, %eax\n"
	"	mov %rsi, (%rdi)\n"
	"	ret\n"
	".size doctor_target_stepped, . - doctor_target_stepped\n"
	".popsection\n");
#else
static __attribute__((noinline)) int doctor_target_emulated(void **out, size_t size)
{
	*(void *volatile *)out = (void *)size;
	return 0;
}

static __attribute__((noinline)) int doctor_target_stepped(void **out, size_t size)
{
	*(void *volatile *)out = (void *)(size + 1);
	return 0;
}
#endif

/* Each target passes for a row of its own, of the driver's plain allocations. */
static bool is_plain(const struct probe_row *row)
{
	return row->layer == VT_LAYER_DRIVER && row->shape == VT_SHAPE_OUT_SIZE && row->op == VT_OP_ALLOC;
}

static int add_targets(struct library *self)
{
	target_fn *const targets[] = { doctor_target_emulated, doctor_target_stepped };
	struct elf_exports *exports = &self->exports;
	const struct probe_row *row;

	for (uint32_t id = 0; exports->count < ARRAY_SIZE(targets) && (row = probe_row(id)); id++) {
		uint64_t offset;
		int err;

		if (!is_plain(row))
			continue;
		cleanup_close(&self->fd);
		self->fd = -1;
		err = self_open((uintptr_t)targets[exports->count], &self->fd, &offset);
		if (err)
			return err;
		exports->exports[exports->count++] = (struct elf_export) { .offset = offset, .row = id };
	}
	return exports->count ? 0 : -ENOENT;
}

static int probe_ourselves(struct attach *attach, struct diag *diag)
{
	struct library self = { .path = NULL, .fd = -1, .layer = VT_LAYER_DRIVER };
	struct stat st;
	int err = add_targets(&self);

	if (err == -ESTALE)
		diag_err(diag, err, "started through the dynamic linker");
	else if (err)
		diag_err(diag, err, "our own program has no place to probe: %s", strerror(-err));
	if (!err && fstat(self.fd, &st))
		err = diag_err(diag, -errno, "cannot look at our own program: %s", strerror(errno));
	if (!err) {
		self.dev = st.st_dev;
		self.ino = st.st_ino;
		err = attach_add_process(attach, (uint32_t)getpid());
		if (err)
			diag_err(diag, err, "cannot list our own process: %s", strerror(-err));
	}
	if (!err)
		err = attach_library(attach, &self, diag);
	cleanup_close(&self.fd);
	return err;
}

/* Of this thread alone: probes are paid there, and what others take of the machine is not in it. */
static uint64_t spent_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t time_batch(target_fn *target, unsigned int calls)
{
	uint64_t begin_ns = spent_ns();
	void *block;

	for (unsigned int i = 0; i < calls; i++)
		target(&block, 4096);
	return (spent_ns() - begin_ns + calls / 2) / calls;
}

static int compare(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

static uint64_t time_calls(target_fn *target, unsigned int calls)
{
	uint64_t batches[BATCHES];

	for (size_t i = 0; i < BATCHES; i++)
		batches[i] = time_batch(target, calls);
	qsort(batches, BATCHES, sizeof(batches[0]), compare);
	return batches[BATCHES / 2];
}

void doctor_cost_measure(struct attach *attach, struct doctor_cost *ret_cost)
{
	struct vt_stats before = { 0 }, after = { 0 };
	struct doctor_cost cost = { .untraced_ns = time_calls(doctor_target_emulated, UNTRACED_CALLS) };

	if (!probe_ourselves(attach, &cost.diag)) {
		attach_read_stats(attach, &before);
		attach_enable(attach);
		cost.emulated_ns = time_calls(doctor_target_emulated, BATCH_CALLS);
		cost.stepped_ns = time_calls(doctor_target_stepped, BATCH_CALLS);
		attach_disable(attach);
		attach_read_stats(attach, &after);
		cost.calls = 2 * BATCHES * BATCH_CALLS;
		cost.counted = after.entered - before.entered;
	}
	*ret_cost = cost;
}
