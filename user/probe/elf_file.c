/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/elf_file.h"

#define SEGMENTS_MAX 512
#define SECTIONS_MAX 65536
#define CHUNK_SYMBOLS 4096

static bool elf_file_contains(const struct elf_file *file, uint64_t offset, uint64_t bytes)
{
	return offset <= file->bytes && bytes <= file->bytes - offset;
}

/* Bytes read; short only at the end of the file. */
static ssize_t read_at(int fd, void *data, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = pread(fd, (char *)data + done, bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int elf_file_read(const struct elf_file *file, void *data, size_t bytes, uint64_t offset)
{
	ssize_t n;

	if (!elf_file_contains(file, offset, bytes))
		return -ENOEXEC;
	n = read_at(file->fd, data, bytes, offset);
	if (n < 0)
		return (int)n;
	return (size_t)n == bytes ? 0 : -ENOEXEC;
}

/* The table that a section header describes; false if it makes no sense. */
static bool take_table(const struct elf_file *file, const GElf_Shdr *section, struct elf_table *ret)
{
	GElf_Shdr names;
	Elf_Scn *linked = elf_getscn(file->elf, section->sh_link);

	if (!linked || !gelf_getshdr(linked, &names) || names.sh_type != SHT_STRTAB)
		return false;
	if (section->sh_entsize != sizeof(Elf64_Sym) || !elf_file_contains(file, section->sh_offset, section->sh_size))
		return false;
	if (!elf_file_contains(file, names.sh_offset, names.sh_size))
		return false;
	*ret = (struct elf_table) {
		.offset = section->sh_offset,
		.count = section->sh_size / sizeof(Elf64_Sym),
		.names_offset = names.sh_offset,
		.names_bytes = names.sh_size,
	};
	return true;
}

static void find_tables(struct elf_file *file)
{
	size_t count = 0;

	if (elf_getshdrnum(file->elf, &count))
		return;
	for (size_t i = 1; i < count && i < SECTIONS_MAX; i++) {
		Elf_Scn *scn = elf_getscn(file->elf, i);
		GElf_Shdr section;

		if (!scn || !gelf_getshdr(scn, &section))
			continue;
		if (section.sh_type == SHT_DYNSYM && !file->has_dynsym)
			file->has_dynsym = take_table(file, &section, &file->dynsym);
		else if (section.sh_type == SHT_SYMTAB && !file->has_symtab)
			file->has_symtab = take_table(file, &section, &file->symtab);
	}
}

int elf_file_open(struct elf_file *file, int fd)
{
	struct stat st;
	GElf_Ehdr header;

	*file = (struct elf_file) { .fd = fd };
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	file->bytes = (uint64_t)st.st_size;
	elf_version(EV_CURRENT);
	file->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!file->elf || elf_kind(file->elf) != ELF_K_ELF || !gelf_getehdr(file->elf, &header))
		goto bad;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		goto bad;
	if (elf_getphdrnum(file->elf, &file->segments))
		goto bad;
	if (file->segments > SEGMENTS_MAX)
		file->segments = SEGMENTS_MAX;
	file->x86_64 = header.e_machine == EM_X86_64;
	find_tables(file);
	return 0;
bad:
	elf_end(file->elf);
	file->elf = NULL;
	return -ENOEXEC;
}

void elf_file_close(struct elf_file *file)
{
	elf_end(file->elf);
}

static bool code_segment(const struct elf_file *file, size_t i, GElf_Phdr *ret)
{
	return gelf_getphdr(file->elf, (int)i, ret) && ret->p_type == PT_LOAD && (ret->p_flags & PF_X) &&
	       elf_file_contains(file, ret->p_offset, ret->p_filesz);
}

bool elf_file_offset(const struct elf_file *file, uint64_t address, uint64_t *ret)
{
	GElf_Phdr segment;

	for (size_t i = 0; i < file->segments; i++) {
		if (!code_segment(file, i, &segment) || address < segment.p_vaddr ||
		    address - segment.p_vaddr >= segment.p_filesz)
			continue;
		*ret = address - segment.p_vaddr + segment.p_offset;
		return true;
	}
	return false;
}

bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *ret)
{
	GElf_Phdr segment;

	for (size_t i = 0; i < file->segments; i++) {
		if (!code_segment(file, i, &segment) || offset < segment.p_offset ||
		    offset - segment.p_offset >= segment.p_filesz)
			continue;
		*ret = offset - segment.p_offset + segment.p_vaddr;
		return true;
	}
	return false;
}

static size_t chunk_size(uint64_t symbols_left)
{
	return symbols_left < CHUNK_SYMBOLS ? (size_t)symbols_left : CHUNK_SYMBOLS;
}

int elf_symbols_init(struct elf_symbols *symbols, const struct elf_file *file, const struct elf_table *table)
{
	size_t room = chunk_size(table->count);

	*symbols = (struct elf_symbols) { .file = file, .table = table };
	symbols->chunk = malloc((room ? room : 1) * sizeof(*symbols->chunk));
	return symbols->chunk ? 0 : -ENOMEM;
}

void elf_symbols_fini(struct elf_symbols *symbols)
{
	free(symbols->chunk);
}

int elf_symbols_next(struct elf_symbols *symbols, const Elf64_Sym **ret)
{
	if (symbols->used == symbols->filled) {
		size_t take = chunk_size(symbols->table->count - symbols->next);
		int err;

		if (!take)
			return 0;
		err = elf_file_read(symbols->file, symbols->chunk, take * sizeof(Elf64_Sym),
				    symbols->table->offset + symbols->next * sizeof(Elf64_Sym));
		if (err)
			return err;
		symbols->next += take;
		symbols->filled = take;
		symbols->used = 0;
	}
	*ret = &symbols->chunk[symbols->used++];
	return 1;
}
