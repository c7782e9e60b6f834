/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/cleanup.h"
#include "probe/elf.h"
#include "probe/elf_file.h"
#include "probe/table.h"

#define NOTES_BYTES_MAX 65536
#define NAMES_BYTES_MAX (16u << 20) /* of an export table we search whole; libcuda has 60 KiB */
#define CMP_BYTES 10		    /* of cmpl $imm32, disp32(%rip) */

/* Exported by the simulated CUDA of tests/sim. */
static const char marker[] = "vramtrace_simulated_cuda";

/* Whether the kernel emulates a probed instruction instead of single-stepping it (arch/x86/kernel/uprobes.c). */
static enum elf_first_insn classify(const unsigned char *code)
{
	if ((code[0] & 0xf8) == 0x50 || (code[0] == 0x41 && (code[1] & 0xf8) == 0x50))
		return ELF_INSN_EMULATED; /* push reg */
	if (code[0] == 0xe8 || code[0] == 0xe9 || code[0] == 0xeb || (code[0] & 0xf0) == 0x70)
		return ELF_INSN_EMULATED; /* call, jmp, short jcc */
	if (code[0] == 0x90 || (code[0] == 0x66 && code[1] == 0x90))
		return ELF_INSN_EMULATED;
	if (code[0] == 0x0f && (code[1] == 0x1f || (code[1] & 0xf0) == 0x80))
		return ELF_INSN_EMULATED; /* nopl, near jcc */
	if (code[0] == 0x66 && code[1] == 0x0f && code[2] == 0x1f)
		return ELF_INSN_EMULATED; /* nopw */
	return ELF_INSN_STEPPED;
}

static enum elf_first_insn first_insn(const struct elf_file *file, uint64_t offset)
{
	unsigned char code[4];

	if (!file->x86_64 || elf_file_read(file, code, sizeof(code), offset))
		return ELF_INSN_UNKNOWN;
	return classify(code);
}

/*
 * Where the probe of the function at offset goes. In NVIDIA's drivers 470 to 550 each call begins with a cmpl to memory and a
 * short jump: the kernel single-steps the one and emulates the other, before which registers and stack are still as the caller
 * left them. On the jump a hit costs less than half.
 */
static uint64_t probe_offset(const struct elf_file *file, uint64_t offset)
{
	unsigned char code[CMP_BYTES + 1];

	if (!file->x86_64 || elf_file_read(file, code, sizeof(code), offset))
		return offset;
	if (code[0] != 0x81 || code[1] != 0x3d || (code[CMP_BYTES] & 0xf0) != 0x70)
		return offset;
	return offset + CMP_BYTES;
}

/* Walks the notes of one segment. A build id longer than ours is cut: it is only compared with itself. */
static bool build_id_in(const char *notes, size_t bytes, struct elf_exports *ret)
{
	size_t at = 0;

	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, desc;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		if (note.n_namesz > bytes - name)
			return false;
		desc = name + (((size_t)note.n_namesz + 3) & ~(size_t)3);
		if (desc > bytes || note.n_descsz > bytes - desc)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(notes + name, "GNU", 4)) {
			ret->build_id_length = note.n_descsz < ELF_BUILD_ID_BYTES ? note.n_descsz : ELF_BUILD_ID_BYTES;
			memcpy(ret->build_id, notes + desc, ret->build_id_length);
			return true;
		}
		at = desc + (((size_t)note.n_descsz + 3) & ~(size_t)3);
		if (at > bytes)
			return false;
	}
	return false;
}

static int read_build_id(const struct elf_file *file, struct elf_exports *ret)
{
	for (size_t i = 0; i < file->segments; i++) {
		CLEANUP_FREE char *notes = NULL;
		GElf_Phdr segment;

		if (!gelf_getphdr(file->elf, (int)i, &segment) || segment.p_type != PT_NOTE)
			continue;
		if (!segment.p_filesz || segment.p_filesz > NOTES_BYTES_MAX)
			continue;
		notes = malloc(segment.p_filesz);
		if (!notes)
			return -ENOMEM;
		if (elf_file_read(file, notes, segment.p_filesz, segment.p_offset))
			continue;
		if (build_id_in(notes, segment.p_filesz, ret))
			break;
	}
	return 0;
}

/* Rows at one offset are one probe: the first row in the table's order stands for all. */
static void add_export(const struct elf_file *file, uint32_t row, uint64_t offset, struct elf_exports *exports)
{
	for (uint32_t i = 0; i < exports->count; i++) {
		if (exports->exports[i].offset == offset)
			return;
	}
	exports->exports[exports->count++] = (struct elf_export) {
		.offset = offset,
		.row = row,
		.first_insn = first_insn(file, offset),
	};
}

static int scan_dynsym(const struct elf_file *file, const char *names, enum vt_layer layer, struct elf_exports *exports)
{
	uint64_t offsets[VT_PROBE_COUNT];
	bool found[VT_PROBE_COUNT] = { false };
	struct elf_symbols symbols;
	const Elf64_Sym *symbol = NULL;
	int err = elf_symbols_init(&symbols, file, &file->dynsym);

	if (err)
		return err;
	while ((err = elf_symbols_next(&symbols, &symbol)) > 0) {
		int row;

		if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= file->dynsym.names_bytes)
			continue;
		if (!strcmp(names + symbol->st_name, marker))
			exports->simulated = 1;
		if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC)
			continue;
		row = probe_row_find(names + symbol->st_name);
		if (row >= 0 && probe_row((unsigned int)row)->layer == layer && !found[row])
			found[row] = elf_file_offset(file, symbol->st_value, &offsets[row]);
	}
	elf_symbols_fini(&symbols);
	for (uint32_t row = 0; !err && row < VT_PROBE_COUNT; row++) {
		if (found[row])
			add_export(file, row, probe_offset(file, offsets[row]), exports);
	}
	return err;
}

