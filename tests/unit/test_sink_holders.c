/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_ledger.h"

#include "sink_schema.h"

/* Who holds this GPU, in every format: two GPUs, three processes, memory of the host and of no known device. */

#define MB ((uint64_t)1 << 20)
#define NOW 81000000000 /* the cells began at 1 s */

static struct fake_process fakes[3];

static struct ledger two_gpus(void)
{
	return (struct ledger) { .gpus = capture_gpus, .gpu_count = 2 };
}

static struct sink_settings two_gpu_settings(void)
{
	struct sink_settings settings = capture_settings();

	settings.gpu_count = 2;
	settings.events = false;
	return settings;
}

static struct fake_process *add(struct ledger *ledger, uint32_t tgid, const char *comm)
{
	struct fake_process *fake = &fakes[ledger->process_count];

	fake_init(fake, tgid, comm);
	ledger->processes[ledger->process_count++] = &fake->process;
	return fake;
}

static struct ledger machine(void)
{
	struct ledger ledger = two_gpus();
	struct fake_process *train = add(&ledger, 4711, "python3");
	struct fake_process *serve = add(&ledger, 4800, "vllm");
	struct fake_process *tool = add(&ledger, 5012, "nvbandwidth");

	fake_hold(train, "libtorch_cuda.so", 1, VT_KIND_POOL, fake_slice(512 * MB, 12, 1024 * MB));
	fake_hold(train, "libcublas.so.13", 1, VT_KIND_DEVICE, fake_slice(32 * MB, 1, 32 * MB));
	fake_hold(train, "libtorch_cuda.so", 0, VT_KIND_PINNED, fake_slice(4 * MB, 2, 8 * MB));
	fake_hold(train, "libnvrtc.so.13", 1, VT_KIND_DEVICE, fake_slice(0, 0, 2 * MB));
	train->pools[0] = (struct pool) { .handle = 0x7f00aa00,
					  .place = 1,
					  .placement = PLACEMENT_VRAM,
					  .reserved_known = true,
					  .used_known = true,
					  .reserved = 1024 * MB,
					  .used = 512 * MB,
					  .live = { 512 * MB, 12 } };
	train->process.pool_count = 1;
	fake_hold(serve, "libtorch_cuda.so", 2, VT_KIND_VMM, fake_slice(40960 * MB, 20480, 40960 * MB));
	fake_hold(serve, "libvllm.so", 1, VT_KIND_IMPORTED, fake_slice(2048 * MB, 1, 2048 * MB))->borrowed = true;
	fake_hold(serve, "libnccl.so.2", 1, VT_KIND_DEVICE, fake_slice(600 * MB, 3, 600 * MB));
	serve->process.borrowed = (struct tally) { 2048 * MB, 1 };
	serve->process.uncovered = 1;
	serve->process.maybe_captured = 2;
	fake_hold(tool, "nvbandwidth", 2, VT_KIND_ARRAY, fake_slice(16 * MB, 1, 16 * MB))->computed = true;
	fake_hold(tool, "nvbandwidth", 0, VT_KIND_DEVICE, fake_slice(1 * MB, 1, 1 * MB));
	tool->process.attached_late = true;
	tool->process.unmatched_frees = 3;
	tool->process.computed = (struct tally) { 16 * MB, 1 };
	return ledger;
}

static void expect(struct capture *capture, const char *part)
{
	if (!strstr(capture_text(capture), part))
		fail_msg("%s\nis not in\n%s", part, capture_text(capture));
}

/* A newline, the time of day, a newline; then this. */
static void expect_table(struct capture *capture, const struct ledger *ledger, const char *text)
{
	sink_table(capture->sink, ledger, NOW);
	assert_string_equal(capture_text(capture) + 10, text);
}

#define COLUMNS "    PID COMM            KIND       PLACEMENT    COUNT      LIVE      PEAK      AGE LIBRARY\n"

