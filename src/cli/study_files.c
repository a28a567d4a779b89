/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a model lies in the system's file cache depends on how it got there: written in small pieces, or long ago, it lies in small
 * pages, and an engine that maps it reads it more slowly. Between variants of a model that would pass for an effect.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/study_run.h"
#include "report/format.h"

#define PIECE_BYTES	(1u << 20)
#define SHARE_OF_MEMORY 0.6

/* 0: it is not there, or no file. */
static double size_of(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (double)st.st_size : 0;
}

/* Out of the cache, and in again from begin to end. What goes wrong leaves it as it was: the cells will say it. */
static void settle(const char *path, char *piece)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* only what is on the disk goes; not where another process has it mapped */
	(void)fdatasync(fd);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (!lmm_signals_ask_for_end() && read(fd, piece, PIECE_BYTES) > 0)
		;
	close(fd);
}

void lmm_study_files_settle(const struct lmm_study_run *r)
{
	const struct lmm_study *s = r->study;
	char *piece = malloc(PIECE_BYTES);
	double bytes = 0;

	for (uint32_t i = 0; i < s->n_variants; i++) {
		char *path = lmm_study_variant_file(s, i);

		bytes += size_of(path);
		free(path);
	}
	if (s->memory_bytes && bytes > SHARE_OF_MEMORY * (double)s->memory_bytes) {
		lmm_error(
			"the models take %s together, too much of this machine's memory: how they lie in it is not made alike, which may make some percent of a token's time",
			lmm_human_bytes(bytes).s);
		goto out;
	}
	for (uint32_t i = 0; piece && i < s->n_variants && !lmm_signals_ask_for_end(); i++) {
		char *path = lmm_study_variant_file(s, i);

		lmm_study_progress(r, "reading the models");
		if (size_of(path) > 0)
			settle(path, piece);
		free(path);
	}
	lmm_study_progress_clear(r);
out:
	free(piece);
}
