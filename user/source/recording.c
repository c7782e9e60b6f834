/* SPDX-License-Identifier: Apache-2.0 */
#include "source/recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "source/frames.h"
#include "source/head.h"
#include "source/unpack.h"
#include "vramtrace/probe.h"

#define OPEN_BYTES (32u << 20) /* a head is looked for so far */
#define NAMES_TOLD 8	       /* unknown calls, by name */
#define NAME_BYTES 128
#define RECORDING_CAUSE "recording"

enum state {
	STATE_RUNS,
	STATE_CUT,   /* the file is over, and no end was told: one is made up */
	STATE_ENDED, /* the end was told */
};

struct recording {
	struct frames frames;
	struct head head;
	struct unpack unpack;
	enum state state;
	uint64_t run;
	uint64_t number;    /* of the last items frame */
	uint64_t next;	    /* index of the next item */
	uint64_t frame_end; /* index after the open frame's last item */
	uint64_t lost;	    /* to be told before anything else */
	uint64_t last_ns;

	/* what was wrong */
	struct buf *text; /* as told last */
	uint64_t lost_told;
	uint64_t unfit;	   /* good frames that do not belong where they are */
	uint64_t repeated; /* good frames that came before */
	uint64_t other_at; /* another recording begins there; 0: none does */
	uint64_t unknown_calls;
	bool cut;
	bool looked; /* behind the end */
	bool tail;   /* something follows the end */
	bool *unknown_rows;
};

static int open_err(struct recording *recording, int err, struct diag *diag)
{
	bool other = recording->frames.other_version;

	recording_free(recording);
	if (err == -ENOMEM)
		return diag_err(diag, err, "out of memory");
	if (err < 0)
		return diag_err(diag, err, "cannot read the recording: %s", strerror(-err));
	if (other)
		return diag_err(diag, -ENOEXEC,
				"a recording of another version of vramtrace: its format is not known here");
	return diag_err(diag, -ENOEXEC, "not a recording of vramtrace");
}

/* The first good head. 1, 0: none, -errno */
static int find_head(struct recording *recording)
{
	struct frame frame;
	uint8_t *payload;
	int err;

	while ((err = frames_next(&recording->frames, OPEN_BYTES, &frame, &payload)) > 0) {
		if (frame.kind != FRAME_HEAD)
			continue;
		err = head_unpack(payload, frame.length, &recording->head);
		if (err == -EBADMSG)
			continue;
		if (err < 0)
			return err;
		recording->run = frame.run;
		recording->last_ns = recording->head.run.begin_ns; /* until an item tells one */
		recording->lost = recording->next = recording->frame_end = frame.first;
		return 1;
	}
	return err;
}

int recording_open(int fd, struct recording **ret_recording, struct diag *diag)
{
	struct recording *recording = calloc(1, sizeof(*recording));
	int err;

	if (!recording)
		return diag_err(diag, -ENOMEM, "out of memory");
	frames_init(&recording->frames, fd);
	err = find_head(recording);
	if (err <= 0)
		return open_err(recording, err, diag);
	unpack_init(&recording->unpack, recording->head.wire_version);
	recording->unknown_rows = calloc(recording->head.row_count + 1u, sizeof(bool));
	recording->text = calloc(1, sizeof(*recording->text));
	if (!recording->unknown_rows || !recording->text)
		return open_err(recording, -ENOMEM, diag);
	*ret_recording = recording;
	return 0;
}

void recording_free(struct recording *recording)
{
	if (!recording)
		return;
	frames_fini(&recording->frames);
	unpack_fini(&recording->unpack);
	head_fini(&recording->head);
	if (recording->text)
		buf_fini(recording->text);
	free(recording->text);
	free(recording->unknown_rows);
	free(recording);
}

const struct recording_head *recording_head(const struct recording *recording)
{
	return &recording->head.run;
}

/* --- items ------------------------------------------------------------------------------------------------------------- */

/* Up to the item of this index: what lies between is missing. */
static void skip_to(struct recording *recording, uint64_t first)
{
	recording->lost += first - recording->next;
	recording->next = recording->frame_end = first;
}

