/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_ELF_MAKER_H
#define UNIT_ELF_MAKER_H

/*
 * A small ELF library in memory, made by hand so that every byte is known: one executable segment at virtual address
 * MADE_BASE + offset, a build id, .dynsym, .symtab and one .dynstr for both.
 */

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MADE_BASE 0x10000u
#define MADE_BYTES 4096u
#define MADE_SHDRS 0x080u /* after the file header: 6 sections end at 0x200 */
#define MADE_PHDRS 0x200u
#define MADE_NOTE 0x280u
#define MADE_TEXT 0x300u
#define MADE_TEXT_BYTES 0x200u
#define MADE_DYNSYM 0x500u
#define MADE_SYMTAB 0x800u
#define MADE_NAMES 0xb00u
#define MADE_NAMES_BYTES 0x500u
#define MADE_SYMBOLS_MAX 32u /* in each table */

struct made_elf {
	unsigned char bytes[MADE_BYTES];
	uint32_t dynsyms, symtabs; /* symbols so far, the empty first one included */
	uint32_t names;
};

static inline void made_put(struct made_elf *made, size_t offset, const void *data, size_t bytes)
{
	memcpy(made->bytes + offset, data, bytes);
}

static inline void made_section(struct made_elf *made, unsigned int i, uint32_t type, uint64_t offset, uint64_t bytes)
{
	Elf64_Shdr section = { .sh_type = type, .sh_offset = offset, .sh_size = bytes };

	if (type == SHT_DYNSYM || type == SHT_SYMTAB) {
		section.sh_entsize = sizeof(Elf64_Sym);
		section.sh_link = 3;
	}
	if (type == SHT_PROGBITS) {
		section.sh_addr = MADE_BASE + offset;
		section.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
	}
	made_put(made, MADE_SHDRS + i * sizeof(section), &section, sizeof(section));
}

/* Sections with the symbols so far: to be called again after the last symbol. */
static inline void made_sections(struct made_elf *made)
{
	made_section(made, 0, SHT_NULL, 0, 0);
	made_section(made, 1, SHT_DYNSYM, MADE_DYNSYM, made->dynsyms * sizeof(Elf64_Sym));
	made_section(made, 2, made->symtabs > 1 ? SHT_SYMTAB : SHT_NULL, MADE_SYMTAB,
		     made->symtabs * sizeof(Elf64_Sym));
	made_section(made, 3, SHT_STRTAB, MADE_NAMES, MADE_NAMES_BYTES);
	made_section(made, 4, SHT_PROGBITS, MADE_TEXT, MADE_TEXT_BYTES);
	made_section(made, 5, SHT_NOTE, MADE_NOTE, 36);
}

static inline void made_init(struct made_elf *made)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = MADE_PHDRS,
		.e_shoff = MADE_SHDRS,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 6,
	};
	Elf64_Phdr segments[2] = {
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R | PF_X,
		  .p_offset = MADE_TEXT,
		  .p_vaddr = MADE_BASE + MADE_TEXT,
		  .p_filesz = MADE_TEXT_BYTES,
		  .p_memsz = MADE_TEXT_BYTES },
		{ .p_type = PT_NOTE, .p_flags = PF_R, .p_offset = MADE_NOTE, .p_filesz = 36, .p_memsz = 36 },
	};
	Elf64_Nhdr note = { 4, 20, NT_GNU_BUILD_ID };

	memset(made, 0, sizeof(*made));
	made->dynsyms = made->symtabs = made->names = 1;
	made_put(made, 0, &header, sizeof(header));
	made_put(made, MADE_PHDRS, segments, sizeof(segments));
	made_put(made, MADE_NOTE, &note, sizeof(note));
	made_put(made, MADE_NOTE + 12, "GNU", 4);
	made_put(made, MADE_NOTE + 16, "01234567890123456789", 20);
	memset(made->bytes + MADE_TEXT, 0x55, MADE_TEXT_BYTES);
	made_sections(made);
}

/* address: from the start of the text. info: STT_FUNC and so on; the binding is global. */
static inline void made_symbol(struct made_elf *made, int dynamic, const char *name, unsigned char type, uint32_t at,
			       uint32_t size)
{
	Elf64_Sym symbol = {
		.st_name = made->names,
		.st_info = ELF64_ST_INFO(STB_GLOBAL, type),
		.st_shndx = 4,
		.st_value = MADE_BASE + MADE_TEXT + at,
		.st_size = size,
	};
	uint32_t *count = dynamic ? &made->dynsyms : &made->symtabs;

	made_put(made, (dynamic ? MADE_DYNSYM : MADE_SYMTAB) + *count * sizeof(symbol), &symbol, sizeof(symbol));
	made_put(made, MADE_NAMES + made->names, name, strlen(name) + 1);
	made->names += (uint32_t)strlen(name) + 1;
	++*count;
	made_sections(made);
}

static inline int made_fd(const void *bytes, size_t length)
{
	int fd = memfd_create("made", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, bytes, length) != (ssize_t)length) {
		close(fd);
		fd = -1;
	}
	return fd;
}

#endif
