/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/info.h"
#include "cli/options.h"
#include "cli/replay.h"
#include "cli/trace.h"

/*
 * A closed 0, 1 or 2 would be taken by the next descriptor we open, and our words written into that. Closed again for a command;
 * read-only, so that what is written to it fails.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return;
}

int main(int argc, char **argv)
{
	static struct options options;

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error, told at the end */
	signal(SIGCHLD, SIG_DFL); /* whoever started us may have ignored it: then no child's status would be known */
	if (argc > 1 && !strcmp(argv[1], "doctor"))
		return doctor_run(argc - 1, argv + 1);
	options_parse(argc, argv, &options);
	if (options.list_probes)
		return info_list_probes();
	if (options.json_schema)
		return info_json_schema();
	return options.replay ? replay_run(&options) : trace_run(&options);
}
