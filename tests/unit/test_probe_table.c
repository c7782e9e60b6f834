/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "probe/table.h"

static void rows_are_found_by_name(void **state)
{
	(void)state;
	for (unsigned int id = 0; id < VT_PROBE_COUNT; id++)
		assert_int_equal(probe_row_find(probe_row(id)->symbol), id);
	assert_null(probe_row(VT_PROBE_COUNT));
	assert_int_equal(probe_row_find("cudaMallo"), -ENOENT);
	assert_int_equal(probe_row_find(""), -ENOENT);
}

static void columns_are_the_table_s(void **state)
{
	const struct probe_row *row = probe_row(VT_PROBE_cudaMallocPitch);

	(void)state;
	assert_string_equal(row->symbol, "cudaMallocPitch");
	assert_int_equal(row->layer, VT_LAYER_RUNTIME);
	assert_int_equal(row->shape, VT_SHAPE_OUT_PITCH);
	assert_int_equal(row->op, VT_OP_ALLOC);
	assert_int_equal(row->kind, VT_KIND_DEVICE);
	assert_int_equal(probe_row(VT_PROBE_cuMemFree_v2)->layer, VT_LAYER_DRIVER);
	assert_int_equal(probe_row(VT_PROBE_cuMemFree_v2)->op, VT_OP_FREE);
}

static void errors_have_names_per_layer(void **state)
{
	(void)state;
	assert_string_equal(error_name(VT_LAYER_DRIVER, CUDA_OUT_OF_MEMORY), "CUDA_ERROR_OUT_OF_MEMORY");
	assert_string_equal(error_name(VT_LAYER_RUNTIME, CUDA_OUT_OF_MEMORY), "cudaErrorMemoryAllocation");
	assert_string_equal(error_name(VT_LAYER_RUNTIME, 35), "cudaErrorInsufficientDriver");
	assert_string_equal(error_name(VT_LAYER_DRIVER, 0), "CUDA_SUCCESS");
	assert_null(error_name(VT_LAYER_DRIVER, 12345));
	assert_null(error_name(VT_LAYER_RUNTIME, -1));
}

static void names_of_columns(void **state)
{
	(void)state;
	assert_string_equal(layer_name(VT_LAYER_DRIVER), "driver");
	assert_string_equal(layer_name(VT_LAYER_RUNTIME), "runtime");
	assert_string_equal(layer_library(VT_LAYER_DRIVER), "libcuda");
	assert_string_equal(layer_library(VT_LAYER_RUNTIME), "libcudart");
	assert_string_equal(kind_name(VT_KIND_DEVICE), "device");
	assert_string_equal(kind_name(VT_KIND_POOL), "pool");
	assert_string_equal(kind_name((enum vt_kind)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_name),
		cmocka_unit_test(columns_are_the_table_s),
		cmocka_unit_test(errors_have_names_per_layer),
		cmocka_unit_test(names_of_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
