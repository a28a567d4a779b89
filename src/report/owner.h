/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a moment is: which request of a result ran in it. The analysis has found out when each ran; here it is found again from what
 * a timeline shows.
 */
#ifndef LMM_REPORT_OWNER_H
#define LMM_REPORT_OWNER_H

#include "report/idmap.h"
#include "report/timeline.h"

#define LMM_OWNER_NONE	  SIZE_MAX
#define LMM_OWNER_SEVERAL (SIZE_MAX - 1)

/*
 * The request that ran at t_ns (from the session's start) in that context: the one of that sequence, of two of them the earlier one,
 * else the only one there is. Its index in r->requests, or LMM_OWNER_NONE.
 */
size_t lmm_request_at(const struct lmm_result *r, uint32_t process, uint32_t context, uint16_t seq,
		      uint64_t t_ns);

/* 1: [begin_ns, end_ns] lies in some request of that process. */
int lmm_request_covers(const struct lmm_result *r, uint32_t process, uint64_t begin_ns,
		       uint64_t end_ns);

/* Which sequences the newest steps were for. Zeroed at first; memory does not grow with the trace. */
struct lmm_owners {
	struct lmm_idmap steps; /* by process */
};

/* Of a timeline's events. 0 or -ENOMEM. */
int lmm_owners_note(struct lmm_owners *o, uint32_t process, const struct lmm_event *e);
void lmm_owners_free(struct lmm_owners *o);

/* The only request that it is of, LMM_OWNER_SEVERAL or LMM_OWNER_NONE. */
size_t lmm_owner(const struct lmm_owners *o, const struct lmm_result *r, uint32_t process,
		 const struct lmm_slice_of *of, uint64_t t_ns);

#endif
