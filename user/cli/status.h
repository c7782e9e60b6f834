/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

/* Exit status of vramtrace, part of its interface (manual page, EXIT STATUS). A traced command gives its own instead. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_LOST = 3, /* data were lost, and --strict */
	STATUS_COMMAND_UNUSABLE = 126,
	STATUS_COMMAND_MISSING = 127,
};

#endif