static const char whole_table[] = COLUMNS
	"GPU0 GPU-1-2\n"
	"   4800 vllm            imported   vram             1      2 GB      2 GB    1m20s libvllm.so, borrowed\n"
	"   4800 vllm            device     vram             3    600 MB    600 MB    1m20s libnccl.so.2\n"
	"   4800 vllm            total      vram             3    600 MB    600 MB          incomplete: 1 uncovered, "
	"2 maybe captured\n"
	"   4711 python3         pool       vram            12    512 MB      1 GB    1m20s libtorch_cuda.so\n"
	"   4711 python3         device     vram             1     32 MB     32 MB    1m20s libcublas.so.13\n"
	"   4711 python3         total      vram            13    544 MB      1 GB          complete\n"
	"  total 2 processes                vram            16    1.1 GB                    incomplete: 1 uncovered, "
	"2 maybe captured\n"
	"GPU1 GPU-3-4\n"
	"   4800 vllm            vmm        vram         20480     40 GB     40 GB    1m20s libtorch_cuda.so\n"
	"   4800 vllm            total      vram         20480     40 GB     40 GB          incomplete: 1 uncovered, "
	"2 maybe captured\n"
	"   5012 nvbandwidth     array      vram             1     16 MB     16 MB    1m20s nvbandwidth, computed\n"
	"   5012 nvbandwidth     total      vram             1     16 MB     16 MB          incomplete: attached late; "
	"3 frees unmatched; computed sizes\n"
	"  total 2 processes                vram         20481     40 GB                    incomplete: 1 uncovered, "
	"attached late, 2 maybe captured; 3 frees unmatched; computed sizes\n"
	"host memory\n"
	"   4711 python3         pinned     host             2      4 MB      8 MB    1m20s libtorch_cuda.so\n"
	"  total                            host             2      4 MB                    complete\n"
	"device not known\n"
	"   5012 nvbandwidth     device     vram             1      1 MB      1 MB    1m20s nvbandwidth\n"
	"  total                            vram             1      1 MB      1 MB          incomplete: attached late; "
	"3 frees unmatched\n"
	"besides\n"
	"   4711 python3         pool 0x7f00aa00 on GPU0: reserved 1 GB, used 512 MB, as the program was last told; "
	"live 512 MB in 12 blocks\n"
	"   4800 vllm            borrowed: 2 GB in 1 block, counted to who made them\n";

static void test_table(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger ledger = machine();

	(void)state;
	expect_table(&capture, &ledger, whole_table);
	capture_free(&capture);
}

/* The same at the end, for those that run; who has ended has what it held then. */
static void test_summary(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 90000000000, .time_ns = NOW };
	struct capture capture = capture_new("text", &settings);
	struct ledger ledger = machine();

	(void)state;
	sink_summary(capture.sink, &ledger, &end);
	expect(&capture, "\n3 processes with CUDA calls; traced for 1m30s, until: interrupted\n\nStill in use:\n");
	expect(&capture, whole_table);
	expect(&capture,
	       "\nvllm, pid 4800, running\n"
	       "  live 42.6 GB in 20484 blocks, peak 42.6 GB, allocated 85.2 GB in 20487 allocations\n"
	       "  DEVICE KIND       PLACEMENT        LIVE       PEAK  ALLOCATED    COUNT  LIBRARY\n"
	       "  GPU0   imported   vram             2 GB       2 GB       4 GB        2  libvllm.so, borrowed\n"
	       "  GPU0   device     vram           600 MB     600 MB     1.2 GB        4  libnccl.so.2\n"
	       "  GPU1   vmm        vram            40 GB      40 GB      80 GB    20481  libtorch_cuda.so\n"
	       "  borrowed: 2 GB in 1 block, counted to who made them\n"
	       "  1 uncovered call\n"
	       "  incomplete: 1 call reached no traced driver call; 2 allocations may be a graph's, without "
	       "memory: a stream was in capture\n");
	expect(&capture, "  -      pinned     host             4 MB       8 MB      12 MB        3  libtorch_cuda.so\n"
			 "  pool 0x7f00aa00 on GPU0: reserved 1 GB, used 512 MB, as the program was last told; live "
			 "512 MB in 12 blocks\n"
			 "  complete: every traced call of this process was seen, from its start\n");
	expect(&capture, "  ?      device     vram             1 MB       1 MB       2 MB        2  nvbandwidth\n"
			 "  3 unmatched frees\n"
			 "  incomplete: it ran before its calls were probed, what it held then is unseen; "
			 "3 frees were of blocks not known; 1 size is computed, the driver may round it up\n");
	capture_free(&capture);
}

