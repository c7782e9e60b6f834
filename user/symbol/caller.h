/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_CALLER_H
#define SYMBOL_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/event.h"
#include "probe/mappings.h"
#include "probe/reader.h"

/*
 * Who called: the first frame of an event that lies outside the CUDA libraries (and outside a static runtime inside the
 * caller's own file), as module, symbol and offset. Works after the process is gone, for its mappings were noted when they were made.
 */
struct caller {
	const char *module;    /* path; raw bytes; NULL: no frame lies in a known executable mapping */
	const char *symbol;    /* as in the file; NULL: the module has none there */
	const char *demangled; /* the symbol's whole C++ name; NULL: none */
	uint64_t offset;       /* from the symbol; without symbol: the address as the module's own file counts */
	char *name; /* "libc10_cuda.so!c10::cuda::raw_alloc" for people and as by_caller key: basename!function (no offset; a C++ name as
	                     * short_name() makes it, which overloads share, else the symbol), basename+0x.. without symbol, "?" without
	                     * module; raw bytes */
	uint32_t id; /* dense, from 0; equal name <=> equal id */
};

struct callers;

/*
 * mappings: drained when a frame is not yet known; library news found on the way are kept for callers_next_library(). Both may be NULL.
 * With both NULL the events are of another time or machine: nothing but callers_load_process() looks into /proc.
 */
int callers_new(struct reader *reader, struct mappings *mappings, struct callers **ret_callers, struct diag *diag);
void callers_free(struct callers *callers);

/* Reads /proc/PID/maps of a process that was there before us. 0 or -errno. */
int callers_load_process(struct callers *callers, uint32_t tgid);

/* Takes all news from mappings. Call when mappings_fd() is readable. */
void callers_drain(struct callers *callers);

/* A new mapping of a file whose name is a CUDA library's, seen while draining: tgid, address range and path; false when there is none left. */
struct library_news {
	uint32_t tgid;
	uint64_t start;
	uint64_t end;
	char path[4096];
	uint64_t time_ns;
};
bool callers_next_library(struct callers *callers, struct library_news *ret_news);
uint64_t callers_libraries_lost(const struct callers *callers); /* such news dropped because 4096 were waiting */

/* Never NULL; the same object for the same place, valid until callers_free. tgid's image is the one at the event's time. */
const struct caller *callers_resolve(struct callers *callers, const struct event *event);

#endif
