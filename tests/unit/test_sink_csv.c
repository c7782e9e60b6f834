/* SPDX-License-Identifier: Apache-2.0 */
#include "sink_capture.h"

#define TS_COLUMNS 31 /* the time stamp and its comma */

static const char header[] =
	"ts,mono_ns,event,pid,tid,comm,api,layer,addr,size,kind,placement,purpose,id,live_bytes,age_ns,duration_ns,"
	"reason,count,error,error_name,caller,simulated,device,device_uuid,requested,marks,range_addr,range_size,"
	"range_offset,location,peer_pid,peer_id,library,peak_bytes,complete\n";

#define NO_MORE ",,,,,,,,,,," /* from `requested` on */
#define GPU0 ",GPU0,GPU-1-2" NO_MORE

static void expect_line(struct capture *capture, struct notice *notice, const char *expected)
{
	notice->time_ns = 5;
	sink_notice(capture->sink, notice);
	assert_string_equal(capture_last(capture, TS_COLUMNS), expected);
}

static void test_lines(void **state)
{
	struct sink_settings settings = capture_settings();
	struct capture capture = capture_new("csv", &settings);
	struct process process = capture_process();
	struct notice notice = capture_notice(NOTICE_ALLOC, &process);

	(void)state;
	assert_string_equal(capture_text(&capture), header);
	expect_line(
		&capture, &notice,
		"5,alloc,4711,4712,python3,cudaMalloc,both,0x7f12a4000000,67108864,device,vram,unknown,7,134217728,,"
		"55000,,,,,libc10_cuda.so!raw_alloc,false" GPU0);
	notice.kind = NOTICE_ALLOC_FAILED;
	notice.error = 2;
	expect_line(&capture, &notice,
		    "5,alloc_failed,4711,4712,python3,cudaMalloc,both,,67108864,device,vram,,,,,55000,,,2,"
		    "cudaErrorMemoryAllocation,libc10_cuda.so!raw_alloc,false" GPU0);
	notice = (struct notice) { .kind = NOTICE_LOST, .lost_cause = LOST_RING, .lost_count = 3 };
	expect_line(&capture, &notice, "5,lost,,,,,,,,,,,,,,,ring,3,,,,false,," NO_MORE);
	notice = capture_notice(NOTICE_FREE, &process);
	sink_set_simulated(capture.sink);
	expect_line(&capture, &notice,
		    "5,free,4711,4712,python3,cudaMalloc,both,0x7f12a4000000,67108864,device,vram,unknown,7,134217728,"
		    "2500000000,55000,call,,,,libc10_cuda.so!raw_alloc,true" GPU0);
	capture_free(&capture);
}

/* Every kind of line has as many fields as the header, whatever the names are. */
static void test_field_count(void **state)
{
	struct sink_settings settings = capture_settings();
	struct process process = capture_process();
	size_t commas = 0;

	(void)state;
	snprintf(process.comm, sizeof(process.comm), "=1,\"\n\xff");
	for (const char *c = header; *c; c++)
		commas += *c == ',';
	for (int kind = NOTICE_ALLOC; kind <= NOTICE_PROCESS; kind++) {
		struct capture capture = capture_new("csv", &settings);
		struct notice notice = capture_notice((enum notice_kind)kind, &process);
		bool quoted = false;
		size_t count = 0;

		sink_notice(capture.sink, &notice);
		assert_clean(capture_text(&capture));
		for (const char *c = capture_last(&capture, 0); *c; c++) {
			quoted ^= *c == '"';
			count += *c == ',' && !quoted;
		}
		assert_int_equal(count, commas);
		assert_non_null(strstr(capture_text(&capture), ",\"'=1,\"\"\\x0a\\xff\","));
		capture_free(&capture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_field_count) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
