/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor OBJECT LIBRARY LAYER -- COMMAND...
 *
 * Runs COMMAND while every function of probes.def that LIBRARY exports in LAYER (driver, runtime) carries an empty entry and an
 * empty return probe, attached as two uprobe_multi links by file offset. Several OBJECT LIBRARY LAYER pairs are given by
 * repeating LIBRARY LAYER. Then prints to stderr: `floor: functions N attach_us A detach_us D`. Ends with COMMAND's status.
 * libbpf 1.1 has no uprobe_multi: the link is one bpf(2) call.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "vramtrace/probe.h"

#define ATTACH_TYPE_UPROBE_MULTI 48
#define MULTI_RETURN 1u
#define LIBRARIES_MAX 4

/* link_create.uprobe_multi of union bpf_attr, by the offsets of the kernel's ABI (6.6 and later). */
struct multi_link {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t link_flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t flags;
	uint32_t pid;
	uint32_t pad;
};
_Static_assert(offsetof(struct multi_link, path) == 16 && offsetof(struct multi_link, count) == 48, "bpf_attr");

static const struct {
	const char *symbol;
	enum vt_layer layer;
} rows[] = {
#define PROBE(symbol, layer, shape, op, kind) { #symbol, VT_LAYER_##layer },
#include "vramtrace/probes.def"
#undef PROBE
};

struct offsets {
	uint64_t values[VT_PROBE_COUNT];
	uint32_t count;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t to_file_offset(const Elf64_Ehdr *elf, uint64_t address)
{
	const Elf64_Phdr *segments = (const void *)((const char *)elf + elf->e_phoff);

	for (int i = 0; i < elf->e_phnum; i++) {
		const Elf64_Phdr *segment = &segments[i];

		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_filesz)
			return address - segment->p_vaddr + segment->p_offset;
	}
	return 0;
}

static int is_row(const char *symbol, enum vt_layer layer)
{
	for (size_t i = 0; i < VT_PROBE_COUNT; i++) {
		if (rows[i].layer == layer && strcmp(rows[i].symbol, symbol) == 0)
			return 1;
	}
	return 0;
}

static void collect(const Elf64_Ehdr *elf, const Elf64_Shdr *table, enum vt_layer layer, struct offsets *offsets)
{
	const Elf64_Shdr *sections = (const void *)((const char *)elf + elf->e_shoff);
	const Elf64_Sym *symbols = (const void *)((const char *)elf + table->sh_offset);
	const char *strings = (const char *)elf + sections[table->sh_link].sh_offset;

	for (size_t i = 0; i < table->sh_size / sizeof(*symbols); i++) {
		if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC || symbols[i].st_shndx == SHN_UNDEF)
			continue;
		if (is_row(strings + symbols[i].st_name, layer) && offsets->count < VT_PROBE_COUNT)
			offsets->values[offsets->count++] = to_file_offset(elf, symbols[i].st_value);
	}
}

/* Our own libraries and NVIDIA's, trusted: this is a benchmark. */
static void find_offsets(const char *path, enum vt_layer layer, struct offsets *offsets)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *elf;
	const Elf64_Shdr *sections;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	elf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (elf == MAP_FAILED)
		die(path);
	sections = (const void *)((const char *)elf + elf->e_shoff);
	for (int i = 0; i < elf->e_shnum; i++) {
		if (sections[i].sh_type == SHT_DYNSYM)
			collect(elf, &sections[i], layer, offsets);
	}
	munmap((void *)(uintptr_t)elf, (size_t)st.st_size);
	close(fd);
}

static int link_multi(int program, const char *path, const struct offsets *offsets, uint32_t flags)
{
	struct multi_link attr = { 0 };
	long fd;

	attr.prog_fd = (uint32_t)program;
	attr.attach_type = ATTACH_TYPE_UPROBE_MULTI;
	attr.path = (uintptr_t)path;
	attr.offsets = (uintptr_t)offsets->values;
	attr.count = offsets->count;
	attr.flags = flags;
	fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		die("BPF_LINK_CREATE");
	return (int)fd;
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object)
		die(path);
	bpf_object__for_each_program(program, object)
		bpf_program__set_expected_attach_type(program, ATTACH_TYPE_UPROBE_MULTI);
	if (bpf_object__load(object) != 0)
		die("load");
	return object;
}

static int program_fd(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	if (!program)
		die(name);
	return bpf_program__fd(program);
}

static int run_command(char **command)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		die(command[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct offsets offsets[LIBRARIES_MAX] = { 0 };
	int links[2 * LIBRARIES_MAX];
	uint64_t start, attached, ended;
	uint32_t functions = 0;
	struct bpf_object *object;
	int library_count = 0, link_count = 0, status, at;

	if (argc < 6)
		return fprintf(stderr, "usage: floor OBJECT (LIBRARY driver|runtime)... -- COMMAND...\n"), 2;
	for (at = 2; at + 1 < argc && strcmp(argv[at], "--") != 0 && library_count < LIBRARIES_MAX; at += 2) {
		enum vt_layer layer = strcmp(argv[at + 1], "driver") == 0 ? VT_LAYER_DRIVER : VT_LAYER_RUNTIME;

		find_offsets(argv[at], layer, &offsets[library_count]);
		functions += offsets[library_count++].count;
	}
	object = load(argv[1]);
	start = now_us();
	for (int i = 0; i < library_count; i++) {
		links[link_count++] = link_multi(program_fd(object, "floor_entry"), argv[2 + 2 * i], &offsets[i], 0);
		links[link_count++] =
			link_multi(program_fd(object, "floor_return"), argv[2 + 2 * i], &offsets[i], MULTI_RETURN);
	}
	attached = now_us() - start;
	status = run_command(argv + at + 1);
	start = now_us();
	for (int i = 0; i < link_count; i++)
		close(links[i]);
	ended = now_us() - start;
	fprintf(stderr, "floor: functions %u attach_us %llu detach_us %llu\n", functions, (unsigned long long)attached,
		(unsigned long long)ended);
	bpf_object__close(object);
	return status;
}
