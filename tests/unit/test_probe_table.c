/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
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

static void unprobed_calls_have_a_reason_and_no_row(void **state)
{
	const struct unprobed_row *row;
	size_t count = 0;

	(void)state;
	for (; (row = unprobed_row(count)); count++) {
		assert_true(row->layer == VT_LAYER_DRIVER || row->layer == VT_LAYER_RUNTIME);
		assert_true(strlen(row->reason) > 10);
		assert_int_equal(probe_row_find(row->symbol), -ENOENT);
	}
	assert_true(count > 100);
	assert_null(unprobed_row(count + 1));
	assert_string_equal(unprobed_row(0)->symbol, "cuMemAddressFree");
	assert_string_equal(unprobed_row(0)->reason, "deals with address space, not with memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_name),
		cmocka_unit_test(columns_are_the_table_s),
		cmocka_unit_test(unprobed_calls_have_a_reason_and_no_row),
		cmocka_unit_test(errors_have_names_per_layer),
		cmocka_unit_test(names_of_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
