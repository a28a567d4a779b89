/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/dormant.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/folder.h"
#include "probe/hooks.h"
#include "probe/session.h"
#include "wire/control.h"

#define STACK_BYTES (256u << 10)
#define PERIOD_NS   250000000

static struct lmm_shm_control *control;
static char control_path[LMM_FOLDER_PATH_BYTES];

/* Until the word is no longer `seen`, or the time is over; NULL: for ever. */
static void sleep_on(const _Atomic uint32_t *word, uint32_t seen, const struct timespec *t)
{
	syscall(SYS_futex, word, FUTEX_WAIT, seen, t, NULL, 0);
}

/* Whoever asked holds the lock as long as he lives. */
static int is_abandoned(void)
{
	int fd = open(control_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (fd >= 0)
		close(fd);
	return is_free;
}

static void leave(void)
{
	lmm_session_detach();
	lmm_hooks_empty();
	atomic_store_explicit(&control->is_joined, 0, memory_order_release);
}

static int obey(void)
{
	char dir[LMM_CONTROL_DIR_BYTES];
	int rc;

	memcpy(dir, control->dir, sizeof(dir));
	dir[sizeof(dir) - 1] = 0;
	if (!dir[0]) {
		leave();
		return 0;
	}
	rc = lmm_session_attach(dir);
	if (rc == 0)
		lmm_hooks_fill();
	if (rc == 0)
		atomic_store_explicit(&control->is_joined, 1, memory_order_release);
	return rc;
}

static void *wait_for_requests(void *arg)
{
	const struct timespec period = { 0, PERIOD_NS };
	uint32_t seen = 0;

	(void)arg;
	for (;;) {
		/* pairs with the release in lmm_control_ask() */
		uint32_t now = atomic_load_explicit(&control->request, memory_order_acquire);
		int is_joined =
			(int)atomic_load_explicit(&control->is_joined, memory_order_relaxed);

		if (now == seen) {
			sleep_on(&control->request, seen, is_joined ? &period : NULL);
			if (is_joined && is_abandoned()) {
				leave();
			} else if (is_joined) {
				lmm_hooks_fill();
			}
			continue;
		}
		seen = now;
		atomic_store_explicit(&control->answer, obey(), memory_order_relaxed);
		atomic_store_explicit(&control->answered, seen, memory_order_release);
		syscall(SYS_futex, &control->answered, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
	return NULL;
}

/* The thread must not take the program's signals. */
static int start_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int rc;

	if (pthread_attr_init(&attr))
		return -1;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, wait_for_requests, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

static struct lmm_shm_control *control_make(void)
{
	char base[LMM_FOLDER_PATH_BYTES];
	struct lmm_shm_control *c;

	if (lmm_folder_base(base) || snprintf(control_path, sizeof(control_path), "%s/c%d", base,
					      (int)getpid()) >= (int)sizeof(control_path))
		return NULL;
	/* of a process that had this number before */
	unlink(control_path);
	c = lmm_session_map_new(control_path, sizeof(*c));
	if (!c)
		return NULL;
	c->version = LMM_SHM_CONTROL_VERSION;
	c->bytes = sizeof(*c);
	c->pid = getpid();
	c->made_ns = lmm_mono_ns();
	c->magic = LMM_SHM_CONTROL_MAGIC;
	return c;
}

void lmm_dormant_start(void)
{
	if (control)
		return;
	control = control_make();
	if (control && start_thread())
		lmm_dormant_stop();
}

void lmm_dormant_stop(void)
{
	/* the page stays: its thread may look at it until the very end */
	if (control && control->pid == getpid())
		unlink(control_path);
}

void lmm_dormant_after_fork(void)
{
	/* who looks through what the child has mapped is to find its own */
	if (control)
		munmap(control, sizeof(*control));
	control = NULL;
}
