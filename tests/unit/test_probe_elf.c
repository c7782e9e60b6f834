/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "elf_maker.h"
#include "probe/elf.h"
#include "probe/table.h"

#define REAL_RUNTIME "/usr/local/cuda/lib64/libcudart.so.13"

static int exports_of(const struct made_elf *made, enum vt_layer layer, struct elf_exports *ret)
{
	int fd = made_fd(made->bytes, sizeof(made->bytes));
	int err;

	assert_true(fd >= 0);
	err = elf_read_exports(fd, layer, ret);
	close(fd);
	return err;
}

static void place_of(const struct made_elf *made, uint32_t at, const char *symbol, uint64_t offset)
{
	int fd = made_fd(made->bytes, sizeof(made->bytes));
	struct elf_place place;

	assert_true(fd >= 0);
	assert_int_equal(elf_read_place(fd, MADE_TEXT + at, &place), 0);
	assert_string_equal(place.symbol, symbol);
	assert_int_equal(place.offset, offset);
	close(fd);
}

static const struct elf_export *find(const struct elf_exports *exports, uint32_t row)
{
	for (uint32_t i = 0; i < exports->count; i++) {
		if (exports->exports[i].row == row)
			return &exports->exports[i];
	}
	return NULL;
}

static void finds_rows_of_one_layer(void **state)
{
	struct made_elf made;
	struct elf_exports exports;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "cudaMalloc", STT_FUNC, 0x40, 16);
	made_symbol(&made, 1, "cuMemAlloc_v2", STT_FUNC, 0x50, 16);
	made_symbol(&made, 1, "cudaFree", STT_FUNC, 0x60, 0);
	made_symbol(&made, 1, "cudaNobody", STT_FUNC, 0x70, 16);
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.count, 2);
	assert_int_equal(find(&exports, VT_PROBE_cudaMalloc)->offset, MADE_TEXT + 0x40);
	assert_int_equal(find(&exports, VT_PROBE_cudaFree)->offset, MADE_TEXT + 0x60);
	assert_int_equal(exports.build_id_length, 20);
	assert_memory_equal(exports.build_id, "01234567890123456789", 20);
	assert_int_equal(exports.simulated, 0);
	assert_int_equal(exports_of(&made, VT_LAYER_DRIVER, &exports), 0);
	assert_int_equal(exports.count, 1);
	assert_int_equal(exports.exports[0].row, VT_PROBE_cuMemAlloc_v2);
}

static void takes_only_defined_functions(void **state)
{
	struct made_elf made;
	struct elf_exports exports;
	uint16_t undefined = SHN_UNDEF;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "cudaMalloc", STT_OBJECT, 0x40, 16);
	made_symbol(&made, 1, "cudaFree", STT_GNU_IFUNC, 0x50, 16);
	made_symbol(&made, 1, "cudaFreeHost", STT_FUNC, MADE_TEXT_BYTES, 16); /* outside the code */
	made_symbol(&made, 0, "cudaMallocHost", STT_FUNC, 0x60, 16);	      /* not exported */
	made_symbol(&made, 1, "cudaHostAlloc", STT_FUNC, 0x70, 16);
	made_put(&made, MADE_DYNSYM + (made.dynsyms - 1) * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_shndx),
		 &undefined, 2);
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.count, 0);
}

static void merges_rows_at_one_offset(void **state)
{
	struct made_elf made;
	struct elf_exports exports;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "cudaMallocAsync_ptsz", STT_FUNC, 0x40, 16);
	made_symbol(&made, 1, "cudaMallocAsync", STT_FUNC, 0x40, 16);
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.count, 1);
	assert_int_equal(exports.exports[0].row, VT_PROBE_cudaMallocAsync);
}

static void sees_the_marker(void **state)
{
	struct made_elf made;
	struct elf_exports exports;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "vramtrace_simulated_cuda", STT_OBJECT, 0x40, 4);
	made_symbol(&made, 1, "cudaFree", STT_FUNC, 0x50, 16);
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.simulated, 1);
	assert_int_equal(exports.count, 1);
}

