/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/peaks_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calibrate/calibrate.h"
#include "cli/cli.h"
#include "collect/host.h"
#include "lmmeter/trace.h"
#include "report/format.h"

#define PATH_BYTES 4096

/* ---- measuring ---------------------------------------------------------------------------------- */

static int progress_show(void *ctx, double done, const char *what)
{
	const int *is_shown = ctx;
	char shown[256];

	(void)lmm_text_fit(shown, sizeof(shown), what, 60);
	if (*is_shown)
		fprintf(stderr, "\r\x1b[Kcalibrate: %3.0f %%  %s", done * 100, shown);
	return 0;
}

static int measure_devices(const struct lmm_calibrate_opts *opts, struct lmm_peaks *p)
{
	const char *why;
	int rc = lmm_calibrate_opencl(opts, p, &why);

	if (*(const int *)opts->ctx)
		fputs("\r\x1b[K", stderr);
	if (rc < 0) {
		lmm_error("OpenCL was not measured: %s", why[0] ? why : lmm_strerror(rc));
		return -1;
	}
	if (why[0])
		lmm_error("%s", why);
	return 0;
}

int lmm_peaks_measure(const struct lmm_calibration *c, struct lmm_peaks *p)
{
	int is_shown = isatty(STDERR_FILENO) == 1, rc;
	struct lmm_calibrate_opts opts = { .threads = (uint32_t)c->threads,
					   .seconds = c->seconds,
					   .progress = progress_show,
					   .ctx = &is_shown };
	struct lmm_host host;

	memset(p, 0, sizeof(*p));
	lmm_host_read(&host);
	(void)snprintf(p->cpu, sizeof(p->cpu), "%s", host.cpu);
	p->cpus = host.cpus;
	rc = lmm_calibrate_cpu(&opts, p);
	if (is_shown)
		fputs("\r\x1b[K", stderr);
	if (rc < 0) {
		lmm_error("this machine could not be measured: %s", lmm_strerror(rc));
		return -1;
	}
	return c->opencl ? measure_devices(&opts, p) : 0;
}

/* ---- storing ------------------------------------------------------------------------------------ */

/* The folders above path, 0700 as XDG has it. */
static int folders_make(const char *path)
{
	char folder[PATH_BYTES];

	(void)snprintf(folder, sizeof(folder), "%s", path);
	for (char *p = strchr(folder + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(folder, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

/* path with room for a name beside it that nobody else has. */
static int beside_open(const char *path, char *beside, size_t bytes)
{
	int n = snprintf(beside, bytes, "%s.XXXXXX", path), fd;

	if (n < 0 || (size_t)n >= bytes)
		return -ENAMETOOLONG;
	fd = mkostemp(beside, O_CLOEXEC); /* 0600 */
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const struct lmm_peaks *p)
{
	FILE *out = fdopen(fd, "w");
	int rc = 0;

	if (!out) {
		rc = -errno;
		close(fd);
		return rc;
	}
	lmm_peaks_json(p, out);
	if (fflush(out) || ferror(out))
		rc = errno ? -errno : -EIO;
	if (fclose(out) && rc == 0)
		rc = -errno;
	return rc;
}

int lmm_peaks_store(const struct lmm_peaks *p, char *path, size_t bytes)
{
	char beside[PATH_BYTES];
	int rc = lmm_peaks_path(p->cpu, p->cpus, path, bytes), fd;

	if (rc < 0)
		return rc;
	rc = folders_make(path);
	if (rc < 0)
		return rc;
	fd = beside_open(path, beside, sizeof(beside));
	if (fd < 0)
		return fd;
	rc = write_all(fd, p);
	if (rc == 0 && rename(beside, path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(beside);
	return rc;
}
