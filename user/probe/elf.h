/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_ELF_H
#define PROBE_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vramtrace/probe.h"

/*
 * What we need to know of an ELF file. Runs inside the confined child of probe/reader.h (and directly in tests and fuzzing):
 * the file is hostile. Only 64-bit little-endian files. Everything is checked against the file's size; loops are bounded.
 */

#define ELF_BUILD_ID_BYTES 20
#define ELF_NAME_BYTES 1024	 /* the C++ library demangles nothing longer */
#define ELF_DEMANGLED_BYTES 4096 /* templates unfold */

enum elf_first_insn {
	ELF_INSN_UNKNOWN,
	ELF_INSN_EMULATED, /* nop, push reg, call/jmp: the kernel emulates it, the cheap class */
	ELF_INSN_STEPPED,  /* single-stepped out of line: about 0.5 us and more dearer per hit */
};

struct elf_export {
	uint64_t offset; /* in the file, of the probed instruction: the first, or the second where that is cheaper */
	uint32_t row;	 /* enum vt_probe */
	uint32_t first_insn; /* enum elf_first_insn of that instruction */
};

struct elf_exports {
	uint8_t build_id[ELF_BUILD_ID_BYTES];
	uint32_t build_id_length; /* 0: none */
	uint32_t simulated;	  /* exports the marker of tests/sim */
	uint32_t count;		  /* of exports; rows that share one offset are merged into the first */
	struct elf_export exports[VT_PROBE_COUNT];
};

struct elf_place {
	/* "" if no symbol covers the place; NUL-terminated, any other bytes; a longer name is cut */
	char symbol[ELF_NAME_BYTES];
	/* The symbol's C++ name; "" if it has none that fits. Filled in by the child of probe/reader.h, not by elf_read_place(). */
	char demangled[ELF_DEMANGLED_BYTES];
	uint64_t offset; /* from the symbol's start; without symbol: the virtual address in the file */
};

/* Rows of the layer that fd's file exports (functions, from .dynsym). 0; -ENOEXEC: no or a malformed ELF file; -errno. */
int elf_read_exports(int fd, enum vt_layer layer, struct elf_exports *ret);

/* The function symbol (.symtab, else .dynsym) that contains a file offset. 0, -ENOEXEC or -errno. */
int elf_read_place(int fd, uint64_t file_offset, struct elf_place *ret);

#endif
