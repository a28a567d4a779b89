/* SPDX-License-Identifier: Apache-2.0 */
#include <lmmeter/mark.h>
#include <lmmeter/trace.h>
#include <lmmeter/version.h>
#include <stdio.h>

/* consumer FILE: prints what it holds, and that it was closed in good order. */
int main(int argc, char **argv)
{
	struct lmm_trace *tr;
	const struct lmm_item *it;
	unsigned long items = 0, events = 0;
	int rc;

	if (argc != 2)
		return 2;
	rc = lmm_trace_open(argv[1], &tr);
	while (rc == 0 && (rc = lmm_trace_next(tr, &it)) > 0) {
		items++;
		if (it->kind == LMM_ITEM_EVENTS)
			events += it->events.n;
		rc = 0;
	}
	if (rc) {
		fprintf(stderr, "%s: %s\n", argv[1], lmm_strerror(rc));
		return 1;
	}
	printf("lmmeter %s: %lu items, %lu events, phase 6 is %s\n", LMM_VERSION_STRING, items,
	       events, lmm_phase_name(6));
	rc = lmm_trace_state(tr, NULL) != LMM_TRACE_COMPLETE;
	lmm_trace_close(tr);
	return rc;
}
