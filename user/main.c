/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "cli/info.h"
#include "cli/options.h"
#include "cli/trace.h"

int main(int argc, char **argv)
{
	static struct options options;

	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error, told at the end */
	options_parse(argc, argv, &options);
	if (options.list_probes)
		return info_list_probes();
	if (options.json_schema)
		return info_json_schema();
	return trace_run(&options);
}
