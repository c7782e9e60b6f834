/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
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

struct place {
	uintptr_t address;
	uint64_t offset;
};

static int find_offset(struct dl_phdr_info *info, size_t bytes, void *ctx)
{
	struct place *place = ctx;

	(void)bytes;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || place->address < begin || place->address - begin >= segment->p_filesz)
			continue;
		place->offset = place->address - begin + segment->p_offset;
		return 1;
	}
	return 1; /* the program itself comes first, and is the only one asked */
}

/* Each target passes for a row of its own, of the driver's plain allocations. */
static bool is_plain(const struct probe_row *row)
{
	return row->layer == VT_LAYER_DRIVER && row->shape == VT_SHAPE_OUT_SIZE && row->op == VT_OP_ALLOC;
}

static void add_targets(struct elf_exports *exports)
{
	target_fn *const targets[] = { doctor_target_emulated, doctor_target_stepped };
	const struct probe_row *row;

	for (uint32_t id = 0; exports->count < ARRAY_SIZE(targets) && (row = probe_row(id)); id++) {
		struct place place = { .address = (uintptr_t)targets[exports->count] };

		if (!is_plain(row))
			continue;
		dl_iterate_phdr(find_offset, &place);
		if (!place.offset)
			return;
		exports->exports[exports->count++] = (struct elf_export) { .offset = place.offset, .row = id };
	}
}

static int probe_ourselves(struct attach *attach, struct diag *diag)
{
	CLEANUP_CLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct library self = { .path = NULL, .fd = fd, .layer = VT_LAYER_DRIVER };
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st))
		return diag_err(diag, -errno, "cannot open our own program: %s", strerror(errno));
	self.dev = st.st_dev;
	self.ino = st.st_ino;
	add_targets(&self.exports);
	if (!self.exports.count)
		return diag_err(diag, -ENOENT, "our own program has no place to probe");
	err = attach_add_process(attach, (uint32_t)getpid());
	if (err)
		return diag_err(diag, err, "cannot list our own process: %s", strerror(-err));
	return attach_library(attach, &self, diag);
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
