/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol/short_name.h"

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

#define NESTING_MAX 128	      /* brackets inside brackets */
#define TEMPLATE_SHOWN_MAX 32 /* bytes of template arguments, with their brackets */
#define ANONYMOUS "(anonymous namespace)"

struct scan {
	const char *at; /* what is still to be read */
	char *out;
	size_t length; /* of out */
	size_t bytes;  /* room in out, with the NUL */
	bool failed;
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
	       (c & 0x80);
}

static void put(struct scan *scan, const char *text, size_t length)
{
	if (length >= scan->bytes - scan->length) {
		scan->failed = true;
		return;
	}
	memcpy(scan->out + scan->length, text, length);
	scan->length += length;
}

static void take(struct scan *scan, size_t length)
{
	put(scan, scan->at, length);
	scan->at += length;
}

/* The name so far ends with this word. */
static bool ends_with_word(const struct scan *scan, const char *word)
{
	size_t length = strlen(word);

	if (scan->length < length || memcmp(scan->out + scan->length - length, word, length) != 0)
		return false;
	return scan->length == length || !is_word(scan->out[scan->length - length - 1]);
}

static char closing(char open)
{
	switch (open) {
	case '(':
		return ')';
	case '<':
		return '>';
	case '[':
		return ']';
	case '{':
		return '}';
	default:
		return '\0';
	}
}

/* "operator<" and the like inside brackets: their own characters, which are no brackets. 0: none begins here. */
static size_t operator_length(const char *text)
{
	/* The longer first where one begins with another. */
	static const char *const signs[] = {
		"()", "[]", "<=>", "->*", "<<=", ">>=", "<<", ">>", "<=", ">=", "==", "!=", "&&",
		"||", "++", "--",  "+=",  "-=",	 "*=",	"/=", "%=", "^=", "&=", "|=", "->", "+",
		"-",  "*",  "/",   "%",	  "^",	 "&",	"|",  "~",  "!",  "=",	"<",  ">",  ",",
	};
	size_t word = sizeof("operator") - 1;

	if (!begins(text, "operator") || is_word(text[word]))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (begins(text + word, signs[i]))
			return word + strlen(signs[i]);
	}
	return word;
}

/* A '<' or '>' that compares, shifts or points: only expressions have them, and those put their operands in brackets. */
static bool is_comparison(const char *text, char before, char wanted)
{
	if (*text == '<')
		return before == ')' || before == '<' || text[1] == '<' || text[1] == '=';
	return *text == '>' && (before == '-' || wanted != '>');
}

/* Bytes of the group that begins with a bracket, to its other bracket. 0: it has none. */
static size_t group_length(const char *text)
{
	char wanted[NESTING_MAX] = { closing(*text) };
	size_t depth = 1;
	char before = *text;

	for (const char *at = text + 1; *at; before = *at++) {
		size_t skip = is_word(before) ? 0 : operator_length(at);
		char close = closing(*at);

		if (skip) {
			at += skip - 1;
			if (at[1] != '<' || depth == NESTING_MAX)
				continue;
			wanted[depth++] = '>'; /* of the operator's template arguments */
			at++;
			continue;
		}
		if (is_comparison(at, before, wanted[depth - 1]))
			continue;
		if (close && depth == NESTING_MAX)
			return 0;
		if (close)
			wanted[depth++] = close;
		else if (*at == wanted[depth - 1])
			depth--;
		else if (*at == ')' || *at == ']' || *at == '}')
			return 0;
		if (depth == 0)
			return (size_t)(at - text) + 1;
	}
	return 0;
}

static size_t group(struct scan *scan)
{
	size_t length = group_length(scan->at);

	if (!length)
		scan->failed = true;
	return length;
}

static void take_template(struct scan *scan)
{
	size_t length = group(scan);

	if (!length)
		return;
	if (length > TEMPLATE_SHOWN_MAX || memchr(scan->at + 1, '<', length - 1) || memchr(scan->at, '(', length))
		put(scan, "<...>", 5);
	else
		put(scan, scan->at, length);
	scan->at += length;
}

