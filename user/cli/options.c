/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <argp.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "attach/attach.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/status.h"
#include "probe/table.h"
#include "version.h"

const char *argp_program_version = "vramtrace " VRAMTRACE_VERSION;

#define INTERVAL_MIN_NS 10000000u
#define RING_BYTES (16u << 20)

enum {
	KEY_OUTPUT = 256,
	KEY_DURATION,
	KEY_LAYER,
	KEY_LIST_PROBES,
	KEY_JSON_SCHEMA,
	KEY_MIN_SIZE,
	KEY_KIND,
	KEY_STRICT,
	KEY_NO_FOLLOW,
	KEY_BYTES,
	KEY_COLOR,
	KEY_AS_ROOT,
	KEY_LIBRARY,
	KEY_RING_SIZE,
	KEY_QUIET,
	KEY_WITHOUT,
	KEY_MAP_ENTRIES,
};

static const struct argp_option argp_options[] = {
	{ NULL, 0, NULL, 0, "What to trace:", 1 },
	{ "pid", 'p', "PID[,PID]...", 0, "Running programs and what they start", 1 },
	{ "no-follow", KEY_NO_FOLLOW, NULL, 0, "Not what they start", 1 },
	{ "layer", KEY_LAYER, "both|driver|runtime", 0, "Libraries to probe: libcuda, libcudart or both (default)", 1 },
	{ "library", KEY_LIBRARY, "FILE", 0, "Probe this CUDA library too, whatever its place", 1 },
	{ "user", 'u', "USER", 0, "Run CMD as this user (default: who called sudo)", 1 },
	{ "as-root", KEY_AS_ROOT, NULL, 0, "Run CMD as root", 1 },
	{ NULL, 0, NULL, 0, "How long:", 2 },
	{ "duration", KEY_DURATION, "SEC", 0, "Stop after so many seconds (also 200ms, 5m, 2h)", 2 },
	{ NULL, 0, NULL, 0, "Output:", 3 },
	{ "format", 'o', "text|json|csv", 0, "Form of the output (default: text)", 3 },
	{ "output", KEY_OUTPUT, "FILE", 0, "Write it to a new file instead of stdout", 3 },
	{ "quiet", KEY_QUIET, NULL, 0, "Nothing on stdout: for -w, --strict or a command whose output matters", 3 },
	{ "min-size", KEY_MIN_SIZE, "SIZE", 0,
	  "Tell only of blocks of at least SIZE (totals count all): 4096, 64K, 1.5G", 3 },
	{ "kind", KEY_KIND, "KIND", 0,
	  "Tell only of this kind of memory: device, managed, pinned, pool, registered, array, vmm, imported or graph "
	  "(totals count all)",
	  3 },
	{ "bytes", KEY_BYTES, NULL, 0, "Exact bytes in text", 3 },
	{ "color", KEY_COLOR, "auto|always|never", 0, "Colours in text", 3 },
	{ NULL, 0, NULL, 0, "Recordings:", 4 },
	{ "record", 'w', "FILE", 0, "Keep all that is seen in a new file, for -r", 4 },
	{ "replay", 'r', "FILE", 0,
	  "Print a recording (- for stdin) as the run was, by any user; with the options of output, --strict and "
	  "INTERVAL",
	  4 },
	{ NULL, 0, NULL, 0, "Trust:", 5 },
	{ "strict", KEY_STRICT, NULL, 0, "Exit with status 3 if any data were lost", 5 },
	{ "ring-size", KEY_RING_SIZE, "SIZE", 0, "Ring buffer between kernel and tracer (default: 16M)", 5 },
	{ "verbose", 'v', NULL, 0, "Say more (-vv: what libbpf says, too)", 5 },
	{ NULL, 0, NULL, 0, "Information:", 6 },
	{ "list-probes", KEY_LIST_PROBES, NULL, 0, "Print the table of probed calls", 6 },
	{ "json-schema", KEY_JSON_SCHEMA, NULL, 0, "Print the schema of -o json", 6 },
	{ "without", KEY_WITHOUT, "FEATURE[,FEATURE]...", OPTION_HIDDEN, NULL, 6 },
	{ "map-entries", KEY_MAP_ENTRIES, "N", OPTION_HIDDEN, NULL, 6 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char argp_args[] =
	"-p PID[,PID]... [INTERVAL [COUNT]]\n-- CMD ARGS...\n[INTERVAL [COUNT]]\n-r FILE [INTERVAL [COUNT]]";

static const char argp_doc[] =
	"Traces every byte of CUDA memory that programs allocate, from outside of them.\v"
	"Without -p and CMD the whole machine is traced. One line per event as it happens, the ledger at the end; "
	"Ctrl-C is a "
	"normal end. With INTERVAL (seconds), the ledger every INTERVAL instead, COUNT times.\n\n"
	"  vramtrace -- python3 train.py      a program, from its first instruction\n"
	"  vramtrace -p 4711                  a running program\n"
	"  vramtrace -o json --output f.json  the whole machine, as JSON lines\n"
	"  vramtrace --quiet -w f.vramtrace   the whole machine, to be looked at later\n"
	"  vramtrace -r f.vramtrace           look at it\n"
	"  vramtrace doctor                   whether this machine can be traced, and how\n\n"
	"Exit status: 0, 1 failed, 2 usage, 3 data lost under --strict; with CMD its own (128+N for a signal, 126 or "
	"127 if it "
	"cannot start). More in vramtrace(8).";

static bool is_named(const struct options *options, long pid)
{
	for (size_t i = 0; i < options->pid_count; i++)
		if (options->pids[i] == pid)
			return true;
	return false;
}

static void parse_pids(struct argp_state *state, const char *text, struct options *options)
{
	const char *cursor = text;

	while (*cursor) {
		char *end;
		long pid;

		errno = 0;
		pid = strtol(cursor, &end, 10);
		if (errno || end == cursor || pid <= 0 || pid > INT32_MAX || (*end && *end != ',') || (*end && !end[1]))
			argp_error(state, "-p %s: expected process ids, like 4711 or 4711,4712", text);
		cursor = *end ? end + 1 : end;
		if (is_named(options, pid))
			continue;
		if (options->pid_count == OPTIONS_PIDS_MAX)
			argp_error(state, "-p: at most %d processes", OPTIONS_PIDS_MAX);
		options->pids[options->pid_count++] = (pid_t)pid;
	}
	if (!options->pid_count)
		argp_error(state, "-p: expected process ids, like 4711 or 4711,4712");
}

static void parse_layer(struct argp_state *state, const char *text, struct options *options)
{
	options->driver = !strcmp(text, "both") || !strcmp(text, "driver");
	options->runtime = !strcmp(text, "both") || !strcmp(text, "runtime");
	if (!options->driver && !options->runtime)
		argp_error(state, "--layer %s: expected both, driver or runtime", text);
}

static void parse_kind(struct argp_state *state, const char *text, struct options *options)
{
	for (int kind = VT_KIND_DEVICE; kind < VT_KIND_COUNT; kind++)
		if (!strcmp(text, kind_name(kind)))
			options->only_kind = kind;
	if (options->only_kind < 0)
		argp_error(
			state,
			"--kind %s: expected device, managed, pinned, pool, registered, array, vmm, imported or graph",
			text);
}

static void parse_format(struct argp_state *state, const char *text, struct options *options)
{
	if (strcmp(text, "text") && strcmp(text, "json") && strcmp(text, "csv"))
		argp_error(state, "-o %s: expected text, json or csv", text);
	options->format = text;
}

static void parse_color(struct argp_state *state, const char *text, struct options *options)
{
	if (!strcmp(text, "auto"))
		options->color = COLOR_AUTO;
	else if (!strcmp(text, "always"))
		options->color = COLOR_ALWAYS;
	else if (!strcmp(text, "never"))
		options->color = COLOR_NEVER;
	else
		argp_error(state, "--color %s: expected auto, always or never", text);
}

static void parse_ring_size(struct argp_state *state, const char *text, struct options *options)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) || bytes < 4096 || bytes > 1u << 30 || (bytes & (bytes - 1)))
		argp_error(state, "--ring-size %s: expected a power of two from 4K to 1G", text);
	options->ring_bytes = bytes;
}