static void take_items(struct recording *recording, const struct frame *frame, const uint8_t *payload)
{
	if (frame->number <= recording->number) {
		recording->repeated++;
		return;
	}
	if (frame->first < recording->next) {
		recording->unfit++;
		return;
	}
	skip_to(recording, frame->first);
	recording->number = frame->number;
	recording->frame_end = frame->first + frame->count;
	unpack_begin(&recording->unpack, payload, frame->length);
}

static void take_frame(struct recording *recording, const struct frame *frame, const uint8_t *payload)
{
	if (frame->run != recording->run)
		recording->unfit++;
	else if (frame->kind == FRAME_ITEMS)
		take_items(recording, frame, payload);
	else if (frame->first < recording->next)
		recording->repeated++;
	else
		skip_to(recording, frame->first);
}

static bool is_other_recording(struct recording *recording, const struct frame *frame)
{
	if (frame->kind != FRAME_HEAD || frame->run == recording->run)
		return false;
	recording->other_at = recording->frames.window.offset;
	return true;
}

static int next_frame(struct recording *recording, struct diag *diag)
{
	struct frame frame;
	uint8_t *payload;
	int err;

	if (recording->unpack.cursor.at != recording->unpack.cursor.end)
		recording->unfit++; /* more content than items */
	unpack_begin(&recording->unpack, NULL, 0);
	err = frames_next(&recording->frames, UINT64_MAX, &frame, &payload);
	if (err < 0)
		return diag_err(diag, err, "cannot read the recording: %s", strerror(-err));
	if (err == 0 || is_other_recording(recording, &frame)) {
		recording->state = STATE_CUT;
		recording->cut = true;
		recording->lost++; /* at least */
		return 0;
	}
	take_frame(recording, &frame, payload);
	return 0;
}

static void give_lost(struct recording *recording, uint64_t count, uint32_t tgid, struct item *ret_item)
{
	*ret_item = (struct item) { .kind = ITEM_LOST, .time_ns = recording->last_ns };
	ret_item->lost.cause = UINT32_MAX;
	ret_item->lost.cause_name = RECORDING_CAUSE;
	ret_item->lost.tgid = tgid;
	ret_item->lost.count = count;
}

static void give_cut(struct recording *recording, struct item *ret_item)
{
	uint64_t begin_ns = recording->head.run.begin_ns;

	*ret_item = (struct item) { .kind = ITEM_END, .time_ns = recording->last_ns };
	ret_item->end.exit_reason = "recording cut";
	ret_item->end.wall_ns = recording->last_ns > begin_ns ? recording->last_ns - begin_ns : 0;
	recording->state = STATE_ENDED;
}

/* The recorder's row -> ours; one that never was a row must not become one. false: a name that is not among ours. */
static bool map_row(struct recording *recording, uint16_t *row)
{
	if (*row >= recording->head.row_count) {
		if (*row < VT_PROBE_COUNT)
			*row = UINT16_MAX;
		return true;
	}
	if (recording->head.rows[*row] == HEAD_NO_ROW) {
		recording->unknown_rows[*row] = true;
		return false;
	}
	*row = recording->head.rows[*row];
	return true;
}

static bool map_rows(struct recording *recording, void *record, size_t length)
{
	struct vt_header header;
	uint16_t rows[2];
	bool known;

	_Static_assert(offsetof(struct vt_call, row) == sizeof(header) && sizeof(rows) == 4, "rows come first");
	if (length < sizeof(header) + sizeof(rows))
		return true;
	memcpy(&header, record, sizeof(header));
	if (header.kind != VT_RECORD_CALL)
		return true;
	memcpy(rows, (char *)record + sizeof(header), sizeof(rows));
	known = map_row(recording, &rows[0]);
	known = map_row(recording, &rows[1]) && known;
	memcpy((char *)record + sizeof(header), rows, sizeof(rows));
	return known;
}

static uint32_t record_tgid(const void *record)
{
	struct vt_header header;

	memcpy(&header, record, sizeof(header)); /* map_rows() saw that it is there */
	return header.tgid;
}