/* "{lambda(int)#1}" without the arguments; "{unnamed type#1}" as it is. */
static void take_braces(struct scan *scan)
{
	size_t length = group(scan), head = length, tail = length;

	if (!length)
		return;
	for (size_t i = 0; i < length && head == length; i++) {
		if (scan->at[i] == '(' || scan->at[i] == '<')
			head = i;
	}
	while (head < length && tail > head && scan->at[tail - 1] != '#')
		tail--;
	put(scan, scan->at, head);
	if (head < length)
		put(scan, tail > head ? scan->at + tail - 1 : "}", tail > head ? length - tail + 1 : 1);
	scan->at += length;
}

/* What an operator converts to: up to the arguments. */
static void take_conversion(struct scan *scan)
{
	while (!scan->failed && *scan->at && *scan->at != '(') {
		if (*scan->at == '<')
			take_template(scan);
		else
			take(scan, 1);
	}
}

static void take_operator(struct scan *scan)
{
	static const char *const words[] = { " new[]", " new", " delete[]", " delete", " co_await" };
	size_t word = sizeof("operator") - 1;
	size_t length = operator_length(scan->at);

	if (length > word) {
		take(scan, length);
		if (begins(scan->at, " <")) /* "operator< <int>": not the end of a return type */
			take(scan, 1);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t more = strlen(words[i]);

		if (begins(scan->at + word, words[i]) && !is_word(scan->at[word + more])) {
			take(scan, word + more);
			return;
		}
	}
	take(scan, word);
	if (begins(scan->at, "\"\" ")) /* a literal's: operator"" _mb */
		take(scan, 3);
	else if (*scan->at == ' ')
		take_conversion(scan);
}

/* Behind the arguments of a function: does something that lies in it follow? Then it is next. */
static bool skip_to_inner(struct scan *scan)
{
	static const char *const words[] = { " const", " volatile", " &&", " &", " noexcept", " [clone " };
	const char *at = scan->at;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!begins(at, words[i]))
			continue;
		at += strlen(words[i]);
		i = (size_t)-1;
	}
	if (!begins(at, "::"))
		return false;
	scan->at = at;
	return true;
}

/* Whatever was taken so far was the return type, or a part of it. */
static void forget(struct scan *scan)
{
	scan->length = 0;
	scan->at++;
}

/* False: the name is complete. */
static bool take_parenthesis(struct scan *scan)
{
	size_t length;

	if (begins(scan->at, ANONYMOUS)) {
		take(scan, sizeof(ANONYMOUS) - 1);
		return true;
	}
	if (scan->length == 0) { /* "void (*f(int))(char)": f returns a pointer to a function */
		scan->at++;
		return true;
	}
	length = group(scan);
	scan->at += length;
	if (ends_with_word(scan, "decltype") || ends_with_word(scan, "__vector"))
		return true;
	return skip_to_inner(scan);
}

/* False: the name is complete. */
static bool step(struct scan *scan)
{
	bool fresh = scan->length == 0 || !is_word(scan->out[scan->length - 1]);

	if (fresh && operator_length(scan->at)) {
		take_operator(scan);
		return true;
	}
	switch (*scan->at) {
	case '\0':
	case ')':
		return false;
	case '(':
		return take_parenthesis(scan);
	case '<':
		take_template(scan);
		return true;
	case '{':
		take_braces(scan);
		return true;
	case '[':
		scan->at += group(scan); /* an ABI tag */
		return true;
	case ' ':
		if (begins(scan->at, " [clone "))
			return false;
		if (ends_with_word(scan, "decltype") && scan->at[1] == '(') {
			scan->at++;
			return true;
		}
		forget(scan);
		return true;
	case '*':
	case '&':
		forget(scan);
		return true;
	case '>':
	case ']':
	case '}':
	case ',':
		scan->failed = true;
		return false;
	default:
		take(scan, 1);
		return true;
	}
}

bool short_name(const char *demangled, char *ret, size_t bytes)
{
	struct scan scan = { .at = demangled, .out = ret, .bytes = bytes };

	if (bytes == 0)
		return false;
	while (!scan.failed && step(&scan))
		;
	ret[scan.length] = '\0';
	return !scan.failed && scan.length > 0;
}
