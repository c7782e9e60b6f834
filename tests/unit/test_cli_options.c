/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "attach/attach.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/status.h"
#include "vramtrace/probe.h"

#define WORDS_MAX 16
#define TEXT_BYTES 16384
#define PARSED 42 /* exit status of a child in which options_parse() returned */

/* A command line cut at spaces; `''` is an empty word. Valid until the next one. */
static int cut(const char *line, char **ret_argv)
{
	static char words[512];
	char *rest = words;
	int argc = 0;

	snprintf(words, sizeof(words), "vramtrace %s", line);
	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
		assert_true(argc < WORDS_MAX);
		if (*word)
			ret_argv[argc++] = strcmp(word, "''") ? word : word + 2;
	}
	ret_argv[argc] = NULL;
	return argc;
}

static const struct options *parse(const char *line)
{
	static struct options options;
	static char *argv[WORDS_MAX + 1];

	options_parse(cut(line, argv), argv, &options);
	return &options;
}

/* Parses in a child, for that may end. Returns its exit status and what it wrote to one of its outputs. */
static int end_of(int argc, char **argv, int output_fd, char ret_text[TEXT_BYTES])
{
	int ends[2], other, status = 0;
	size_t length = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct options options;

		other = output_fd == STDOUT_FILENO ? STDERR_FILENO : STDOUT_FILENO;
		dup2(ends[1], output_fd);
		close(other);
		close(ends[0]);
		close(ends[1]);
		options_parse(argc, argv, &options);
		_exit(PARSED);
	}
	close(ends[1]);
	while ((got = read(ends[0], ret_text + length, TEXT_BYTES - 1 - length)) > 0)
		length += (size_t)got;
	ret_text[length] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int end_of_line(const char *line, int output_fd, char ret_text[TEXT_BYTES])
{
	char *argv[WORDS_MAX + 1];

	return end_of(cut(line, argv), argv, output_fd, ret_text);
}

static void questions_end_well(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "--help", "--ring-size" },   { "-?", "Exit status" }, { "--usage", "Usage: vramtrace" },
		{ "--version", "vramtrace " }, { "-V", "vramtrace " },	{ "-p 1 --help", "What to trace" },
	};
	char text[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (end_of_line(cases[i].line, STDOUT_FILENO, text) != STATUS_OK || !strstr(text, cases[i].part))
			fail_msg("%s: %s", cases[i].line, text);
	}
}

static void bad_usage_is_told(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{ "--frobnicate", "--frobnicate" },
		{ "-p", "-- 'p'" },
		{ "-p abc", "-p abc: expected process ids" },
		{ "-p 0", "-p 0: expected process ids" },
		{ "-p -4", "-p -4: expected process ids" },
		{ "-p 1,", "-p 1,: expected process ids" },
		{ "-p 1,,2", "-p 1,,2: expected process ids" },
		{ "-p 4294967297", "-p 4294967297: expected process ids" },
		{ "-p ''", "-p: expected process ids" },
		{ "--layer gpu", "--layer gpu: expected both, driver or runtime" },
		{ "--kind any", "--kind any: expected device" },
		{ "-o xml", "-o xml: expected text, json or csv" },
		{ "--color blue", "--color blue: expected auto" },
		{ "--min-size many", "--min-size many: expected a size" },
		{ "--duration soon", "--duration soon: expected a time" },
		{ "--duration 0", "--duration 0: expected a time" },
		{ "--ring-size 5000", "--ring-size 5000: expected a power of two" },
		{ "--ring-size 2048", "--ring-size 2048: expected a power of two" },
		{ "--ring-size 2G", "--ring-size 2G: expected a power of two" },
		{ "--library ''", "--library: expected a file" },
		{ "python3", "python3: expected INTERVAL in seconds; a command to trace goes after --" },
		{ "0.001", "INTERVAL: at least 0.01 seconds" },
		{ "1 0", "0: expected at most INTERVAL and a COUNT" },
		{ "1 -- ", "expected a command after --" },
		{ "1 2x", "2x: expected at most INTERVAL and a COUNT" },
		{ "1 2 3", "3: expected at most INTERVAL and a COUNT" },
		{ "-p 1 -- true", "-p and a command after -- do not go together" },
		{ "-u nobody", "-u and --as-root are for a command" },
		{ "--as-root", "-u and --as-root are for a command" },
		{ "-u nobody --as-root -- true", "-u and --as-root do not go together" },
		{ "-o csv 1", "-o csv has no tables" },
		{ "--", "expected a command after --" },
	};
	char text[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = end_of_line(cases[i].line, STDERR_FILENO, text);

		if (status != STATUS_USAGE || !strstr(text, cases[i].part))
			fail_msg("%s: %d: %s", cases[i].line, status, text);
	}
}

