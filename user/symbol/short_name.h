/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYMBOL_SHORT_NAME_H
#define SYMBOL_SHORT_NAME_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A function's C++ name, as libstdc++ demangles it, for a line of text: its qualified name without return type, arguments, qualifiers, ABI
 * tags and clone suffixes. "void at::fill<float>(at::Tensor&) [clone .isra.0]" -> "at::fill<float>"; a lambda in f(int) -> "f::{lambda#1}".
 * Template arguments that are long, nested or functions become "<...>".
 * A pure function of its text, safe on any bytes, in time linear to their number. False: makes no sense of it, or the result with its
 * NUL is longer than bytes; ret is then undefined.
 */
#define SHORT_NAME_BYTES 512 /* room for any that a person would read */

bool short_name(const char *demangled, char *ret, size_t bytes);

#endif