static void parse_positional(struct argp_state *state, const char *text, struct options *options)
{
	char *end;

	if (state->arg_num == 0) {
		if (duration_parse(text, &options->interval_ns))
			argp_error(state,
				   "%s: expected INTERVAL in seconds; a command to trace goes after --, like: "
				   "vramtrace -- %s",
				   text, text);
		return;
	}
	errno = 0;
	options->count = strtoull(text, &end, 10);
	if (state->arg_num > 1 || errno || *end || end == text || *text == '-' || !options->count)
		argp_error(state, "%s: expected at most INTERVAL and a COUNT of at least 1", text);
}

int options_without(char *text, unsigned int *ret_bits)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} features[] = {
		{ "multi", ATTACH_WITHOUT_MULTI },
		{ "task_storage", ATTACH_WITHOUT_TASK_STORAGE },
		{ "return_probes", ATTACH_WITHOUT_RETURN_PROBES },
	};
	const char *name;

	*ret_bits = 0;
	while ((name = strsep(&text, ","))) {
		unsigned int bit = 0;

		for (size_t i = 0; i < ARRAY_SIZE(features); i++)
			if (!strcmp(name, features[i].name))
				bit = features[i].bit;
		if (!bit)
			return -EINVAL;
		*ret_bits |= bit;
	}
	return 0;
}