static void classifies_first_instructions(void **state)
{
	static const struct {
		unsigned char code[4];
		enum elf_first_insn class;
	} cases[] = {
		{ { 0x55, 0x48, 0x89, 0xe5 }, ELF_INSN_EMULATED }, { { 0x41, 0x57, 0, 0 }, ELF_INSN_EMULATED },
		{ { 0x90, 0, 0, 0 }, ELF_INSN_EMULATED },	   { { 0x0f, 0x1f, 0x44, 0 }, ELF_INSN_EMULATED },
		{ { 0xe9, 0, 0, 0 }, ELF_INSN_EMULATED },	   { { 0xe8, 0, 0, 0 }, ELF_INSN_EMULATED },
		{ { 0xf3, 0x0f, 0x1e, 0xfa }, ELF_INSN_STEPPED },  { { 0x31, 0xc0, 0, 0 }, ELF_INSN_STEPPED },
		{ { 0x48, 0x83, 0xec, 8 }, ELF_INSN_STEPPED },	   { { 0x41, 0x89, 0, 0 }, ELF_INSN_STEPPED },
	};
	struct made_elf made;
	struct elf_exports exports;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		made_init(&made);
		made_symbol(&made, 1, "cudaMalloc", STT_FUNC, 0x40, 16);
		made_put(&made, MADE_TEXT + 0x40, cases[i].code, 4);
		assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
		assert_int_equal(exports.exports[0].first_insn, cases[i].class);
	}
}

static void probes_the_jump_after_a_compare_with_memory(void **state)
{
	static const struct {
		unsigned char code[12];
		uint64_t further;
	} cases[] = {
		{ { 0x81, 0x3d, 1, 2, 3, 4, 5, 6, 7, 8, 0x74, 0x0c }, 10 },
		{ { 0x81, 0x3d, 1, 2, 3, 4, 5, 6, 7, 8, 0x75, 0x0c }, 10 },
		{ { 0x81, 0x3d, 1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0x84 }, 0 }, /* not a short jump */
		{ { 0x83, 0x3d, 1, 2, 3, 4, 5, 6, 7, 8, 0x74, 0x0c }, 0 }, /* a shorter compare */
		{ { 0x81, 0x3c, 1, 2, 3, 4, 5, 6, 7, 8, 0x74, 0x0c }, 0 }, /* not relative to the code */
	};
	struct made_elf made;
	struct elf_exports exports;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		made_init(&made);
		made_symbol(&made, 1, "cudaMalloc", STT_FUNC, 0x40, 16);
		made_put(&made, MADE_TEXT + 0x40, cases[i].code, sizeof(cases[i].code));
		assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), 0);
		assert_int_equal(exports.exports[0].offset, MADE_TEXT + 0x40 + cases[i].further);
		assert_int_equal(exports.exports[0].first_insn,
				 cases[i].further ? ELF_INSN_EMULATED : ELF_INSN_STEPPED);
	}
}

