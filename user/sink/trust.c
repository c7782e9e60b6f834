/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/trust.h"

#include "sink/backend.h"

struct trust trust_none(const struct ledger *ledger)
{
	uint64_t unknown = ledger_lost_unknown(ledger);

	return (struct trust) {
		.complete = !unknown && !ledger_entry_only(ledger),
		.entry_only = ledger_entry_only(ledger),
		.lost = unknown,
		.unknown_lost = unknown,
	};
}

struct trust trust_of(const struct ledger *ledger, const struct process *process)
{
	uint64_t unknown = ledger_lost_unknown(ledger);
	struct trust trust = {
		.complete = ledger_complete(ledger, process),
		.entry_only = ledger_entry_only(ledger) || process->entered,
		.unknown_lost = unknown,
		.uncovered = process->uncovered,
		.unmatched = process->unmatched_frees,
		.maybe_captured = process->maybe_captured,
		.unsized = process->unsized,
		.late = process->attached_late,
		.computed = process->computed.count,
	};

	if (__builtin_add_overflow(process->lost, unknown, &trust.lost))
		trust.lost = UINT64_MAX; /* a recording tells any number */
	return trust;
}

void trust_add(struct trust *sum, const struct trust *part)
{
	/* Losses of no known process may be of any: in the sum they stand once. */
	if (__builtin_add_overflow(sum->lost, part->lost - part->unknown_lost, &sum->lost))
		sum->lost = UINT64_MAX;
	sum->complete = sum->complete && part->complete;
	sum->entry_only = sum->entry_only || part->entry_only;
	sum->uncovered += part->uncovered;
	sum->unmatched += part->unmatched;
	sum->maybe_captured += part->maybe_captured;
	sum->unsized += part->unsized;
	sum->late += part->late;
	sum->computed += part->computed;
}

/* Reasons after "incomplete: ", joined. */
struct reasons {
	struct buf *buf;
	const char *separator;
	bool some;
};

static void begin_reason(struct reasons *reasons)
{
	buf_str(reasons->buf, reasons->some ? reasons->separator : "incomplete: ");
	reasons->some = true;
}

/* "3 sizes" + text */
static void add_count(struct buf *buf, uint64_t count, const char *noun, const char *text)
{
	buf_u64(buf, count);
	buf_char(buf, ' ');
	buf_str(buf, noun);
	buf_str(buf, count == 1 ? "" : "s");
	buf_str(buf, text);
}

static void reason_u64(struct reasons *reasons, uint64_t count, const char *text)
{
	if (!count)
		return;
	begin_reason(reasons);
	buf_u64(reasons->buf, count);
	buf_str(reasons->buf, text);
}

/* What makes nothing incomplete, and is good to know. */
static void add_remarks(struct buf *buf, const struct trust *trust)
{
	if (trust->unmatched) {
		buf_str(buf, "; ");
		add_count(buf, trust->unmatched, "free", " unmatched");
	}
	if (trust->computed)
		buf_str(buf, "; computed sizes");
}

void trust_words(struct buf *buf, const struct trust *trust)
{
	struct reasons reasons = { .buf = buf, .separator = ", " };

	if (trust->complete) {
		buf_str(buf, "complete");
		add_remarks(buf, trust);
		return;
	}
	if (trust->entry_only) {
		begin_reason(&reasons);
		buf_str(buf, "entry-only");
	}
	reason_u64(&reasons, trust->lost, " lost");
	reason_u64(&reasons, trust->uncovered, " uncovered");
	if (trust->late) {
		begin_reason(&reasons);
		buf_str(buf, "attached late");
	}
	reason_u64(&reasons, trust->maybe_captured, " maybe captured");
	reason_u64(&reasons, trust->unsized, " of unknown size");
	if (!reasons.some)
		begin_reason(&reasons);
	add_remarks(buf, trust);
}

static void sentence_lost(struct reasons *reasons, const struct trust *trust)
{
	struct buf *buf = reasons->buf;
	uint64_t own = trust->lost - trust->unknown_lost;

	if (own) {
		begin_reason(reasons);
		add_count(buf, own, "event", own == 1 ? " was lost" : " were lost");
	}
	if (trust->unknown_lost) {
		begin_reason(reasons);
		add_count(buf, trust->unknown_lost, "event", trust->unknown_lost == 1 ? " was lost" : " were lost");
		buf_str(buf, " (of no known process)");
	}
}

static void sentence_reasons(struct reasons *reasons, const struct trust *trust)
{
	struct buf *buf = reasons->buf;

	if (trust->entry_only) {
		begin_reason(reasons);
		buf_str(buf, ENTRY_ONLY_TEXT);
	}
	if (trust->late) {
		begin_reason(reasons);
		buf_str(buf, "it ran before its calls were probed, what it held then is unseen");
	}
	sentence_lost(reasons, trust);
	if (trust->uncovered) {
		begin_reason(reasons);
		add_count(buf, trust->uncovered, "call", " reached no traced driver call");
	}
	if (trust->maybe_captured) {
		begin_reason(reasons);
		add_count(buf, trust->maybe_captured, "allocation",
			  " may be a graph's, without memory: a stream was in capture");
	}
	if (trust->unsized) {
		begin_reason(reasons);
		add_count(buf, trust->unsized, "block",
			  trust->unsized == 1 ? " is of unknown size, and counts 0 bytes"
					      : " are of unknown size, and count 0 bytes");
	}
	if (!reasons->some) {
		begin_reason(reasons);
		buf_str(buf, "the ledger does not vouch for it");
	}
}

void trust_sentence(struct buf *buf, const struct trust *trust)
{
	struct reasons reasons = { .buf = buf, .separator = "; " };

	if (trust->complete)
		buf_str(buf, "complete: every traced call of this process was seen, from its start");
	else
		sentence_reasons(&reasons, trust);
	if (trust->unmatched) {
		buf_str(buf, "; ");
		add_count(buf, trust->unmatched, "free", trust->unmatched == 1 ? " was of a block" : " were of blocks");
		buf_str(buf, " not known");
	}
	if (trust->computed) {
		buf_str(buf, "; ");
		add_count(buf, trust->computed, "size",
			  trust->computed == 1 ? " is computed, the driver may round it up"
					       : " are computed, the driver may round them up");
	}
}
