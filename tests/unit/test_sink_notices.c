/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#include "sink_schema.h"

/* What is told of imports, mappings, exports, graphs, arrays, advice: in each format, on a machine with two GPUs. */

#define TIME_COLUMNS 15 /* of text: the time of day */
#define TS_COLUMNS 31	/* of csv: the time stamp and its comma */

static struct process process;
static struct capture text, json, csv;

static int setup(void **state)
{
	struct sink_settings settings = capture_settings();

	(void)state;
	settings.gpu_count = 2;
	process = capture_process();
	text = capture_new("text", &settings);
	json = capture_new("json", &settings);
	csv = capture_new("csv", &settings);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	capture_free(&text);
	capture_free(&json);
	capture_free(&csv);
	return 0;
}

static struct notice notice_of(enum notice_kind kind, enum vt_kind memory_kind, const char *api)
{
	struct notice notice = capture_notice(kind, &process);

	notice.memory_kind = memory_kind;
	notice.api = api;
	notice.time_ns = 5;
	notice.gpu = &capture_gpus[1];
	return notice;
}

static void expect_in(struct capture *capture, const char *part)
{
	if (!strstr(capture_last(capture, 0), part))
		fail_msg("%s\nis not in\n%s", part, capture_last(capture, 0));
}

/* Tells it everywhere; the whole line of text, of csv; a part of json's, which is of the schema. */
static void tell(const struct notice *notice, const char *line, const char *part, const char *row)
{
	char *schema_line;

	sink_notice(text.sink, notice);
	sink_notice(json.sink, notice);
	sink_notice(csv.sink, notice);
	assert_string_equal(capture_last(&text, TIME_COLUMNS), line);
	expect_in(&json, part);
	assert_string_equal(capture_last(&csv, TS_COLUMNS), row);
	assert_true(asprintf(&schema_line, "%s\n", capture_last(&json, 0)) > 0);
	check_against_schema(schema_line);
	free(schema_line);
}

static void test_device_column(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC, VT_KIND_DEVICE, "cudaMalloc");

	(void)state;
	tell(&notice,
	     "    4711 python3         alloc          64 MB device  GPU1   0x7f12a4000000 cudaMalloc        "
	     "libc10_cuda.so!raw_alloc",
	     "\"device\":\"GPU1\",\"device_uuid\":\"GPU-3-4\",\"human\":\"Allocated 64 MB VRAM on GPU1, purpose "
	     "unknown\"",
	     "5,alloc,4711,4712,python3,cudaMalloc,both,0x7f12a4000000,67108864,device,vram,unknown,7,134217728,,55000,"
	     ",,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,,,,,,,,,,");
	assert_non_null(strstr(capture_text(&text), " SIZE KIND    DEVICE ADDRESS        API               CALLER\n"));
	notice.gpu = NULL;
	sink_notice(text.sink, &notice);
	sink_notice(json.sink, &notice);
	assert_string_equal(capture_last(&text, TIME_COLUMNS),
			    "    4711 python3         alloc          64 MB device  -      0x7f12a4000000 cudaMalloc"
			    "        libc10_cuda.so!raw_alloc");
	expect_in(&json, "\"device\":null,\"device_uuid\":null,\"human\":\"Allocated 64 MB VRAM, purpose unknown\"");
}

static void test_graph(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC, VT_KIND_GRAPH, "cuMemAllocAsync");

	(void)state;
	notice.block_flags = BLOCK_VIRTUAL;
	notice.size = 0;
	tell(&notice,
	     "    4711 python3         alloc          64 MB graph   GPU1   0x7f12a4000000 cuMemAllocAsync   "
	     "[address only] libc10_cuda.so!raw_alloc",
	     "\"human\":\"Allocated an address for 64 MB graph memory on GPU1, no memory yet, purpose unknown\","
	     "\"id\":7,\"addr\":\"0x7f12a4000000\",\"size\":0,\"kind\":\"graph\",\"placement\":\"vram\",\"purpose\":"
	     "\"unknown\",\"purpose_source\":\"none\",\"requested\":67108864,\"virtual\":true,\"api\":",
	     "5,alloc,4711,4712,python3,cuMemAllocAsync,both,0x7f12a4000000,0,graph,vram,unknown,7,134217728,,55000,"
	     ",,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,67108864,virtual,,,,,,,,,");
	notice.kind = NOTICE_FREE;
	notice.reason = FREE_CONTEXT;
	sink_notice(json.sink, &notice);
	expect_in(&json, "\"human\":\"Deallocated an address for 64 MB graph memory on GPU1 at the end of its context "
			 "(128 MB still in use)\"");
}