static void test_ended(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1, .time_ns = NOW };
	struct capture text = capture_new("text", &settings);
	struct capture json = capture_new("json", &settings);
	struct ledger ledger = two_gpus();
	struct fake_process *fake = add(&ledger, 1, "p");
	struct cell *cell = fake_hold(fake, "m", 2, VT_KIND_VMM, fake_slice(0, 0, 6 * MB));

	(void)state;
	cell->slice.at_exit = (struct tally) { 4 * MB, 2 };
	fake->process.ended = true;
	fake->process.end_number = 1;
	sink_table(text.sink, &ledger, NOW);
	assert_string_equal(capture_text(&text) + 10, COLUMNS);
	sink_summary(text.sink, &ledger, &end);
	assert_null(strstr(capture_text(&text), "Still in use"));
	expect(&text, "  DEVICE KIND       PLACEMENT     AT EXIT       PEAK  ALLOCATED    COUNT  LIBRARY\n"
		      "  GPU1   vmm        vram             4 MB       6 MB       6 MB        1  m\n");
	sink_summary(json.sink, &ledger, &end);
	expect(&json, "\"holders\":[{\"device\":\"GPU1\",\"device_uuid\":\"GPU-3-4\",\"kind\":\"vmm\",\"placement\":"
		      "\"vram\",\"library\":\"m\",\"borrowed\":false,\"computed\":false,\"bytes\":4194304,\"count\":2,"
		      "\"peak_bytes\":6291456,\"age_ns\":null,");
	expect(&json, "{\"device\":\"GPU1\",\"device_uuid\":\"GPU-3-4\",\"vram_bytes\":4194304,\"vram_count\":2,"
		      "\"vram_peak_bytes\":6291456,\"graph_reserved_bytes\":null}");
	capture_free(&text);
	capture_free(&json);
}