static void parse_map_entries(struct argp_state *state, const char *text, struct options *options)
{
	char *end;
	unsigned long entries = strtoul(text, &end, 10);

	if (*end || end == text || entries < 1 || entries > 1u << 22)
		argp_error(state, "--map-entries %s: expected a number from 1 to 4194304", text);
	options->map_entries = (uint32_t)entries;
}

/* A replay traces nothing: what says whom or how to trace was meant for another command line. */
static void check_replay(struct argp_state *state, const struct options *options)
{
	if (options->pid_count || options->command || options->library_count || options->record || options->duration_ns)
		argp_error(state,
			   "-r prints a recording: -p, -w, --library, --duration and a command do not go with it");
	if (!options->driver || !options->runtime || !options->follow || options->ring_bytes != RING_BYTES)
		argp_error(
			state,
			"-r prints a recording: --layer, --no-follow and --ring-size belong to the run that made it");
}

static void check(struct argp_state *state, const struct options *options)
{
	if (options->replay)
		check_replay(state, options);
	if (options->quiet && options->output)
		argp_error(state, "--quiet prints nothing: it does not go with --output");
	if (options->pid_count && options->command)
		argp_error(state, "-p and a command after -- do not go together");
	if ((options->user || options->as_root) && !options->command)
		argp_error(state, "-u and --as-root are for a command after --");
	if (options->user && options->as_root)
		argp_error(state, "-u and --as-root do not go together");
	if (options->interval_ns && options->interval_ns < INTERVAL_MIN_NS)
		argp_error(state, "INTERVAL: at least 0.01 seconds");
	if (options->interval_ns && !strcmp(options->format, "csv"))
		argp_error(state, "-o csv has no tables: leave INTERVAL out, or use text or json");
}

