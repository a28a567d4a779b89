/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/cli.h"
#include "lmmeter/version.h"
#include "trace/zstd_codec.h"

#define POLL_MS	     20
#define POLL_BUSY_MS 1

/* Everything goes to the analysis first: the numbers must not depend on a full disk. */
static int record_item(void *ctx, const struct lmm_item *item)
{
	struct lmm_record *r = ctx;
	int rc = lmm_analysis_item(r->analysis, item);

	if (rc)
		return rc;
	if (item->kind == LMM_ITEM_PROCESS)
		lmm_sensing_watch(&r->sensing, item->process.pid);
	if (r->writer && !r->write_error) {
		r->write_error = lmm_trace_writer_item(r->writer, item);
		if (r->write_error) {
			lmm_error("cannot write %s: %s; the report goes on without it", r->path,
				  lmm_strerror(r->write_error));
		}
	}
	return 0;
}

static int write_checkpoint(struct lmm_record *r)
{
	struct lmm_item item = { .kind = LMM_ITEM_CHECKPOINT };
	struct lmm_buf state = { 0 };
	int rc = lmm_analysis_save(r->analysis, &state);

	if (rc == 0) {
		item.checkpoint.data = state.data;
		item.checkpoint.size_bytes = state.n;
		rc = lmm_trace_writer_item(r->writer, &item);
	}
	lmm_buf_free(&state);
	return rc;
}

static void write_failed(struct lmm_record *r)
{
	lmm_error("cannot write %s: %s; the report goes on without it", r->path,
		  lmm_strerror(r->write_error));
}

static int record_flush(void *ctx)
{
	struct lmm_record *r = ctx;

	if (!r->writer || r->write_error)
		return 0;
	r->write_error = lmm_trace_writer_flush(r->writer);
	if (r->write_error)
		write_failed(r);
	return 0;
}

static int compact(struct lmm_record *r)
{
	struct lmm_item item = { .kind = LMM_ITEM_DROPPED };
	int rc = lmm_trace_writer_compact(r->writer);

	if (rc == -ESTALE)
		return 0; /* somebody has moved the file: it goes on growing where it is now */
	if (rc)
		return rc;
	lmm_trace_writer_dropped(r->writer, &item.dropped);
	return lmm_analysis_item(r->analysis, &item);
}

/* What is taken out of the file must not be needed by a recovery: the rings give it back first. */
static void keep_below_max_size(struct lmm_record *r)
{
	if (!r->writer || r->write_error || !lmm_trace_writer_is_full(r->writer))
		return;
	lmm_collector_settle(r->collector);
	if (r->write_error)
		return;
	r->write_error = write_checkpoint(r);
	if (!r->write_error)
		r->write_error = compact(r);
	if (r->write_error)
		write_failed(r);
}

/* lmmeter-<command>-<date>-<time>[-n].lmt in the current folder, else in the temporary one. */
static int default_name(char *path, size_t bytes, const char *dir, const char *command, unsigned n)
{
	char stamp[32], number[16] = "";
	time_t now = time(NULL);
	struct tm tm;
	int k;

	if (!localtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm))
		return -EINVAL;
	if (n)
		snprintf(number, sizeof(number), "-%u", n);
	k = snprintf(path, bytes, "%s%slmmeter-%.64s-%s%s.lmt", dir, dir[0] ? "/" : "", command,
		     stamp, number);
	return k > 0 && (size_t)k < bytes ? 0 : -ENAMETOOLONG;
}

static int open_default(struct lmm_record *r, const struct lmm_record_opts *opts,
			const struct lmm_trace_writer_opts *wo)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *tmp = getenv("TMPDIR");
	const char *dirs[] = { "", tmp && tmp[0] == '/' ? tmp : "/tmp" };
	int rc = -EEXIST;

	for (size_t d = 0; d < LMM_ARRAY_SIZE(dirs); d++) {
		for (unsigned n = 0; n < 100; n++) {
			rc = default_name(r->path, sizeof(r->path), dirs[d], opts->command_name, n);
			if (rc == 0)
				rc = lmm_trace_writer_open(r->path, wo, &r->writer);
			if (rc != -EEXIST)
				break;
		}
		if (rc == 0) {
			if (d) {
				lmm_error("the current folder cannot be written: recording to %s",
					  r->path);
			}
			return 0;
		}
	}
	lmm_error("no file for the recording can be made (%s): only the report is given",
		  lmm_strerror(rc));
	r->path[0] = 0;
	return 0;
}

