/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lmmeter/trace.h"

/* Names come from files and command lines of others: nothing that steers a terminal may pass. */
static void put_escaped(const char *text, FILE *out)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f) {
			fprintf(out, "\\x%02x", c);
		} else {
			fputc(c, out);
		}
	}
}

void lmm_error(const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	fputs("lmmeter: ", stderr);
	put_escaped(text, stderr);
	fputc('\n', stderr);
}

static int finish(FILE *out)
{
	errno = 0;
	if (fflush(out) != 0)
		return errno ? -errno : -EIO;
	return ferror(out) ? -EIO : 0;
}

int lmm_stdout_finish(void)
{
	return finish(stdout);
}

int lmm_output_open(const char *path, int force, FILE **out)
{
	int fd;

	*out = NULL;
	if (!path || strcmp(path, "-") == 0) {
		*out = stdout;
		return 0;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0666);
	if (fd < 0)
		return -errno;
	*out = fdopen(fd, "w");
	if (!*out) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return 0;
}

int lmm_output_close(FILE *out)
{
	int rc = finish(out);

	if (out != stdout && fclose(out) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

void lmm_output_discard(const char *path)
{
	struct stat st;

	if (path && strcmp(path, "-") != 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		(void)unlink(path);
}

int lmm_output_failed(const char *name, int rc)
{
	if (rc == -EPIPE)
		return LMM_EXIT_OK;
	if (rc == -EEXIST) {
		lmm_error("%s exists; --force overwrites it", name);
	} else {
		lmm_error("cannot write %s: %s", name, lmm_strerror(rc));
	}
	return LMM_EXIT_FAILURE;
}

int lmm_stdout_status(void)
{
	int rc = lmm_stdout_finish();

	return rc ? lmm_output_failed("standard output", rc) : LMM_EXIT_OK;
}