static void test_json(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1, .time_ns = NOW };
	struct capture capture = capture_new("json", &settings);
	struct ledger ledger = machine();

	(void)state;
	fakes[0].places[1].graph_known = true;
	fakes[0].places[1].graph_reserved = 96 * MB;
	sink_table(capture.sink, &ledger, NOW);
	sink_summary(capture.sink, &ledger, &end);
	check_against_schema(capture_text(&capture));
	expect(&capture,
	       "\"unmatched_frees\":3,\"borrowed_bytes\":2147483648,\"borrowed_count\":1,\"virtual_bytes\":0,"
	       "\"virtual_count\":0,\"computed_bytes\":16777216,\"computed_count\":1,\"maybe_captured\":2,\"size_"
	       "unknown\":0,"
	       "\"by_placement\":{\"vram\":{\"bytes\":44167069696,\"count\":20498},"
	       "\"host\":{\"bytes\":4194304,\"count\":2},\"migratable\":{\"bytes\":0,\"count\":0},"
	       "\"unknown\":{\"bytes\":0,\"count\":0}},\"devices\":["
	       "{\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\",\"vram_bytes\":1199570944,\"vram_count\":16,"
	       "\"migratable_bytes\":0,\"migratable_count\":0,\"unknown_bytes\":0,\"unknown_count\":0,\"processes\":2,"
	       "\"complete\":false,\"trust\":\"incomplete: 1 uncovered, 2 maybe captured\"},"
	       "{\"device\":\"GPU1\",\"device_uuid\":\"GPU-3-4\",\"vram_bytes\":42966450176,\"vram_count\":20481,");
	expect(&capture, "\"trust\":\"incomplete: attached late; 3 frees unmatched\"}]}\n");
	expect(&capture, "\"by_caller\":{},\"devices\":[{\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\","
			 "\"vram_bytes\":570425344,\"vram_count\":13,\"vram_peak_bytes\":1109393408,"
			 "\"graph_reserved_bytes\":100663296}],"
			 "\"pools\":[{\"addr\":\"0x7f00aa00\",\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\","
			 "\"placement\":\"vram\",\"reserved_bytes\":1073741824,\"used_bytes\":536870912,"
			 "\"live_bytes\":536870912,\"live_count\":12}],\"holders\":["
			 "{\"device\":\"GPU0\",\"device_uuid\":\"GPU-1-2\",\"kind\":\"pool\",\"placement\":\"vram\","
			 "\"library\":\"libtorch_cuda.so\",\"borrowed\":false,\"computed\":false,"
			 "\"bytes\":536870912,\"count\":12,\"peak_bytes\":1073741824,\"age_ns\":80000000000,"
			 "\"allocated_bytes\":1610612736,\"allocated_count\":13},");
	expect(&capture, "{\"device\":null,\"device_uuid\":null,\"kind\":\"pinned\",\"placement\":\"host\",");
	/* Borrowed memory is in its row, and in no sum. */
	expect(&capture, "\"by_placement\":{\"vram\":{\"bytes\":43578818560,\"count\":20483}}");
	expect(&capture, "\"library\":\"libvllm.so\",\"borrowed\":true,\"computed\":false,\"bytes\":2147483648,");
	capture_free(&capture);
}

static void test_csv(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1, .time_ns = NOW };
	struct capture capture = capture_new("csv", &settings);
	struct ledger ledger = machine();

	(void)state;
	sink_table(capture.sink, &ledger, NOW);
	expect(&capture, ",81000000000,held,4711,,python3,,,,536870912,pool,vram,,,,80000000000,,live,12,,,,false,"
			 "GPU0,GPU-1-2,,,,,,,,,libtorch_cuda.so,1073741824,true\n");
	expect(&capture, ",held,4711,,python3,,,,4194304,pinned,host,,,,80000000000,,live,2,,,,false,"
			 ",,,,,,,,,,libtorch_cuda.so,8388608,true\n");
	expect(&capture, ",held,4800,,vllm,,,,2147483648,imported,vram,,,,80000000000,,live,1,,,,false,"
			 "GPU0,GPU-1-2,,borrowed,,,,,,,libvllm.so,2147483648,false\n");
	expect(&capture, "GPU1,GPU-3-4,,computed,,,,,,,nvbandwidth,16777216,false\n");
	fakes[2].process.ended = true;
	fakes[2].process.end_number = 1;
	fakes[2].cells[0].slice.at_exit = (struct tally) { 123, 4 };
	fakes[2].cells[0].since_ns = 0;
	sink_summary(capture.sink, &ledger, &end);
	expect(&capture, ",held,5012,,nvbandwidth,,,,123,array,vram,,,,,,at_exit,4,,,,false,");
	capture_free(&capture);
}

