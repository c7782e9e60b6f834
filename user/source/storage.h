/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOURCE_STORAGE_H
#define SOURCE_STORAGE_H

#include <stdint.h>

#include "base/writer.h"

/*
 * The recorder's half on the writer's thread: puts whole frames into the file, and a head where a segment begins. A frame that could not be written
 * whole is taken out again where the file allows, its items are counted, and the next one is tried: a full disk may have room again.
 */
struct storage;

int storage_new(int fd, struct storage **ret_storage); /* fd: the file may be used up to storage_free. 0 or -errno */
void storage_free(void *storage);

/* A writer_output: data is whole frames. The first is the head, of which a copy is kept for the segments to come. */
int storage_write(void *storage, struct writer *writer, const char *data, size_t length);

/* From any thread, at any time. */
uint64_t storage_lost(struct storage *storage);	 /* items */
uint64_t storage_bytes(struct storage *storage); /* in the file */
int storage_error(struct storage *storage);	 /* 0, or the first -errno */

int storage_sync(struct storage *storage); /* when all is written: 0 or -errno; no error where a file has no fsync */

#endif