/* `first,first+1,...` */
static char *pid_list(unsigned int count)
{
	char *list = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&list, &length);

	assert_non_null(file);
	for (unsigned int i = 1; i <= count; i++)
		fprintf(file, i > 1 ? ",%u" : "%u", i);
	assert_int_equal(fclose(file), 0);
	return list;
}

static void lists_have_an_end(void **state)
{
	CLEANUP_FREE char *pids = pid_list(OPTIONS_PIDS_MAX), *pids_more = NULL;
	char *argv[2 * OPTIONS_LIBRARIES_MAX + 4] = { (char *)"vramtrace", (char *)"-p", pids };
	char text[TEXT_BYTES];
	int argc = 1;

	(void)state;
	assert_int_equal(end_of(3, argv, STDERR_FILENO, text), PARSED);
	pids_more = pid_list(OPTIONS_PIDS_MAX + 1);
	argv[2] = pids_more;
	assert_int_equal(end_of(3, argv, STDERR_FILENO, text), STATUS_USAGE);
	assert_non_null(strstr(text, "-p: at most 1024 processes"));
	free(pids_more);
	pids_more = NULL;
	for (int i = 0; i < OPTIONS_LIBRARIES_MAX; i++) {
		argv[argc++] = (char *)"--library";
		argv[argc++] = (char *)"/x/libcuda.so";
	}
	argv[argc] = NULL;
	assert_int_equal(end_of(argc, argv, STDERR_FILENO, text), PARSED);
	argv[argc++] = (char *)"--library=/y";
	argv[argc] = NULL;
	assert_int_equal(end_of(argc, argv, STDERR_FILENO, text), STATUS_USAGE);
	assert_non_null(strstr(text, "--library: at most 64 files"));
}

static void nothing_said_is_the_whole_machine(void **state)
{
	const struct options *options = parse("");

	(void)state;
	assert_int_equal(options->pid_count, 0);
	assert_null(options->command);
	assert_int_equal(options->library_count, 0);
	assert_true(options->driver && options->runtime && options->follow);
	assert_false(options->strict || options->exact_bytes || options->as_root);
	assert_false(options->list_probes || options->json_schema);
	assert_int_equal(options->duration_ns, 0);
	assert_int_equal(options->interval_ns, 0);
	assert_int_equal(options->count, 0);
	assert_int_equal(options->ring_bytes, 16 << 20);
	assert_string_equal(options->format, "text");
	assert_null(options->output);
	assert_null(options->user);
	assert_int_equal(options->min_size, 0);
	assert_int_equal(options->only_kind, -1);
	assert_int_equal(options->color, COLOR_AUTO);
}

static void processes_and_tables(void **state)
{
	const struct options *options = parse("-p 7,8 --pid=7 -p 9 --no-follow 0.5 3");

	(void)state;
	assert_int_equal(options->pid_count, 3);
	assert_int_equal(options->pids[0], 7);
	assert_int_equal(options->pids[1], 8);
	assert_int_equal(options->pids[2], 9);
	assert_false(options->follow);
	assert_int_equal(options->interval_ns, 500000000);
	assert_int_equal(options->count, 3);
	assert_int_equal(parse("2 -p 7")->interval_ns, 2000000000);
}