static void refuses_other_files(void **state)
{
	struct made_elf made;
	struct elf_exports exports;
	struct elf_place place;
	int fd = made_fd("#!/bin/sh\n", 10);

	(void)state;
	assert_int_equal(elf_read_exports(fd, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	assert_int_equal(elf_read_place(fd, 0, &place), -ENOEXEC);
	close(fd);
	fd = made_fd("", 0);
	assert_int_equal(elf_read_exports(fd, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	close(fd);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(elf_read_exports(fd, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	close(fd);
	made_init(&made);
	made.bytes[EI_CLASS] = ELFCLASS32;
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	made_init(&made);
	made.bytes[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(exports_of(&made, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
}

static void output_is_set_only_on_success(void **state)
{
	struct elf_exports exports = { .count = 7 };
	int fd = made_fd("x", 1);

	(void)state;
	assert_int_equal(elf_read_exports(fd, VT_LAYER_RUNTIME, &exports), -ENOEXEC);
	assert_int_equal(exports.count, 7);
	close(fd);
}

static void places_prefer_symtab_and_coverage(void **state)
{
	struct made_elf made;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "exported", STT_FUNC, 0x40, 0x20);
	made_symbol(&made, 1, "only_exported", STT_FUNC, 0x100, 0x10);
	made_symbol(&made, 0, "sizeless", STT_FUNC, 0x20, 0);
	made_symbol(&made, 0, "outer", STT_FUNC, 0x40, 0x80);
	made_symbol(&made, 0, "inner", STT_FUNC, 0x50, 0x8);
	made_symbol(&made, 0, "data", STT_OBJECT, 0x50, 0x8);
	place_of(&made, 0x44, "outer", 4);
	place_of(&made, 0x54, "inner", 4);
	place_of(&made, 0x58, "outer", 0x18);
	place_of(&made, 0x104, "only_exported", 4);
	place_of(&made, 0x30, "sizeless", 0x10);
	place_of(&made, 0x1f0, "sizeless", 0x1d0);
	place_of(&made, 0x10, "", MADE_BASE + MADE_TEXT + 0x10);
}

static void places_outside_the_code(void **state)
{
	struct made_elf made;
	struct elf_place place;
	int fd;

	(void)state;
	made_init(&made);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	assert_int_equal(elf_read_place(fd, MADE_TEXT + MADE_TEXT_BYTES, &place), -ENOENT);
	assert_int_equal(elf_read_place(fd, UINT64_MAX, &place), -ENOENT);
	close(fd);
}

static void long_names_are_cut(void **state)
{
	struct elf_place place;
	struct made_elf made;
	char name[ELF_NAME_BYTES + 100];
	int fd;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	made_init(&made);
	made_symbol(&made, 0, name, STT_FUNC, 0x40, 0x20);
	fd = made_fd(made.bytes, sizeof(made.bytes));
	assert_int_equal(elf_read_place(fd, MADE_TEXT + 0x41, &place), 0);
	assert_int_equal(strlen(place.symbol), ELF_NAME_BYTES - 1);
	assert_int_equal(place.offset, 1);
	close(fd);
}

static void every_truncation_ends_well(void **state)
{
	struct elf_exports exports;
	struct elf_place place;
	struct made_elf made;

	(void)state;
	made_init(&made);
	made_symbol(&made, 1, "cudaMalloc", STT_FUNC, 0x40, 16);
	made_symbol(&made, 0, "name", STT_FUNC, 0x40, 16);
	for (size_t length = 0; length < sizeof(made.bytes); length += 8) {
		int fd = made_fd(made.bytes, length);
		int err = elf_read_exports(fd, VT_LAYER_RUNTIME, &exports);

		assert_true(err <= 0);
		/* The names lie at the end: without them, nothing can be found. */
		if (!err && length < MADE_NAMES)
			assert_int_equal(exports.count, 0);
		assert_true(elf_read_place(fd, MADE_TEXT + 0x44, &place) <= 0);
		close(fd);
	}
}

static void reads_the_real_runtime(void **state)
{
	int fd = open(REAL_RUNTIME, O_RDONLY | O_CLOEXEC);
	struct elf_exports exports;
	struct elf_place place;
	unsigned int rows = 0;

	(void)state;
	if (fd < 0) {
		print_message("SKIP: no %s\n", REAL_RUNTIME);
		skip();
	}
	for (unsigned int id = 0; id < VT_PROBE_COUNT; id++)
		rows += probe_row(id)->layer == VT_LAYER_RUNTIME;
	assert_int_equal(elf_read_exports(fd, VT_LAYER_RUNTIME, &exports), 0);
	assert_int_equal(exports.count, rows);
	assert_int_equal(exports.build_id_length, 20);
	assert_int_equal(exports.simulated, 0);
	for (uint32_t i = 0; i < exports.count; i++) {
		assert_int_equal(exports.exports[i].first_insn, ELF_INSN_EMULATED);
		assert_int_equal(elf_read_place(fd, exports.exports[i].offset + 1, &place), 0);
		assert_string_equal(place.symbol, probe_row(exports.exports[i].row)->symbol);
		assert_int_equal(place.offset, 1);
	}
	assert_int_equal(elf_read_exports(fd, VT_LAYER_DRIVER, &exports), 0);
	assert_int_equal(exports.count, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_rows_of_one_layer),
		cmocka_unit_test(takes_only_defined_functions),
		cmocka_unit_test(merges_rows_at_one_offset),
		cmocka_unit_test(sees_the_marker),
		cmocka_unit_test(classifies_first_instructions),
		cmocka_unit_test(probes_the_jump_after_a_compare_with_memory),
		cmocka_unit_test(refuses_other_files),
		cmocka_unit_test(output_is_set_only_on_success),
		cmocka_unit_test(places_prefer_symtab_and_coverage),
		cmocka_unit_test(places_outside_the_code),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(every_truncation_ends_well),
		cmocka_unit_test(reads_the_real_runtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
