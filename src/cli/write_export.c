/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <string.h>

#include "lmmeter/trace.h"

int lmm_write_export(struct lmm_trace *tr, const struct lmm_result *r, const char *path, int force,
		     lmm_export_fn *fn)
{
	const char *name = strcmp(path, "-") == 0 ? "standard output" : path;
	FILE *out;
	int rc, rc_close, write_failed;

	rc = lmm_output_open(path, force, &out);
	if (rc < 0)
		return lmm_output_failed(name, rc);
	rc = fn(tr, r, out);
	write_failed = ferror(out);
	rc_close = lmm_output_close(out);
	if (rc < 0 || rc_close < 0)
		lmm_output_discard(path);
	if (rc < 0 && !write_failed) {
		lmm_error("cannot export: %s", lmm_strerror(rc));
		return LMM_EXIT_FAILURE;
	}
	rc = rc < 0 ? rc : rc_close;
	return rc < 0 ? lmm_output_failed(name, rc) : LMM_EXIT_OK;
}