/* 1: an item; 0: the frame has no more; -ENOMEM */
static int give_item(struct recording *recording, struct item *ret_item)
{
	void *record;
	int err = unpack_item(&recording->unpack, ret_item, &record);

	if (err == -EBADMSG) {
		/* The checksum is right: not an accident. The next frame's index tells what is missing. */
		recording->unfit++;
		recording->frame_end = recording->next;
		unpack_begin(&recording->unpack, NULL, 0);
		return 0;
	}
	if (err < 0)
		return err;
	recording->next++;
	recording->last_ns = ret_item->time_ns;
	if (ret_item->kind == ITEM_END)
		recording->state = STATE_ENDED;
	if (record && !map_rows(recording, record, ret_item->record.length)) {
		recording->unknown_calls++;
		give_lost(recording, 1, record_tgid(record), ret_item);
	}
	return 1;
}

/* Nothing should follow the end. A pipe's writer is not waited for. */
static void look_behind(struct recording *recording)
{
	struct frames *frames = &recording->frames;
	struct stat status;
	struct frame frame;
	uint8_t *payload;

	if (recording->looked || recording->cut)
		return;
	recording->looked = true;
	recording->tail = recording->unpack.cursor.at != recording->unpack.cursor.end;
	if (fstat(frames->window.fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		recording->tail |= window_bytes(&frames->window) > frames->given_bytes;
		return;
	}
	if (frames_next(frames, frames->window.offset + frames->given_bytes, &frame, &payload) > 0)
		recording->tail |= !is_other_recording(recording, &frame);
}

int recording_next(struct recording *recording, struct item *ret_item, struct diag *diag)
{
	int err = 0;

	while (!recording->lost && recording->state == STATE_RUNS && err == 0) {
		if (recording->next < recording->frame_end)
			err = give_item(recording, ret_item);
		else
			err = next_frame(recording, diag);
		if (err == -ENOMEM)
			diag_err(diag, err, "out of memory");
		if (err)
			return err;
	}
	if (recording->lost) {
		give_lost(recording, recording->lost, 0, ret_item);
		recording->lost_told += recording->lost;
		recording->lost = 0;
		return 1;
	}
	if (recording->state == STATE_CUT) {
		give_cut(recording, ret_item);
		return 1;
	}
	look_behind(recording);
	return 0;
}

/* --- damage ------------------------------------------------------------------------------------------------------------ */

static void tell_names(const struct recording *recording)
{
	unsigned int told = 0;

	for (uint32_t i = 0; i < recording->head.row_count && told <= NAMES_TOLD; i++) {
		const char *name = recording->head.row_names[i];

		if (!recording->unknown_rows[i])
			continue;
		buf_str(recording->text, told ? ", " : ": ");
		if (told++ == NAMES_TOLD)
			buf_str(recording->text, "...");
		else
			escape_text(recording->text, name ? name : "?", strnlen(name ? name : "?", NAME_BYTES));
	}
}

static void tell_count(const struct recording *recording, uint64_t count, const char *one, const char *many)
{
	if (!count)
		return;
	if (recording->text->length)
		buf_str(recording->text, "; ");
	if (count != 1) {
		buf_u64(recording->text, count);
		buf_char(recording->text, ' ');
	}
	buf_str(recording->text, count == 1 ? one : many);
}

const char *recording_damage(const struct recording *recording)
{
	const struct frames *frames = &recording->frames;

	buf_clear(recording->text);
	tell_count(recording, frames->damaged, "one damaged place", "damaged places");
	if (frames->damaged)
		buf_printf(recording->text, " (%" PRIu64 " bytes, at offset %" PRIu64 ")", frames->damaged_bytes,
			   frames->damaged_at);
	tell_count(recording, recording->unfit, "a frame that cannot be", "frames that cannot be");
	tell_count(recording, recording->repeated, "a frame that came before", "frames that came before");
	tell_count(recording, recording->lost_told - recording->cut, "one item is missing", "items are missing");
	tell_count(recording, recording->unknown_calls, "one call of a function that is not known here",
		   "calls of functions that are not known here");
	if (recording->unknown_calls)
		tell_names(recording);
	tell_count(recording, recording->cut, "it stops without its end", "");
	tell_count(recording, recording->tail, "something follows its end", "");
	if (recording->other_at) {
		tell_count(recording, 1, "another recording follows", "");
		buf_printf(recording->text, " at offset %" PRIu64 " and was not read", recording->other_at);
	}
	return recording->text->length ? recording->text->data : NULL;
}
