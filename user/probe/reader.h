/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_READER_H
#define PROBE_READER_H

#include <stdint.h>

#include "base/diag.h"
#include "probe/elf.h"

/*
 * The confined child that reads ELF files for us: no new files, no network, no new processes (seccomp allow-list, installed
 * before the first byte of a foreign file is read), bounded memory and CPU time. It receives open descriptors over a socket and answers
 * with the structs of probe/elf.h. A child that dies or does not answer within 5 s costs that one answer; the next request
 * starts a new child. The child ends when its parent does, for whatever reason.
 */
struct reader;

int reader_new(struct reader **ret_reader, struct diag *diag);
void reader_free(struct reader *reader);

/* As elf_read_exports() and elf_read_place(); also -ETIMEDOUT, -EPIPE (the child died on this file). */
int reader_exports(struct reader *reader, int fd, enum vt_layer layer, struct elf_exports *ret);
int reader_place(struct reader *reader, int fd, uint64_t file_offset, struct elf_place *ret);

#endif
