/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Strings that came from outside (process names, paths, symbols), made safe for one output. Valid UTF-8 passes; bytes that
 * are not valid UTF-8, C0 and C1 controls, DEL, bidi controls and other format characters (U+061C, U+200B..U+200F, U+2028..U+202E,
 * U+2060..U+206F, U+FEFF, U+FFF9..U+FFFB, U+E0000..U+E007F) do not reach the output raw.
 */
void escape_text(struct buf *buf, const char *string, size_t length); /* as \xHH per byte; backslash as \\ */
void escape_json(struct buf *buf, const char *string,
		 size_t length); /* body of a JSON string, no quotes; bad bytes as \ufffd,
                                                                       * controls and format characters as \uXXXX */
void escape_csv(struct buf *buf, const char *string,
		size_t length); /* one RFC 4180 field, quoted where needed, inner text as
                                                                       * escape_text; a leading = + - @, wide ones too, gets
                                                                       * a ' in front */

/*
 * In place, for a line that is put together already and may hold what nobody escaped: whatever must not reach the output becomes
 * blanks and question marks. Backslashes stay, so that what was escaped stays readable.
 */
void escape_defuse(char *text, size_t length);

bool escape_is_utf8(const char *string, size_t length);

#endif
