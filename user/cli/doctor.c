/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/doctor_report.h"
#include "cli/options.h"
#include "cli/status.h"

#define NAMED_MAX 64
#define PATIENCE_MS 1000
#define RING_BYTES (4u << 20) /* nobody reads it: room for all calls of the measurement */

enum {
	KEY_LIBRARY = 256,
	KEY_WITHOUT,
};

struct doctor_options {
	const char *libraries[NAMED_MAX];
	size_t library_count;
	bool json;
	unsigned int without; /* enum attach_without */
};

static const struct argp_option argp_options[] = {
	{ "library", KEY_LIBRARY, "FILE", 0, "Look at this CUDA library too, whatever its place", 0 },
	{ "format", 'o', "text|json", 0, "Form of the report (default: text)", 0 },
	{ "verbose", 'v', NULL, 0, "Say more on the way (-vv: what libbpf says, too)", 0 },
	{ "without", KEY_WITHOUT, "FEATURE[,FEATURE]...", OPTION_HIDDEN, NULL, 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char argp_doc[] =
	"Says whether this machine can be traced, how, at what cost, and what will be missing. Probes CUDA libraries "
	"for a "
	"moment, also those in use.\v"
	"The last line is the verdict: ready, works with limits, or cannot trace. Exit status: 0, 1 cannot trace, 2 "
	"usage. "
	"The report belongs into a bug report; it holds no environment, no command lines and no host name.";

static void parse_library(struct argp_state *state, const char *text, struct doctor_options *options)
{
	if (!*text)
		argp_error(state, "--library: expected a file");
	if (options->library_count == NAMED_MAX)
		argp_error(state, "--library: at most %d files", NAMED_MAX);
	options->libraries[options->library_count++] = text;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct doctor_options *options = state->input;

	switch (key) {
	case KEY_LIBRARY:
		parse_library(state, arg, options);
		break;
	case KEY_WITHOUT:
		if (options_without(arg, &options->without))
			argp_error(state, OPTIONS_WITHOUT_USAGE);
		break;
	case 'o':
		options->json = !strcmp(arg, "json");
		if (!options->json && strcmp(arg, "text"))
			argp_error(state, "-o %s: expected text or json", arg);
		break;
	case 'v':
		log_set_level(log_get_level() < LOG_DEBUG ? LOG_DEBUG : LOG_TRACE);
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: doctor takes options only", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* The real programs, for no process but our own. */
static struct attach *load(const struct doctor_options *options, struct doctor_report *report)
{
	const struct attach_settings settings = {
		.listed_only = true,
		.ring_bytes = RING_BYTES,
		.without = options->without,
	};
	struct attach *attach = NULL;

	report->load_err = attach_new(&settings, &attach, &report->load);
	if (report->load_err) {
		report->features_err = features_detect(options->without, &report->features);
		return NULL;
	}
	report->features = *attach_features(attach);
	report->entry_only = attach_entry_only(attach);
	return attach;
}

static void ask_devices(struct doctor_report *report)
{
	report->gpus = calloc(1, sizeof(*report->gpus));
	if (!report->gpus || !gpus_query(report->gpus, &report->gpus_diag))
		return;
	free(report->gpus);
	report->gpus = NULL;
}

static bool print(const struct doctor_report *report, bool json)
{
	struct buf buf = BUF_INIT;
	bool is_written;

	if (json)
		doctor_print_json(report, &buf);
	else
		doctor_print_text(report, &buf);
	is_written = !buf.failed && fwrite(buf.data, 1, buf.length, stdout) == buf.length && !fflush(stdout);
	if (!is_written)
		log_err("cannot write the report: %s", buf.failed ? "out of memory" : strerror(errno));
	buf_fini(&buf);
	return is_written;
}

static void examine(const struct doctor_options *options, struct doctor_report *report, struct attach **ret_attach)
{
	uint64_t begin_ns = clock_mono_ns();
	struct attach *attach;
	char took[DURATION_TEXT_BYTES];

	doctor_system_read(&report->system);
	attach = load(options, report);
	if (attach)
		doctor_cost_measure(attach, &report->cost);
	duration_format(clock_mono_ns() - begin_ns, took);
	log_dbg("programs loaded and tried after %s", took);
	doctor_files_find(report, attach, options->libraries, options->library_count);
	duration_format(clock_mono_ns() - begin_ns, took);
	log_dbg("%zu CUDA libraries looked at after %s", report->file_count, took);
	ask_devices(report);
	doctor_judge(report);
	duration_format(clock_mono_ns() - begin_ns, took);
	log_dbg("report ready after %s", took);
	*ret_attach = attach;
}

/* After the report, for single links take their time. */
static void let_go(struct attach *attach)
{
	if (attach && attach_detach_is_slow(attach)) {
		attach_detach_begin(attach);
		if (attach_detach_wait(attach, PATIENCE_MS)) {
			log_info("the report is complete; its probes are being taken away, which takes some seconds");
			attach_detach_wait(attach, -1);
		}
	}
	attach_free(attach);
}

int doctor_run(int argc, char **argv)
{
	static const struct argp argp = { argp_options, parse_option, NULL, argp_doc, NULL, NULL, NULL };
	struct doctor_options options = { .library_count = 0 };
	struct doctor_report report = { .load_err = 0 };
	struct attach *attach;
	bool is_written;
	int status;

	argp_err_exit_status = STATUS_USAGE;
	argv[0] = "vramtrace doctor";
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	examine(&options, &report, &attach);
	is_written = print(&report, options.json);
	status = is_written && !report.problems.length ? STATUS_OK : STATUS_FAILED;
	let_go(attach);
	doctor_files_free(&report);
	free(report.gpus);
	buf_fini(&report.problems);
	buf_fini(&report.limits);
	return status;
}
