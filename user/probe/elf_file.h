/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_ELF_FILE_H
#define PROBE_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gelf.h>

/*
 * An open ELF file for probe/elf.c. libelf reads the headers; symbols, names and code are read in bounded parts, so that neither
 * a huge symbol table nor a file that shrinks meanwhile can do more than fail. Nothing is mapped.
 */

struct elf_table {
	uint64_t offset; /* in the file */
	uint64_t count;
	uint64_t names_offset;
	uint64_t names_bytes;
};

struct elf_file {
	int fd;
	Elf *elf;
	uint64_t bytes;
	size_t segments;
	bool x86_64;
	bool has_dynsym, has_symtab;
	struct elf_table dynsym, symtab;
};

/* Walks one symbol table, a chunk at a time. */
struct elf_symbols {
	const struct elf_file *file;
	const struct elf_table *table;
	uint64_t next;
	size_t filled, used;
	Elf64_Sym *chunk;
};

/* fd stays the caller's. 0, -ENOEXEC (not a 64-bit little-endian ELF file) or -errno. */
int elf_file_open(struct elf_file *file, int fd);
void elf_file_close(struct elf_file *file);

/* Exactly so many bytes at an offset. -ENOEXEC: not all of them are in the file. */
int elf_file_read(const struct elf_file *file, void *data, size_t bytes, uint64_t offset);

/* Virtual address to file offset and back, through executable PT_LOAD segments. False: in none. */
bool elf_file_offset(const struct elf_file *file, uint64_t address, uint64_t *ret);
bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *ret);

int elf_symbols_init(struct elf_symbols *symbols, const struct elf_file *file, const struct elf_table *table);
void elf_symbols_fini(struct elf_symbols *symbols);
int elf_symbols_next(struct elf_symbols *symbols, const Elf64_Sym **ret); /* 1, 0 at the end, or -errno */

#endif
