/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a name: what is shown of it is UTF-8 without anything that acts on a terminal, and its short form is in bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "symbol/short_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Safe is what has nothing left to defuse. */
static void check_safe(struct buf *buf)
{
	char *copy = malloc(buf->length + 1);

	if (!copy || buf->failed)
		abort();
	memcpy(copy, buf->length ? buf->data : "", buf->length);
	escape_defuse(copy, buf->length);
	if (!escape_is_utf8(copy, buf->length) || (buf->length && memcmp(copy, buf->data, buf->length) != 0))
		abort();
	free(copy);
	buf_clear(buf);
}

static void check_escapes(const char *name, size_t length)
{
	struct buf buf = BUF_INIT;

	escape_text(&buf, name, length);
	check_safe(&buf);
	escape_json(&buf, name, length);
	check_safe(&buf);
	escape_csv(&buf, name, length);
	check_safe(&buf);
	buf_fini(&buf);
}

static void check_short_name(const char *name, size_t bytes)
{
	char *shorter = malloc(bytes ? bytes : 1);

	if (!shorter)
		abort();
	if (short_name(name, shorter, bytes) && (!shorter[0] || strlen(shorter) >= bytes))
		abort();
	free(shorter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 1);

	if (!name)
		abort();
	memcpy(name, data, size);
	name[size] = '\0';
	check_short_name(name, SHORT_NAME_BYTES);
	check_short_name(name, size / 2);
	/* Without the NUL behind it, so that a sanitizer sees a read past the end. */
	name = realloc(name, size ? size : 1);
	if (!name)
		abort();
	check_escapes(name, size);
	free(name);
	return 0;
}
