/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/embed.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collect/collector.h"
#include "lmmeter/version.h"
#include "trace/writer.h"

#define POLL_NS 20000000

static struct {
	int active;
	pid_t pid;
	pthread_t thread;
	_Atomic int stop;
	struct lmm_folder folder;
	struct lmm_collector *collector;
	struct lmm_trace_writer *writer;
} embed;

static int put_item(void *ctx, const struct lmm_item *item)
{
	(void)ctx;
	return lmm_trace_writer_item(embed.writer, item);
}

static int flush_items(void *ctx)
{
	(void)ctx;
	return lmm_trace_writer_flush(embed.writer);
}

static void *collect(void *arg)
{
	struct timespec period = { 0, POLL_NS };

	(void)arg;
	while (!atomic_load_explicit(&embed.stop, memory_order_acquire)) {
		lmm_collector_poll(embed.collector);
		nanosleep(&period, NULL);
	}
	return NULL;
}

/* The thread must not take the program's signals. */
static int start_thread(void)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&embed.thread, NULL, collect, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void command_name(char *name, size_t bytes)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *slash;

	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	snprintf(name, bytes, "%.255s", slash ? slash + 1 : exe);
}

static void give_up(void)
{
	lmm_collector_destroy(embed.collector);
	lmm_trace_writer_close(embed.writer);
	lmm_folder_close(&embed.folder, 1);
	memset(&embed, 0, sizeof(embed));
}

void lmm_embed_start(const char *out_path, char *dir, size_t dir_bytes)
{
	struct lmm_trace_writer_opts wo = { 0 };
	struct lmm_collector_opts co = { .sink = put_item, .flush = flush_items };
	struct lmm_folder_opts fo = { .device_budget_ppm = 10000 }; /* 1 %, as lmmeter run */
	char name[256], full[PATH_MAX];
	struct lmm_session session = { .lmmeter = LMM_VERSION_STRING,
				       .command_name = name,
				       .command_line = name,
				       .embedded = 1 };

	command_name(name, sizeof(name));
	if (lmm_trace_writer_open(out_path, &wo, &embed.writer))
		return;
	/* a recovery asks for it by its whole name */
	fo.out_path = realpath(out_path, full);
	if (lmm_folder_create(&fo, &embed.folder) || strlen(embed.folder.path) >= dir_bytes ||
	    !(embed.collector = lmm_collector_create(&embed.folder, &co)) ||
	    lmm_collector_begin(embed.collector, &session)) {
		give_up();
		return;
	}
	embed.pid = getpid();
	if (start_thread()) {
		give_up();
		return;
	}
	embed.active = 1;
	memcpy(dir, embed.folder.path, strlen(embed.folder.path) + 1);
}

void lmm_embed_stop(void)
{
	if (!embed.active || embed.pid != getpid())
		return;
	embed.active = 0;
	atomic_store_explicit(&embed.stop, 1, memory_order_release);
	pthread_join(embed.thread, NULL);
	lmm_collector_finish(embed.collector, -1);
	lmm_collector_destroy(embed.collector);
	lmm_trace_writer_close(embed.writer);
	lmm_folder_close(&embed.folder, 1);
}

void lmm_embed_after_fork(char *out_path, size_t bytes, char *dir)
{
	size_t n = strlen(out_path);

	if (!n)
		return;
	/* the parent's collector, file and folder are the parent's: they are left as they are */
	memset(&embed, 0, sizeof(embed));
	dir[0] = 0;
	snprintf(out_path + n, bytes - n, ".%d", (int)getpid());
}