static void test_array(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC, VT_KIND_ARRAY, "cuArrayCreate_v2");

	(void)state;
	notice.block_flags = BLOCK_COMPUTED | BLOCK_MAYBE_CAPTURED;
	tell(&notice,
	     "    4711 python3         alloc          64 MB array   GPU1   0x7f12a4000000 cuArrayCreate_v2  "
	     "[computed] [maybe captured] libc10_cuda.so!raw_alloc",
	     "\"human\":\"Allocated 64 MB VRAM on GPU1, a computed size, perhaps only an address of a graph, purpose "
	     "unknown\",\"id\":7,\"addr\":\"0x7f12a4000000\",\"size\":67108864,\"kind\":\"array\",\"placement\":"
	     "\"vram\","
	     "\"purpose\":\"unknown\",\"purpose_source\":\"none\",\"computed\":true,\"maybe_captured\":true,\"api\":",
	     "5,alloc,4711,4712,python3,cuArrayCreate_v2,both,0x7f12a4000000,67108864,array,vram,unknown,7,134217728,,"
	     "55000,,,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,computed maybe_captured,,,,,,,,,");
}

static void test_size_unknown(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC, VT_KIND_ARRAY, "cuArray3DCreate_v2");

	(void)state;
	notice.block_flags = BLOCK_UNSIZED;
	notice.size = notice.requested = 0;
	tell(&notice,
	     "    4711 python3         alloc              ? array   GPU1   0x7f12a4000000 cuArray3DCreate_v2 "
	     "[size unknown] libc10_cuda.so!raw_alloc",
	     "\"human\":\"Allocated an unknown size of VRAM on GPU1, purpose unknown\",\"id\":7,\"addr\":"
	     "\"0x7f12a4000000\",\"size\":0,\"kind\":\"array\",\"placement\":\"vram\",\"purpose\":\"unknown\","
	     "\"purpose_source\":\"none\",\"size_unknown\":true,\"api\":",
	     "5,alloc,4711,4712,python3,cuArray3DCreate_v2,both,0x7f12a4000000,0,array,vram,unknown,7,134217728,,"
	     "55000,,,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,size_unknown,,,,,,,,,");
}

static void test_checkpoint(void **state)
{
	struct notice notice = notice_of(NOTICE_CHECKPOINT, VT_KIND_ANY, "cuCheckpointProcessCheckpoint");

	(void)state;
	notice.gpu = NULL;
	notice.placement = PLACEMENT_HOST;
	notice.peer_tgid = 4900;
	tell(&notice,
	     "    4711 python3         checkpoint     64 MB -       -      -              "
	     "cuCheckpointProcessCheckpoint "
	     "by 4900, libc10_cuda.so!raw_alloc",
	     "\"action\":\"vram_checkpoint\",\"level\":\"info\",\"device\":null,\"device_uuid\":null,\"human\":"
	     "\"Checkpointed: 64 MB VRAM moved into host memory\",\"size\":67108864,\"by\":{\"pid\":4900,\"id\":null},"
	     "\"api\":\"cuCheckpointProcessCheckpoint\",",
	     "5,checkpoint,4711,4712,python3,cuCheckpointProcessCheckpoint,both,,67108864,,host,,,,,55000,,,,,"
	     "libc10_cuda.so!raw_alloc,false,,,,,,,,,4900,,,,");
	notice.kind = NOTICE_RESTORE;
	sink_notice(json.sink, &notice);
	expect_in(&json, "\"event\":\"restore\"");
	expect_in(&json, "\"human\":\"Restored: 64 MB moved back into VRAM\"");
}

