/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SINK_SCHEMA_CHECK_H
#define SINK_SCHEMA_CHECK_H

#include "sink_capture.h"

#include "sink/schema.h"

/* Lines of JSON against the schema that the binary carries. Included by test_sink_*.c only. */

static inline void write_file(const char *path, const char *data, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static inline void check_against_schema(const char *lines)
{
	char directory[] = "/tmp/vramtrace-test-XXXXXX";
	char schema_path[64];
	char lines_path[64];
	char command[256];
	size_t length;
	const char *schema = sink_json_schema(&length);
	int status;

	if (system("command -v python3 >/dev/null") != 0) {
		print_message("SKIP: no python3\n");
		skip();
	}
	assert_int_equal(strlen(schema), length);
	assert_non_null(mkdtemp(directory));
	snprintf(schema_path, sizeof(schema_path), "%s/schema", directory);
	snprintf(lines_path, sizeof(lines_path), "%s/lines", directory);
	write_file(schema_path, schema, length);
	write_file(lines_path, lines, strlen(lines));
	snprintf(command, sizeof(command), "python3 -B tests/unit/check-json-lines %s %s >&2", schema_path, lines_path);
	status = system(command);
	unlink(schema_path);
	unlink(lines_path);
	rmdir(directory);
	assert_int_equal(status, 0);
}

#endif
