/* SPDX-License-Identifier: Apache-2.0 */
/* A recording that another process writes: what it appends is taken as it comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyze/file.h"

struct lmm_follow {
	char *path;
	dev_t device;
	ino_t inode;
	struct lmm_trace *trace;
	struct lmm_analysis *analysis;
};

static void close_file(struct lmm_follow *f)
{
	lmm_trace_close(f->trace);
	lmm_analysis_destroy(f->analysis);
	f->trace = NULL;
	f->analysis = NULL;
}

static int open_file(struct lmm_follow *f)
{
	struct stat st;
	int rc = stat(f->path, &st) ? -errno : lmm_trace_open(f->path, &f->trace);

	if (rc)
		return rc;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	f->analysis = lmm_analysis_create();
	rc = f->analysis ? lmm__checkpoint_load(f->trace, f->analysis) : -ENOMEM;
	if (rc < 0)
		close_file(f);
	return rc < 0 ? rc : 0;
}

/* With --max-size a shorter file takes the place of the one that was followed. */
static int is_replaced(const struct lmm_follow *f)
{
	struct stat st;

	return stat(f->path, &st) == 0 && (st.st_dev != f->device || st.st_ino != f->inode);
}

int lmm_follow_open(const char *path, struct lmm_follow **out)
{
	struct lmm_follow *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	*out = NULL;
	if (!f)
		return rc;
	f->path = strdup(path);
	if (f->path)
		rc = open_file(f);
	if (rc) {
		lmm_follow_close(f);
		return rc;
	}
	*out = f;
	return 0;
}

int lmm_follow_poll(struct lmm_follow *f)
{
	int rc;

	if (is_replaced(f)) {
		close_file(f);
		rc = open_file(f);
		if (rc)
			return rc;
	}
	if (!f->trace)
		return -ESTALE;
	rc = lmm__items_take(f->trace, f->analysis);
	if (rc < 0)
		return rc;
	return lmm_trace_state(f->trace, NULL) != LMM_TRACE_COMPLETE;
}

const struct lmm_analysis *lmm_follow_analysis(const struct lmm_follow *f)
{
	return f->analysis;
}

void lmm_follow_close(struct lmm_follow *f)
{
	if (!f)
		return;
	close_file(f);
	free(f->path);
	free(f);
}