static int open_file(struct lmm_record *r, const struct lmm_record_opts *opts)
{
	struct lmm_trace_writer_opts wo = { .max_size_bytes = opts->max_size_bytes };
	int rc;

	wo.codec = r->codec = lmm_zstd_codec_create(1);
	if (!r->codec)
		return -ENOMEM;

	if (!opts->out_path)
		return open_default(r, opts, &wo);
	if (strlen(opts->out_path) >= sizeof(r->path))
		return -ENAMETOOLONG;
	memcpy(r->path, opts->out_path, strlen(opts->out_path) + 1);
	rc = lmm_trace_writer_open(r->path, &wo, &r->writer);
	if (rc == -EEXIST) {
		lmm_error("%s exists already; give another name with -o", r->path);
	} else if (rc) {
		lmm_error("cannot make %s: %s", r->path, lmm_strerror(rc));
	}
	return rc;
}

static void absolute(const char *path, char *out, size_t bytes)
{
	if (!realpath(path, out) && bytes)
		out[0] = 0;
}

static int open_session(struct lmm_record *r, const struct lmm_record_opts *opts)
{
	char full[PATH_MAX] = "";
	struct lmm_folder_opts fo = { .memory_bytes = opts->memory_bytes,
				      .threads_all = opts->threads_all,
				      .device_budget_ppm = opts->device_budget_ppm,
				      .kernel_times = opts->kernel_times,
				      .is_asleep = opts->folder_base != NULL,
				      .base = opts->folder_base,
				      .out_path = full };
	struct lmm_collector_opts co = { .sink = record_item,
					 .sink_ctx = r,
					 .flush = record_flush };
	struct lmm_session session = { .lmmeter = LMM_VERSION_STRING,
				       .command_name = opts->command_name,
				       .command_line = opts->command_line };
	int rc;

	lmm_folder_sweep();
	if (r->path[0])
		absolute(r->path, full, sizeof(full));
	rc = lmm_folder_create(&fo, &r->folder);
	if (rc) {
		lmm_error(
			"no folder for shared memory can be made: %s; set LMMETER_DIR to one that you own",
			lmm_strerror(rc));
		return rc;
	}
	r->analysis = lmm_analysis_create();
	r->collector = lmm_collector_create(&r->folder, &co);
	if (!r->analysis || !r->collector)
		return -ENOMEM;
	rc = lmm_collector_begin(r->collector, &session);
	r->sensing.clock = r->folder.shm->clock;
	r->sensing.sink = record_item;
	r->sensing.sink_ctx = r;
	return rc ? rc : lmm_sensing_open(&r->sensing, opts->sysfs);
}

static void record_free(struct lmm_record *r)
{
	lmm_sensing_close(&r->sensing);
	lmm_collector_destroy(r->collector);
	lmm_analysis_destroy(r->analysis);
	lmm_folder_close(&r->folder, 1);
	lmm_zstd_codec_destroy(r->codec);
}

int lmm_record_open(struct lmm_record *r, const struct lmm_record_opts *opts)
{
	int rc;

	memset(r, 0, sizeof(*r));
	rc = open_file(r, opts);
	if (rc) {
		lmm_zstd_codec_destroy(r->codec);
		return rc;
	}
	rc = open_session(r, opts);
	if (rc) {
		lmm_trace_writer_close(r->writer);
		if (r->path[0])
			unlink(r->path);
		record_free(r);
	}
	return rc;
}

int lmm_record_poll(struct lmm_record *r)
{
	long n = lmm_collector_poll(r->collector);
	int is_pressed = lmm_collector_pressure_percent(r->collector) > 25;

	/* not while a ring is about to run over */
	if (!is_pressed)
		lmm_sensing_poll(&r->sensing, 0);
	keep_below_max_size(r);
	return n >= 0 && is_pressed ? POLL_BUSY_MS : POLL_MS;
}

void lmm_record_close(struct lmm_record *r, int exit_status, struct lmm_result **result)
{
	int rc;

	lmm_collector_poll(r->collector);
	lmm_sensing_poll(&r->sensing, 1);
	rc = lmm_collector_finish(r->collector, exit_status);
	if (rc)
		lmm_error("the recording is incomplete: %s", lmm_strerror(rc));
	keep_below_max_size(r);
	if (r->writer && !r->write_error)
		r->write_error = write_checkpoint(r);
	rc = lmm_trace_writer_close(r->writer);
	if (rc && !r->write_error) {
		r->write_error = rc;
		lmm_error("cannot write %s: %s", r->path, lmm_strerror(rc));
	}
	r->writer = NULL;
	if (r->path[0] && lmm_collector_processes(r->collector) == 0) {
		unlink(r->path);
		r->path[0] = 0;
	}
	*result = lmm_analysis_result(r->analysis);
	record_free(r);
}
