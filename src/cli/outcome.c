/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/outcome.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

/* In the order of enum lmm_kernel_times. */
const char *const lmm_kernels_choices[] = { "windows", "always", "off", NULL };

uint8_t lmm_outcome_kernel_times(const struct lmm_outcome *o)
{
	return (uint8_t)(o->text.kernels >= 2 ? o->text.kernels - 2 : 0);
}

static void write_json(const struct lmm_result *result, const char *path)
{
	FILE *f;
	int rc = lmm_output_open(path, 1, &f);

	if (rc == 0) {
		lmm_report_json(result, f);
		rc = lmm_output_close(f);
	}
	if (rc)
		lmm_error("cannot write %s: %s", path, lmm_strerror(rc));
}

static void print_report(const struct lmm_outcome *o, const struct lmm_result *result,
			 const struct lmm_record *record)
{
	struct lmm_text_opts t = o->text;

	lmm_text_opts_detect(&t, STDERR_FILENO);
	fputc('\n', stderr);
	lmm_report_text(result, &t, stderr);
	if (record->path[0]) {
		fprintf(stderr, "\nRecorded to %s%s\n", record->path,
			record->write_error ? ", incomplete: writing failed" : "");
	}
	fflush(stderr);
}

void lmm_outcome_tell(const struct lmm_outcome *o, const struct lmm_result *result,
		      const struct lmm_record *record)
{
	if (o->json)
		write_json(result, o->json);
	if (!o->quiet)
		print_report(o, result, record);
}