static int fill_exports(const struct elf_file *file, enum vt_layer layer, struct elf_exports *exports)
{
	CLEANUP_FREE char *names = NULL;
	int err = read_build_id(file, exports);

	if (err || !file->has_dynsym)
		return err;
	if (file->dynsym.names_bytes > NAMES_BYTES_MAX)
		return -ENOEXEC;
	names = malloc(file->dynsym.names_bytes + 1);
	if (!names)
		return -ENOMEM;
	err = elf_file_read(file, names, file->dynsym.names_bytes, file->dynsym.names_offset);
	if (err)
		return err;
	names[file->dynsym.names_bytes] = '\0';
	return scan_dynsym(file, names, layer, exports);
}

int elf_read_exports(int fd, enum vt_layer layer, struct elf_exports *ret)
{
	struct elf_exports exports;
	struct elf_file file;
	int err = elf_file_open(&file, fd);

	if (err)
		return err;
	memset(&exports, 0, sizeof(exports));
	err = fill_exports(&file, layer, &exports);
	elf_file_close(&file);
	if (!err)
		*ret = exports;
	return err;
}

/* How well a symbol explains an address; higher is better. */
enum fit {
	FIT_NONE,
	FIT_NEAREST, /* has no size, and is the nearest before the address in the same section */
	FIT_COVERS,
};

struct best {
	enum fit fit;
	uint64_t start;
	uint64_t name;
	const struct elf_table *table;
};

static bool same_section(const struct elf_file *file, const Elf64_Sym *symbol, uint64_t address)
{
	Elf_Scn *scn = elf_getscn(file->elf, symbol->st_shndx);
	GElf_Shdr section;

	return scn && gelf_getshdr(scn, &section) && address >= section.sh_addr &&
	       address - section.sh_addr < section.sh_size;
}

static enum fit judge(const struct elf_file *file, const Elf64_Sym *symbol, uint64_t address)
{
	unsigned int type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value > address || (type != STT_FUNC && type != STT_GNU_IFUNC))
		return FIT_NONE;
	if (symbol->st_size)
		return address - symbol->st_value < symbol->st_size ? FIT_COVERS : FIT_NONE;
	return same_section(file, symbol, address) ? FIT_NEAREST : FIT_NONE;
}

static int search_table(const struct elf_file *file, const struct elf_table *table, uint64_t address, struct best *best)
{
	struct elf_symbols symbols;
	const Elf64_Sym *symbol = NULL;
	int err = elf_symbols_init(&symbols, file, table);

	if (err)
		return err;
	while ((err = elf_symbols_next(&symbols, &symbol)) > 0) {
		enum fit fit = judge(file, symbol, address);

		if (fit == FIT_NONE || fit < best->fit || symbol->st_name >= table->names_bytes)
			continue;
		if (fit == best->fit && symbol->st_value <= best->start)
			continue;
		*best = (struct best) { fit, symbol->st_value, symbol->st_name, table };
	}
	elf_symbols_fini(&symbols);
	return err;
}

static int find_symbol(const struct elf_file *file, uint64_t address, struct best *best)
{
	int err = 0;

	if (file->has_symtab)
		err = search_table(file, &file->symtab, address, best);
	if (!err && best->fit != FIT_COVERS && file->has_dynsym)
		err = search_table(file, &file->dynsym, address, best);
	return err;
}

static int read_name(const struct elf_file *file, const struct best *best, char *ret)
{
	uint64_t left = best->table->names_bytes - best->name;
	size_t take = left < ELF_NAME_BYTES - 1 ? (size_t)left : ELF_NAME_BYTES - 1;
	int err = elf_file_read(file, ret, take, best->table->names_offset + best->name);

	if (err)
		take = 0;
	take = strnlen(ret, take);
	memset(ret + take, 0, ELF_NAME_BYTES - take);
	return err;
}

static int fill_place(const struct elf_file *file, uint64_t file_offset, struct elf_place *place)
{
	struct best best = { .fit = FIT_NONE };
	int err;

	if (!elf_file_address(file, file_offset, &place->offset))
		return -ENOENT;
	err = find_symbol(file, place->offset, &best);
	if (err || best.fit == FIT_NONE)
		return err;
	err = read_name(file, &best, place->symbol);
	if (!err && place->symbol[0])
		place->offset -= best.start;
	return err;
}

int elf_read_place(int fd, uint64_t file_offset, struct elf_place *ret)
{
	struct elf_place place;
	struct elf_file file;
	int err = elf_file_open(&file, fd);

	if (err)
		return err;
	memset(&place, 0, sizeof(place));
	err = fill_place(&file, file_offset, &place);
	elf_file_close(&file);
	if (!err)
		*ret = place;
	return err;
}