/* Places that turned out to be one GPU are one row, whose peak is not the sum of theirs. */
static void test_merged_rows(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct capture text = capture_new("text", &settings);
	struct capture json = capture_new("json", &settings);
	struct ledger ledger = two_gpus();
	struct fake_process *fake = add(&ledger, 1, "p");
	struct cell *early = fake_hold(fake, "m", 1, VT_KIND_DEVICE, fake_slice(4 * MB, 2, 6 * MB));

	(void)state;
	fake_hold(fake, "n", 1, VT_KIND_DEVICE, fake_slice(5 * MB, 1, 5 * MB));
	fake_hold(fake, "m", 3, VT_KIND_DEVICE, fake_slice(3 * MB, 1, 3 * MB));
	early->since_ns = NOW - 2000;
	expect_table(&text, &ledger,
		     COLUMNS
		     "GPU0 GPU-1-2\n"
		     "      1 p               device     vram             3      7 MB         -    1m20s m\n"
		     "      1 p               device     vram             1      5 MB      5 MB    1m20s n\n"
		     "  total                            vram             4     12 MB                    complete\n");
	sink_table(json.sink, &ledger, NOW);
	expect(&json, "\"bytes\":7340032,\"count\":3,\"peak_bytes\":null,\"age_ns\":80000000000,");
	expect(&json, "\"vram_bytes\":12582912,\"vram_count\":4,\"vram_peak_bytes\":null,");
	capture_free(&text);
	capture_free(&json);
}

static void test_twenty_rows_and_the_rest(void **state)
{
	static char names[25][8];
	struct sink_settings settings = two_gpu_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger ledger = two_gpus();
	struct fake_process *fake = add(&ledger, 1, "p");
	const char *text;

	(void)state;
	for (uint64_t i = 0; i < 25; i++) {
		snprintf(names[i], sizeof(names[i]), "lib%02u", (unsigned int)(i * 7 % 25));
		fake_hold(fake, names[i], 1, VT_KIND_DEVICE, fake_slice((1 + i * 7 % 25) * MB, 1, MB));
	}
	sink_table(capture.sink, &ledger, NOW);
	text = capture_text(&capture);
	for (int i = 24; i >= 5; i--) { /* each stands after the larger one */
		char name[16];

		snprintf(name, sizeof(name), " lib%02d\n", i);
		text = strstr(text, name);
		assert_non_null(text);
	}
	assert_null(strstr(capture_text(&capture), "lib04"));
	expect(&capture, " lib05\n        and 5 more rows: 15 MB in 5 blocks\n  total    ");
	capture_free(&capture);
}

/* Every reason for doubt is said beside the total that it is of; losses of nobody known are everyone's, and stand once in a sum. */
static void test_all_doubts(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger ledger = two_gpus();
	struct fake_process *one = add(&ledger, 1, "one");
	struct fake_process *two = add(&ledger, 2, "two");
	struct fake_process *none = add(&ledger, 3, "none");

	(void)state;
	fake_hold(one, "m", 1, VT_KIND_DEVICE, fake_slice(2 * MB, 1, 2 * MB));
	fake_hold(two, "m", 1, VT_KIND_DEVICE, fake_slice(1 * MB, 1, 1 * MB));
	one->process.lost = 5;
	two->process.lost = 7;
	two->process.uncovered = 2;
	two->process.maybe_captured = 3;
	two->process.unsized = 4;
	none->process.attached_late = true;
	ledger.lost_unknown = 100;
	expect_table(&capture, &ledger,
		     COLUMNS "GPU0 GPU-1-2\n"
			     "      1 one             device     vram             1      2 MB      2 MB    1m20s m\n"
			     "      1 one             total      vram             1      2 MB      2 MB          "
			     "incomplete: 105 lost\n"
			     "      2 two             device     vram             1      1 MB      1 MB    1m20s m\n"
			     "      2 two             total      vram             1      1 MB      1 MB          "
			     "incomplete: 107 lost, 2 uncovered, 3 maybe captured, 4 of unknown size\n"
			     "  total 2 processes                vram             2      3 MB                    "
			     "incomplete: 112 lost, 2 uncovered, 3 maybe captured, 4 of unknown size\n"
			     "      3 none            -          -                0       0 B                    "
			     "incomplete: 100 lost, attached late\n"
			     "lost: 112, the ring buffer was full\n");
	capture_free(&capture);
}