static void test_import(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC, VT_KIND_IMPORTED, "cuIpcOpenMemHandle_v2");

	(void)state;
	notice.block_flags = BLOCK_BORROWED;
	notice.peer_tgid = 99;
	notice.peer_id = 3;
	tell(&notice,
	     "    4711 python3         alloc          64 MB imported GPU1   0x7f12a4000000 cuIpcOpenMemHandle_v2 "
	     "[borrowed from 99] libc10_cuda.so!raw_alloc",
	     "\"human\":\"Opened 64 MB VRAM on GPU1 of process 99, which it is counted to\",\"id\":7,"
	     "\"addr\":\"0x7f12a4000000\",\"size\":67108864,\"kind\":\"imported\",\"placement\":\"vram\",\"purpose\":"
	     "\"unknown\",\"purpose_source\":\"none\",\"borrowed\":true,\"exporter\":{\"pid\":99,\"id\":3},\"api\":",
	     "5,alloc,4711,4712,python3,cuIpcOpenMemHandle_v2,both,0x7f12a4000000,67108864,imported,vram,unknown,7,"
	     "134217728,,55000,,,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,borrowed,,,,,99,3,,,");
	notice.kind = NOTICE_FREE;
	sink_notice(json.sink, &notice);
	expect_in(&json, "\"human\":\"Closed 64 MB VRAM on GPU1 of another process (128 MB still in use)\"");
	notice.kind = NOTICE_ALLOC;
	notice.block_flags = 0;
	notice.peer_tgid = 0;
	sink_notice(json.sink, &notice);
	expect_in(&json, "\"human\":\"Opened 64 MB VRAM on GPU1 of a process that is not traced, counted here\"");
	expect_in(&json, "\"exporter\":null,\"api\":");
}

static void test_exporter_gone(void **state)
{
	struct notice notice = notice_of(NOTICE_FREE, VT_KIND_VMM, NULL);

	(void)state;
	notice.caller = NULL;
	notice.reason = FREE_EXPORTER_GONE;
	notice.peer_tgid = 99;
	notice.peer_id = 3;
	tell(&notice,
	     "    4711 python3         free           64 MB vmm     GPU1   0x7f12a4000000 -                 "
	     "held on by 99, after 2.5 s, live 128 MB",
	     "\"human\":\"Gave up 64 MB VRAM on GPU1, which process 99 holds on (128 MB still in use)\",",
	     "5,free,4711,4712,python3,,,0x7f12a4000000,67108864,vmm,vram,unknown,7,134217728,2500000000,,"
	     "exporter_gone,,,,,false,GPU1,GPU-3-4,,,,,,,99,3,,,");
	expect_in(&json, "\"reason\":\"exporter_gone\",\"holder\":{\"pid\":99,\"id\":3},\"live_bytes\":134217728,");
	notice.kind = NOTICE_TAKEN;
	notice.memory_kind = VT_KIND_IMPORTED;
	notice.peer_id = 0;
	tell(&notice,
	     "    4711 python3         taken          64 MB imported GPU1   0x7f12a4000000 -                 "
	     "from 99, live 128 MB",
	     "\"action\":\"vram_take\",\"level\":\"info\",\"device\":\"GPU1\",\"device_uuid\":\"GPU-3-4\",\"human\":"
	     "\"Took "
	     "over 64 MB VRAM on GPU1 that process 99 gave up (128 MB in use)\",\"id\":7,",
	     "5,taken,4711,4712,python3,,,0x7f12a4000000,67108864,imported,vram,unknown,7,134217728,,,,,,,,false,"
	     "GPU1,GPU-3-4,,,,,,,99,,,,");
	expect_in(&json, "\"exporter\":{\"pid\":99,\"id\":null},\"live_bytes\":134217728,\"api\":null,");
}

