/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_RULES_H
#define MODEL_RULES_H

/* What the files of the reference share. */
#include "probe/table.h"
#include "reference.h"

/* A call while its rule is applied. */
struct rule {
	struct ref *ref;
	const struct event *event;
	const struct probe_row *row;
	int caller;
};

/* rules.c */
struct ref_block rule_block(const struct rule *rule, enum vt_kind kind); /* as the call itself says */
/* Is told; stands in the list if it is memory. NULL: it is not. */
struct ref_block *rule_alloc(const struct rule *rule, const struct ref_block *block);
void rule_covered(const struct rule *rule);
void rule_wait(struct ref *ref, struct ref_block *block, uint64_t until_ns); /* out of all totals */
void rule_gone(struct ref *ref, struct ref_block *block, enum free_reason reason);
void rule_end(struct ref *ref, enum free_reason reason);			   /* of the process' image */
struct ref_block *rule_find(struct ref *ref, enum ref_space space, uint64_t addr); /* live */
struct ref_block *rule_by_id(struct ref *ref, uint64_t id);
bool rule_is_lossy(const struct ref *ref);

/* rules_life.c */
struct ref *rule_process(uint32_t tgid, uint64_t now_ns); /* a new one */
void rule_life(const struct event *event);		  /* PROCESS, FORK, EXEC, EXIT, LOST */

/* rules_device.c */
int rule_where_of_ordinal(struct ref *ref, int ordinal);
int rule_where_of_context(struct ref *ref, uint64_t context);
uint64_t rule_context(struct ref *ref, uint64_t context); /* that a block goes with, known from now on */
void rule_locate(struct ref *ref, uint64_t location, struct ref_block *block);
void rule_device(const struct rule *rule); /* CTX_*, PRIMARY_*, DEVICE_UUID */

/* rules_stream.c */
void rule_stream(const struct rule *rule); /* POOL_*, STREAM_*, CAPTURE_*, NODE */
void rule_stream_alloc(const struct rule *rule, struct ref_block *block);
bool rule_stream_free(const struct rule *rule);		      /* true: no memory moves */
int rule_pool(const struct ref *ref, uint64_t handle);	      /* -1: not known */
void rule_context_streams(struct ref *ref, uint64_t context); /* have gone with it */

/* rules_vmm.c */
void rule_vmm(const struct rule *rule); /* RELEASE, RETAIN, MAP, UNMAP */
struct ref_block *rule_handle_new(const struct rule *rule, const struct ref_block *block);
struct ref_block *rule_handle(struct ref *ref, uint64_t handle, uint64_t by_ns);
void rule_descriptor_new(const struct rule *rule, struct ref_block *block, uint32_t descriptor);
bool rule_is_used(const struct ref *ref, const struct ref_block *block); /* by a reference or a mapping */

/* rules_share.c */
void rule_export(const struct rule *rule);
void rule_import(const struct rule *rule);
void rule_shares_clear(void);
void rule_left(
	struct ref *ref,
	struct ref_block *block); /* has no part in its memory any more: the oldest of the others has it counted */
bool rule_is_first(const struct ref_block *block);
bool rule_has_others(const struct ref_block *block);

#endif