static void test_notes(void **state)
{
	struct sink_settings settings = two_gpu_settings();
	struct capture capture = capture_new("text", &settings);
	struct ledger ledger = two_gpus();
	struct fake_process *fake = add(&ledger, 1, "p");

	(void)state;
	fake->places[2].graph_known = true;
	fake->places[2].graph_reserved = 96 * MB;
	fake->process.virtual = (struct tally) { 64 * MB, 3 };
	fake->process.pool_count = 13;
	for (uint64_t i = 0; i < 13; i++)
		fake->pools[i] = (struct pool) { .handle = 0x1000 + i, .used_known = true, .used = i * MB };
	fake->pools[1].placement = PLACEMENT_HOST;
	fake->pools[2].ended = true;
	fake->pools[3].used_known = false;
	sink_table(capture.sink, &ledger, NOW);
	expect(&capture, "besides\n"
			 "      1 p               pool 0x1000: used 0 B, as the program was last told\n"
			 "      1 p               pool 0x1001 in host memory: used 1 MB, as the program was last told\n"
			 "      1 p               pool 0x1004: used 4 MB,");
	expect(&capture, "      1 p               and 1 more pool\n"
			 "      1 p               graphs on GPU1: reserved 96 MB, as the program was last told\n"
			 "      1 p               addresses without memory: 3 blocks, made for 64 MB\n");
	capture_free(&capture);
}

/* One GPU: the host's memory is still not on it; and a GPU that nvidia-smi does not list has its UUID. */
static void test_other_machines(void **state)
{
	static const struct ledger_gpu mig = { .index = -1, .uuid = "MIG-7" };
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("text", &settings);
	struct capture json = capture_new("json", &settings);
	struct ledger ledger = { .gpus = capture_gpus, .gpu_count = 1 };
	struct fake_process *fake = add(&ledger, 1, "p");

	(void)state;
	fake_hold(fake, "m", 0, VT_KIND_PINNED, fake_slice(1 * MB, 1, 1 * MB));
	fake_hold(fake, "m", 0, VT_KIND_MANAGED, fake_slice(2 * MB, 1, 2 * MB));
	sink_table(capture.sink, &ledger, NOW);
	expect(&capture, "GPU0 GPU-1-2\n"
			 "      1 p               managed    migratable       1      2 MB      2 MB    1m20s m\n"
			 "  total                            migratable       1      2 MB                    complete\n"
			 "host memory\n");
	ledger.gpus = &mig;
	sink_table(capture.sink, &ledger, NOW);
	expect(&capture, "a GPU that nvidia-smi does not list MIG-7\n");
	sink_table(json.sink, &ledger, NOW);
	expect(&json, "{\"device\":null,\"device_uuid\":\"MIG-7\",\"kind\":\"managed\",");
	capture_free(&capture);
	capture_free(&json);
}

static void test_hostile_library(void **state)
{
	static const char *const formats[] = { "text", "json", "csv" };
	struct sink_settings settings = two_gpu_settings();
	struct sink_end end = { .exit_reason = "interrupted", .wall_ns = 1, .time_ns = NOW };
	struct ledger ledger = two_gpus();
	struct fake_process *fake = add(&ledger, 1, "p");

	(void)state;
	fake_hold(fake, EVIL, 1, VT_KIND_DEVICE, fake_slice(1 * MB, 1, 1 * MB));
	for (size_t i = 0; i < 3; i++) {
		struct capture capture = capture_new(formats[i], &settings);

		sink_table(capture.sink, &ledger, NOW);
		sink_summary(capture.sink, &ledger, &end);
		for (const unsigned char *c = (const unsigned char *)capture_text(&capture); *c; c++)
			assert_true(*c == '\n' || *c >= 0x20);
		assert_null(strstr(capture_text(&capture), "\xe2\x80\xae"));
		capture_free(&capture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_merged_rows),
		cmocka_unit_test(test_twenty_rows_and_the_rest),
		cmocka_unit_test(test_all_doubts),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_hostile_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
