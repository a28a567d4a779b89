/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "top/top.h"

#define HELD_MAX_BYTES (16 << 20) /* of what the command writes; then the older half goes */

struct lmm_live {
	struct lmm_top_terminal *terminal; /* NULL: the user has left the view */
	struct lmm_top *top;
	struct lmm_top_view view;
	uint64_t next_ns;
	int fds[3];  /* what the command got; -1: what we have */
	off_t shown; /* of what it wrote */
};

/*
 * Held until the view is gone, in memory without a name: what an engine writes may be what it was asked, and is nobody's to keep.
 * One for both, as a terminal is one.
 */
static int streams_turn(struct lmm_live *l)
{
	int out = -1;

	for (int i = 0; i < 3; i++)
		l->fds[i] = -1;
	if (isatty(STDIN_FILENO))
		l->fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!isatty(STDOUT_FILENO) && !isatty(STDERR_FILENO))
		return 0;
	out = memfd_create("lmmeter-output", MFD_CLOEXEC);
	if (out < 0 || fcntl(out, F_SETFL, O_APPEND))
		return -errno;
	if (isatty(STDOUT_FILENO))
		l->fds[1] = out;
	if (isatty(STDERR_FILENO))
		l->fds[2] = out;
	return 0;
}

static int held(const struct lmm_live *l)
{
	return l->fds[1] >= 0 ? l->fds[1] : l->fds[2];
}

/* What the command has written since the last time. */
static void replay(struct lmm_live *l)
{
	int to = l->fds[1] >= 0 ? STDOUT_FILENO : STDERR_FILENO;
	char bytes[65536];
	ssize_t n;

	while (held(l) >= 0 && (n = pread(held(l), bytes, sizeof(bytes), l->shown)) > 0) {
		ssize_t done = write(to, bytes, (size_t)n);

		if (done <= 0)
			return;
		l->shown += done;
	}
}

static void held_trim(struct lmm_live *l)
{
	struct stat st;

	if (held(l) < 0 || fstat(held(l), &st) || st.st_size - l->shown <= HELD_MAX_BYTES)
		return;
	l->shown = st.st_size - HELD_MAX_BYTES / 2;
	(void)fallocate(held(l), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, l->shown);
}

static void view_leave(struct lmm_live *l)
{
	lmm_top_terminal_close(l->terminal);
	l->terminal = NULL;
	replay(l);
}

void lmm_live_close(struct lmm_live *l)
{
	if (!l)
		return;
	view_leave(l);
	for (int i = 0; i < 3; i++) {
		if (l->fds[i] >= 0 && (i != 2 || l->fds[2] != l->fds[1]))
			close(l->fds[i]);
	}
	lmm_top_destroy(l->top);
	free(l);
}

struct lmm_live *lmm_live_open(int fds[3])
{
	struct lmm_live *l = calloc(1, sizeof(*l));
	int rc = l ? streams_turn(l) : -ENOMEM;

	if (rc == 0)
		l->top = lmm_top_create();
	if (rc == 0)
		rc = l->top ? lmm_top_terminal_open(&l->terminal) : -ENOMEM;
	if (rc) {
		lmm_error("no live view: %s", lmm_top_terminal_why(rc));
		lmm_live_close(l);
		return NULL;
	}
	for (int i = 0; i < 3; i++)
		fds[i] = l->fds[i];
	return l;
}

void lmm_live_poll(struct lmm_live *l, const struct lmm_analysis *a)
{
	enum lmm_top_key key = LMM_TOP_NOTHING;
	uint64_t now = lmm_mono_ns();

	if (!l->terminal)
		return;
	held_trim(l);
	key = lmm_top_key(l->terminal, 0, &l->view);
	if (key == LMM_TOP_QUIT) {
		view_leave(l);
		lmm_error(
			"the view is closed, the recording goes on; what the command writes is shown when it ends");
		return;
	}
	if (now >= l->next_ns && !l->view.is_paused) {
		(void)lmm_top_update(l->top, a);
		l->next_ns = now + LMM_TOP_PERIOD_MS * UINT64_C(1000000);
	} else if (key == LMM_TOP_NOTHING) {
		return;
	}
	lmm_top_draw(l->terminal, l->top, &l->view);
}