/* Options that only set a bool. */
static bool parse_flag(int key, struct options *options)
{
	static const struct {
		int key;
		size_t offset;
		bool value;
	} flags[] = {
		{ KEY_LIST_PROBES, offsetof(struct options, list_probes), true },
		{ KEY_JSON_SCHEMA, offsetof(struct options, json_schema), true },
		{ KEY_STRICT, offsetof(struct options, strict), true },
		{ KEY_NO_FOLLOW, offsetof(struct options, follow), false },
		{ KEY_QUIET, offsetof(struct options, quiet), true },
		{ KEY_BYTES, offsetof(struct options, exact_bytes), true },
		{ KEY_AS_ROOT, offsetof(struct options, as_root), true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (flags[i].key != key)
			continue;
		*(bool *)((char *)options + flags[i].offset) = flags[i].value;
		return true;
	}
	return false;
}

static void parse_library(struct argp_state *state, const char *text, struct options *options)
{
	if (!*text)
		argp_error(state, "--library: expected a file");
	if (options->library_count == OPTIONS_LIBRARIES_MAX)
		argp_error(state, "--library: at most %d files", OPTIONS_LIBRARIES_MAX);
	options->libraries[options->library_count++] = text;
}

/* Options that only keep a word. */
static bool parse_word(int key, const char *word, struct options *options)
{
	static const struct {
		int key;
		size_t offset;
	} words[] = {
		{ 'u', offsetof(struct options, user) },
		{ 'w', offsetof(struct options, record) },
		{ 'r', offsetof(struct options, replay) },
		{ KEY_OUTPUT, offsetof(struct options, output) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].key != key)
			continue;
		*(const char **)((char *)options + words[i].offset) = word;
		return true;
	}
	return false;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	if (parse_flag(key, options) || parse_word(key, arg, options))
		return 0;
	switch (key) {
	case 'p':
		parse_pids(state, arg, options);
		break;
	case 'o':
		parse_format(state, arg, options);
		break;
	case 'v':
		log_set_level(log_get_level() < LOG_DEBUG ? LOG_DEBUG : LOG_TRACE);
		break;
	case KEY_DURATION:
		if (duration_parse(arg, &options->duration_ns))
			argp_error(state, "--duration %s: expected a time like 10, 0.5, 200ms, 5m", arg);
		break;
	case KEY_LAYER:
		parse_layer(state, arg, options);
		break;
	case KEY_MIN_SIZE:
		if (size_parse(arg, &options->min_size))
			argp_error(state, "--min-size %s: expected a size like 4096, 64K or 1.5G", arg);
		break;
	case KEY_KIND:
		parse_kind(state, arg, options);
		break;
	case KEY_COLOR:
		parse_color(state, arg, options);
		break;
	case KEY_LIBRARY:
		parse_library(state, arg, options);
		break;
	case KEY_RING_SIZE:
		parse_ring_size(state, arg, options);
		break;
	case KEY_WITHOUT:
		if (options_without(arg, &options->without))
			argp_error(state, OPTIONS_WITHOUT_USAGE);
		break;
	case KEY_MAP_ENTRIES:
		parse_map_entries(state, arg, options);
		break;
	case ARGP_KEY_ARG:
		parse_positional(state, arg, options);
		break;
	case ARGP_KEY_END:
		check(state, options);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Takes `-- CMD ARGS` away from argp, which would mix its own options into it. Returns the length of what is left. */
static int split_command(int argc, char **argv, struct options *options)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		if (i + 1 < argc)
			options->command = argv + i + 1;
		return i;
	}
	return argc;
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct argp argp = { argp_options, parse_option, argp_args, argp_doc, NULL, NULL, NULL };
	int own_argc;

	*ret_options = (struct options) {
		.driver = true,
		.runtime = true,
		.follow = true,
		.only_kind = -1,
		.format = "text",
		.ring_bytes = RING_BYTES,
	};
	argp_err_exit_status = STATUS_USAGE;
	own_argc = split_command(argc, argv, ret_options);
	if (own_argc < argc && !ret_options->command) {
		log_err("expected a command after --");
		exit(STATUS_USAGE);
	}
	argp_parse(&argp, own_argc, argv, 0, NULL, ret_options);
}