/* The words for each way in which a block can go. */
static void test_reasons(void **state)
{
	static const struct {
		enum free_reason reason;
		const char *note;
		const char *sentence;
		const char *name;
	} reasons[] = {
		{ FREE_CALL, "cuMemFree_v2      after 2.5 s, ", "GPU1 (128 MB", "\"call\"" },
		{ FREE_EXIT, "at exit, after ", "GPU1 at the end of the process (", "\"exit\"" },
		{ FREE_EXEC, "at exec, after ", "GPU1 when the process started another program (", "\"exec\"" },
		{ FREE_CONTEXT, "with its context, after ", "GPU1 at the end of its context (", "\"context\"" },
		{ FREE_DESCRIPTOR, "with its last descriptor, after ",
		  "GPU1 when the last descriptor of it was closed (", "\"descriptor\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct notice notice = notice_of(NOTICE_FREE, VT_KIND_DEVICE, "cuMemFree_v2");

		notice.reason = reasons[i].reason;
		sink_notice(text.sink, &notice);
		sink_notice(json.sink, &notice);
		assert_non_null(strstr(capture_last(&text, 0), reasons[i].note));
		expect_in(&json, reasons[i].sentence);
		expect_in(&json, reasons[i].name);
	}
	check_against_schema(capture_text(&json));
}

static void test_map(void **state)
{
	struct notice notice = notice_of(NOTICE_MAP, VT_KIND_VMM, "cuMemMap");

	(void)state;
	notice.addr = 0x5500;
	notice.range_addr = 0x7f0000200000;
	notice.range_size = 2 << 20;
	notice.range_offset = 4096;
	tell(&notice,
	     "    4711 python3         map             2 MB vmm     GPU1   0x7f0000200000 cuMemMap          "
	     "block 7 from byte 4096",
	     "\"event\":\"map\",",
	     "5,map,4711,4712,python3,cuMemMap,both,0x5500,,vmm,vram,,7,,,55000,,,,,libc10_cuda.so!raw_alloc,false,"
	     "GPU1,GPU-3-4,,,0x7f0000200000,2097152,4096,,,,,,");
	expect_in(&json, "\"action\":\"vram_map\",");
	expect_in(&json, "\"human\":\"Mapped 2 MB VRAM on GPU1 at 0x7f0000200000\",\"id\":7,\"addr\":\"0x5500\","
			 "\"range\":{\"addr\":\"0x7f0000200000\",\"size\":2097152,\"offset\":4096},\"kind\":\"vmm\","
			 "\"placement\":\"vram\",\"api\":\"cuMemMap\",");
	notice.kind = NOTICE_UNMAP;
	notice.id = 0;
	notice.memory_kind = VT_KIND_ANY;
	notice.placement = PLACEMENT_UNKNOWN;
	notice.gpu = NULL;
	notice.api = "cuMemUnmap";
	tell(&notice,
	     "    4711 python3         unmap           2 MB -       -      0x7f0000200000 cuMemUnmap        "
	     "a block that is not known",
	     "\"human\":\"Unmapped 2 MB of a block that is not known from 0x7f0000200000\",\"id\":null,\"addr\":null,"
	     "\"range\":{\"addr\":\"0x7f0000200000\",\"size\":2097152,\"offset\":null},\"kind\":null,",
	     "5,unmap,4711,4712,python3,cuMemUnmap,both,,,,,,,,,55000,,,,,libc10_cuda.so!raw_alloc,false,"
	     ",,,,0x7f0000200000,2097152,,,,,,,");
}

static void test_export(void **state)
{
	struct notice notice = notice_of(NOTICE_EXPORT, VT_KIND_DEVICE, "cudaIpcGetMemHandle");

	(void)state;
	tell(&notice,
	     "    4711 python3         export         64 MB device  GPU1   0x7f12a4000000 cudaIpcGetMemHandle "
	     "libc10_cuda.so!raw_alloc",
	     "\"human\":\"Made 64 MB VRAM on GPU1 available to other processes\",\"id\":7,",
	     "5,export,4711,4712,python3,cudaIpcGetMemHandle,both,0x7f12a4000000,67108864,device,vram,unknown,7,,,"
	     "55000,,,,,libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,,,,,,,,,,");
	expect_in(&json, "\"action\":\"vram_export\",");
}

static void test_managed(void **state)
{
	struct notice notice = notice_of(NOTICE_ADVISE, VT_KIND_MANAGED, "cudaMemAdvise");

	(void)state;
	notice.placement = PLACEMENT_MIGRATABLE;
	notice.location = NOTICE_AT_GPU;
	notice.range_addr = 0x7f12a4001000;
	notice.range_size = 1 << 20;
	tell(&notice,
	     "    4711 python3         advise          1 MB managed GPU1   0x7f12a4001000 cudaMemAdvise     to GPU1",
	     "\"human\":\"Asked for a place on GPU1 for 1 MB managed "
	     "memory\",\"id\":7,\"addr\":\"0x7f12a4000000\",\"range\":{"
	     "\"addr\":\"0x7f12a4001000\",\"size\":1048576,\"offset\":null},\"kind\":\"managed\",\"placement\":"
	     "\"migratable\",\"location\":\"GPU1\",",
	     "5,advise,4711,4712,python3,cudaMemAdvise,both,0x7f12a4000000,,managed,migratable,,7,,,55000,,,,,"
	     "libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,,0x7f12a4001000,1048576,,GPU1,,,,,");
	notice.kind = NOTICE_PREFETCH;
	notice.api = "cudaMemPrefetchAsync";
	notice.location = NOTICE_AT_HOST;
	notice.gpu = NULL;
	tell(&notice,
	     "    4711 python3         prefetch        1 MB managed -      0x7f12a4001000 cudaMemPrefetchAsync to host",
	     "\"human\":\"Prefetched to host memory: 1 MB managed memory\",",
	     "5,prefetch,4711,4712,python3,cudaMemPrefetchAsync,both,0x7f12a4000000,,managed,migratable,,7,,,55000,,,,,"
	     "libc10_cuda.so!raw_alloc,false,,,,,0x7f12a4001000,1048576,,host,,,,,");
	expect_in(&json, "\"location\":\"host\",");
	notice.kind = NOTICE_ADVISE;
	notice.location = NOTICE_AT_NONE;
	sink_notice(json.sink, &notice);
	expect_in(&json, "\"human\":\"Asked for no place of 1 MB managed memory\"");
	notice.location = NOTICE_AT_GPU;
	sink_notice(text.sink, &notice);
	expect_in(&text, " to a GPU that is not known");
}

/* What makes no block, and failed for want of memory: it has neither size nor kind. */
static void test_failed_without_size(void **state)
{
	struct notice notice = notice_of(NOTICE_ALLOC_FAILED, VT_KIND_ANY, "cuDevicePrimaryCtxRetain");

	(void)state;
	notice.size = 0;
	notice.requested = 0;
	notice.placement = PLACEMENT_UNKNOWN;
	notice.error = 2;
	notice.error_layer = VT_LAYER_DRIVER;
	tell(&notice,
	     "    4711 python3         alloc FAIL         - -       GPU1   -              cuDevicePrimaryCtxRetain "
	     "CUDA_ERROR_OUT_OF_MEMORY (2) libc10_cuda.so!raw_alloc",
	     "\"human\":\"cuDevicePrimaryCtxRetain failed on GPU1: "
	     "CUDA_ERROR_OUT_OF_MEMORY\",\"size\":null,\"kind\":null,"
	     "\"placement\":\"unknown\",",
	     "5,alloc_failed,4711,4712,python3,cuDevicePrimaryCtxRetain,both,,,,,,,,,55000,,,2,CUDA_ERROR_OUT_OF_"
	     "MEMORY,"
	     "libc10_cuda.so!raw_alloc,false,GPU1,GPU-3-4,,,,,,,,,,,");
}

static void test_filters(void **state)
{
	struct sink_settings settings = capture_settings();
	struct notice map = notice_of(NOTICE_MAP, VT_KIND_VMM, "cuMemMap");
	struct notice graph = notice_of(NOTICE_ALLOC, VT_KIND_GRAPH, "cuMemAllocAsync");
	struct capture capture;

	(void)state;
	map.range_size = 4096;
	graph.size = 0;
	graph.block_flags = BLOCK_VIRTUAL;
	settings.min_size = 4097;
	capture = capture_new("csv", &settings);
	sink_notice(capture.sink, &map);
	sink_notice(capture.sink, &graph);
	assert_null(strstr(capture_text(&capture), "cuMemMap"));
	assert_non_null(strstr(capture_text(&capture), "cuMemAllocAsync")); /* by what it was made with */
	capture_free(&capture);
	settings.min_size = 0;
	settings.only_kind = VT_KIND_VMM;
	capture = capture_new("csv", &settings);
	sink_notice(capture.sink, &map);
	sink_notice(capture.sink, &graph);
	assert_non_null(strstr(capture_text(&capture), "cuMemMap"));
	assert_null(strstr(capture_text(&capture), "cuMemAllocAsync"));
	capture_free(&capture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device_column, setup, teardown),
		cmocka_unit_test_setup_teardown(test_graph, setup, teardown),
		cmocka_unit_test_setup_teardown(test_array, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_import, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exporter_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_export, setup, teardown),
		cmocka_unit_test_setup_teardown(test_managed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_without_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