static void a_command_keeps_its_own_options(void **state)
{
	const struct options *options = parse("--strict -u nobody -- prog --help -o json -- -p 1");

	(void)state;
	assert_true(options->strict);
	assert_string_equal(options->user, "nobody");
	assert_string_equal(options->format, "text");
	assert_int_equal(options->pid_count, 0);
	assert_string_equal(options->command[0], "prog");
	assert_string_equal(options->command[1], "--help");
	assert_string_equal(options->command[3], "json");
	assert_string_equal(options->command[4], "--");
	assert_string_equal(options->command[6], "1");
	assert_null(options->command[7]);
	assert_true(parse("--as-root -- prog")->as_root);
}

static void what_to_tell(void **state)
{
	const struct options *options =
		parse("-o json --output f.json --min-size 64K --kind managed --bytes --color never --duration 200ms");

	(void)state;
	assert_string_equal(options->format, "json");
	assert_string_equal(options->output, "f.json");
	assert_int_equal(options->min_size, 65536);
	assert_int_equal(options->only_kind, VT_KIND_MANAGED);
	assert_true(options->exact_bytes);
	assert_int_equal(options->color, COLOR_NEVER);
	assert_int_equal(options->duration_ns, 200000000);
	assert_int_equal(parse("--color=always")->color, COLOR_ALWAYS);
	assert_int_equal(parse("--kind device")->only_kind, VT_KIND_DEVICE);
	assert_int_equal(parse("--kind pool")->only_kind, VT_KIND_POOL);
	assert_true(parse("--list-probes")->list_probes);
	assert_true(parse("--json-schema")->json_schema);
}

static void what_to_probe(void **state)
{
	const struct options *options = parse("--layer driver --library /a --library=/b --ring-size 4K");

	(void)state;
	assert_true(options->driver);
	assert_false(options->runtime);
	assert_int_equal(options->library_count, 2);
	assert_string_equal(options->libraries[0], "/a");
	assert_string_equal(options->libraries[1], "/b");
	assert_int_equal(options->ring_bytes, 4096);
	options = parse("--layer runtime --ring-size 1G");
	assert_false(options->driver);
	assert_true(options->runtime);
	assert_int_equal(options->ring_bytes, 1 << 30);
}

static void recordings(void **state)
{
	const struct options *options = parse("--quiet -w new.vramtrace -- prog");

	(void)state;
	assert_true(options->quiet);
	assert_string_equal(options->record, "new.vramtrace");
	assert_null(options->replay);
	options = parse("-r old.vramtrace -o json --strict 5 2");
	assert_string_equal(options->replay, "old.vramtrace");
	assert_null(options->record);
	assert_int_equal(options->interval_ns, 5000000000);
	assert_int_equal(options->count, 2);
	assert_string_equal(parse("--replay=-")->replay, "-");
}

static void what_a_kernel_may_lack(void **state)
{
	const struct options *options = parse("--without=multi,return_probes --map-entries 8");

	(void)state;
	assert_int_equal(options->without, ATTACH_WITHOUT_MULTI | ATTACH_WITHOUT_RETURN_PROBES);
	assert_int_equal(options->map_entries, 8);
	assert_int_equal(parse("--without=task_storage")->without, ATTACH_WITHOUT_TASK_STORAGE);
	assert_int_equal(parse("")->without, 0);
}

static void verbosity_is_the_level_of_the_log(void **state)
{
	enum log_level before = log_get_level();

	(void)state;
	parse("-v");
	assert_int_equal(log_get_level(), LOG_DEBUG);
	log_set_level(before);
	parse("-vv");
	assert_int_equal(log_get_level(), LOG_TRACE);
	log_set_level(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_end_well),
		cmocka_unit_test(bad_usage_is_told),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(nothing_said_is_the_whole_machine),
		cmocka_unit_test(processes_and_tables),
		cmocka_unit_test(a_command_keeps_its_own_options),
		cmocka_unit_test(what_to_tell),
		cmocka_unit_test(what_to_probe),
		cmocka_unit_test(recordings),
		cmocka_unit_test(what_a_kernel_may_lack),
		cmocka_unit_test(verbosity_is_the_level_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
