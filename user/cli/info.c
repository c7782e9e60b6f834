/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/info.h"

#include <stdio.h>

#include "cli/status.h"
#include "probe/table.h"
#include "sink/schema.h"

static int done(void)
{
	return fflush(stdout) || ferror(stdout) ? STATUS_FAILED : STATUS_OK;
}

static void list_probed(void)
{
	const struct probe_row *row;

	printf("%-32s %-10s %-8s %s\n", "CALL", "LIBRARY", "DOES", "MEMORY");
	for (unsigned int id = 0; (row = probe_row(id)); id++)
		printf("%-32s %-10s %-8s %s\n", row->symbol, layer_library(row->layer),
		       row->op == VT_OP_ALLOC ? "allocate" : "free",
		       row->op == VT_OP_ALLOC ? kind_name(row->kind) : "any");
}

static void list_unprobed(void)
{
	const struct unprobed_row *row;

	printf("\n%-44s %-10s %s\n", "CALL, NOT PROBED", "LIBRARY", "WHY");
	for (size_t i = 0; (row = unprobed_row(i)); i++)
		printf("%-44s %-10s %s\n", row->symbol, layer_library(row->layer), row->reason);
}

int info_list_probes(void)
{
	list_probed();
	list_unprobed();
	return done();
}

int info_json_schema(void)
{
	size_t length;
	const char *text = sink_json_schema(&length);

	fwrite(text, 1, length, stdout);
	return done();
}
