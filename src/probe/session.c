/* SPDX-License-Identifier: Apache-2.0 */
/* This process's part of the session: its files, its descriptors, its life from first hook to exit or fork. */
#include "probe/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "probe/dormant.h"
#include "probe/embed.h"
#include "probe/engines/mark.h"
#include "probe/engines/tvm_late.h"
#include "probe/hooks.h"
#include "probe/probe.h"

static const _Atomic uint32_t never_recording;
const _Atomic uint32_t *_Atomic lmm_recording_word = &never_recording;
uint8_t lmm_probe_clock;
uint8_t lmm_probe_threads_all;

#define START_WAIT_NS 200000000

enum start_state { UNSTARTED, STARTING, STARTED };

static _Atomic int started;
static _Thread_local bool is_starter __attribute__((tls_model("initial-exec")));
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t desc_lock = PTHREAD_MUTEX_INITIALIZER;
/* Of a session that was left they stay mapped, for a hook that is still in it; the next session takes their place. */
static struct lmm_shm_session *session;
static struct lmm_shm_process *process;
static _Atomic bool is_joined;
static bool is_asked; /* the session was joined by lmm_session_attach() */
static uint32_t process_index;
static char session_dir[PATH_BYTES];
static char out_path[PATH_BYTES];
static uint64_t reasons_said[64];
static uint32_t n_reasons_said;
static bool has_own_session; /* or file: nobody needs to ask */
static bool is_prepared;
static bool expands_command_buffers;
static bool wants_instrument;
static char cupti_path[PATH_BYTES];

static int file_path(char *path, const char *suffix, long number)
{
	int n;

	if (number < 0) {
		n = snprintf(path, PATH_BYTES, "%s/p%u%s", session_dir, process_index, suffix);
	} else {
		n = snprintf(path, PATH_BYTES, "%s/p%u%s%ld", session_dir, process_index, suffix,
			     number);
	}
	return n > 0 && n < PATH_BYTES ? 0 : -1;
}

/* A new file of `bytes`, mapped. Space is reserved first: a full tmpfs must fail here, not kill the host by SIGBUS. */
void *lmm_session_map_new(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *p = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		unlink(path);
		return NULL;
	}
	return p;
}

static struct lmm_shm_session *session_map(const char *dir)
{
	char path[PATH_BYTES];
	struct stat st;
	struct lmm_shm_session *s = MAP_FAILED;
	int fd;

	if (snprintf(path, sizeof(path), "%s/session", dir) >= PATH_BYTES)
		return NULL;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_size >= (off_t)sizeof(*s))
		s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return NULL;
	if (s->magic != LMM_SHM_MAGIC || s->version != LMM_SHM_VERSION || s->bytes != sizeof(*s)) {
		munmap(s, sizeof(*s));
		return NULL;
	}
	return s;
}

static void process_name(char *name, size_t bytes)
{
	char exe[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *base;

	if (n <= 0) {
		snprintf(name, bytes, "?");
		return;
	}
	exe[n] = 0;
	base = strrchr(exe, '/');
	snprintf(name, bytes, "%.63s", base ? base + 1 : exe);
}

/* Moves a mapping to where an older one is: hooks that hold the address never see it unmapped. */
static void *in_place_of(void *old, void *new, size_t bytes)
{
	void *p = MAP_FAILED;

	if (old)
		p = mremap(new, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, old);
	return p == MAP_FAILED ? new : p;
}

static int process_make(void)
{
	struct lmm_shm_process *p;
	char path[PATH_BYTES];
	struct stat st;

	process_index = atomic_fetch_add(&session->n_processes, 1);
	if (process_index >= LMM_SHM_PROCESS_MAX || file_path(path, "", -1))
		return -1;
	p = lmm_session_map_new(path, sizeof(*p));
	if (!p)
		return -1;
	p->version = LMM_SHM_VERSION;
	p->bytes = sizeof(*p);
	p->pid = getpid();
	p->parent_pid = getppid();
	p->pid_namespace = stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
	p->start_ticks = lmm_now();
	p->has_begun_before = is_asked;
	process_name(p->name, sizeof(p->name));
	p->magic = LMM_SHM_MAGIC;
	process = in_place_of(process, p, sizeof(*p));
	return 0;
}

/* A command is recorded with one stamp, as half a pair of begin and end is. */
static _Atomic uint64_t command_mticks;

/* What one record costs on this machine, now: smallest of several rounds into a ring of its own. */
static void calibrate(void)
{
	enum { ROUNDS = 8, EVENTS = 256 };
	size_t bytes = LMM_RING_HEADER_BYTES + 2048 * sizeof(struct lmm_slot);
	struct lmm_ring *r = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	struct lmm_thread *th = calloc(1, sizeof(*th));
	uint64_t best_op = UINT64_MAX, best_pair = UINT64_MAX, best_ticks = UINT64_MAX;

	if (!r || !th)
		goto out;
	lmm_ring_init(r, bytes);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t t0, t1, t2, begin, ticks;

		lmm_writer_attach(&th->w, r, lmm_probe_clock);
		t0 = lmm_mono_ns();
		for (int i = 0; i < EVENTS; i++)
			lmm_writer_put(&th->w, lmm_now(), lmm_word_op(LMM_EV_OP, r));
		t1 = lmm_mono_ns();
		begin = lmm_now();
		for (int i = 0; i < EVENTS / 2; i++) {
			struct lmm_entry at = { lmm_now(), lmm_now() };

			lmm_phase_enter(th, LMM_PHASE_SAMPLING, LMM_SEQ_NONE, 0, at);
			lmm_phase_leave(th, LMM_SEQ_NONE, 0);
		}
		ticks = lmm_now() - begin;
		t2 = lmm_mono_ns();
		atomic_store_explicit(&r->tail, th->w.head, memory_order_relaxed);
		best_op = t1 - t0 < best_op ? t1 - t0 : best_op;
		best_pair = t2 - t1 < best_pair ? t2 - t1 : best_pair;
		best_ticks = ticks < best_ticks ? ticks : best_ticks;
	}
	process->op_cost_ps = (uint32_t)(best_op * 1000 / EVENTS);
	process->pair_cost_ps = (uint32_t)(best_pair * 1000 / (EVENTS / 2));
	atomic_store_explicit(&command_mticks, best_ticks * 1000 / EVENTS, memory_order_relaxed);
out:
	free(th);
	free(r);
}

static int session_join(void)
{
	struct lmm_shm_session *s = session_map(session_dir);

	if (!s)
		return -ENOENT;
	session = in_place_of(session, s, sizeof(*s));
	lmm_probe_clock = session->clock;
	lmm_probe_threads_all = session->threads_all;
	if (process_make()) {
		atomic_fetch_add(&session->refused_processes, 1);
		return -ENOSPC;
	}
	calibrate();
	lmm_threads_init();
	atomic_store(&is_joined, true);
	atomic_store_explicit(&lmm_recording_word, &session->recording, memory_order_release);
	atomic_store_explicit(&process->state, LMM_SHM_PROCESS_RUNNING, memory_order_release);
	return 0;
}

/* Whoever comes while another thread starts waits for it, or its first records would be missing; never long, for it may hold what
 * that one needs. */
static int start_wait(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += START_WAIT_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_mutex_timedlock(&start_lock, &until);
}

LMM_COLD void lmm_probe_start(void)
{
	if (atomic_load_explicit(&started, memory_order_acquire) == STARTED || is_starter ||
	    start_wait())
		return;
	if (atomic_load(&started) == UNSTARTED) {
		/* Set first: what the start itself calls may come through a hook. */
		is_starter = true;
		atomic_store(&started, STARTING);
		if (!session_dir[0] && out_path[0])
			lmm_embed_start(out_path, session_dir, sizeof(session_dir));
		if (session_dir[0]) {
			session_join();
		} else if (!out_path[0]) {
			lmm_dormant_start();
		}
		lmm_mark_started();
		atomic_store_explicit(&started, STARTED, memory_order_release);
		is_starter = false;
	}
	pthread_mutex_unlock(&start_lock);
	if (lmm_session_is_joined() && lmm_door_is_late() && lmm_tvm_late()) {
		lmm_session_reason(
			LMM_LEVEL_OFF,
			"TVM was loaded before lmmeter, and its functions are not laid out "
			"as they are known: preload lmmeter");
	}
}

/* No two recordings of this process have the same number, whichever process has asked for the last one, `now`. */
static uint32_t recording_next(uint32_t now)
{
	static _Atomic uint32_t last = 1;
	uint32_t next;

	do {
		next = atomic_fetch_add(&last, 2) + 2;
	} while (next <= now);
	return next;
}

int lmm_session_attach(const char *dir)
{
	int rc;

	if (atomic_load(&is_joined))
		return -EBUSY;
	lmm_mark_find(); /* of libraries that were opened since and could not say so */
	pthread_mutex_lock(&desc_lock);
	lmm_threads_renew_begin();
	pthread_mutex_lock(&start_lock);
	n_reasons_said = 0;
	pthread_mutex_unlock(&start_lock);
	is_asked = true;
	(void)snprintf(session_dir, sizeof(session_dir), "%s", dir);
	rc = session_join();
	lmm_threads_renew_end();
	pthread_mutex_unlock(&desc_lock);
	if (rc)
		return rc;
	atomic_store_explicit(&session->recording, recording_next(0), memory_order_release);
	lmm_mark_started();
	return 0;
}

void lmm_session_detach(void)
{
	if (!atomic_load(&is_joined))
		return;
	lmm_cu_recording_tell();
	atomic_store(&is_joined, false);
	/* the process has not ended: its requests go on, unseen */
	atomic_fetch_and(&session->recording, ~1u);
	lmm_cl_recording_end();
	lmm_cu_recording_end();
}

int lmm_recording_set(int on)
{
	uint32_t w;

	lmm_probe_start();
	if (!lmm_session_is_joined())
		return -1;
	w = atomic_load(&session->recording);
	if ((int)(w & 1u) != !!on)
		atomic_store(&session->recording, on ? recording_next(w) : w & ~1u);
	return (int)(w & 1u);
}

uint32_t lmm_session_op_every(void)
{
	return session ? atomic_load_explicit(&session->op_every, memory_order_relaxed) : 0;
}

double lmm_session_command_ticks(void)
{
	return (double)atomic_load_explicit(&command_mticks, memory_order_relaxed) / 1000;
}

uint32_t lmm_session_device_budget_ppm(void)
{
	return session ? session->device_budget_ppm : 0;
}

enum lmm_kernel_times lmm_session_kernel_times(void)
{
	unsigned times = session ? session->kernel_times : LMM_KERNEL_TIMES_OFF;

	return times < LMM_KERNEL_TIMES_COUNT ? (enum lmm_kernel_times)times : LMM_KERNEL_TIMES_OFF;
}

const char *lmm_session_cupti_path(void)
{
	return cupti_path;
}

bool lmm_session_wants_instrument(void)
{
	return wants_instrument;
}

bool lmm_session_expands_command_buffers(void)
{
	return expands_command_buffers;
}

bool lmm_session_has_joined_late(void)
{
	return is_asked;
}

bool lmm_session_is_joined(void)
{
	return atomic_load_explicit(&is_joined, memory_order_relaxed);
}

bool lmm_session_is_asleep(void)
{
	return !has_own_session && !lmm_session_is_joined();
}

bool lmm_session_is_prepared(void)
{
	return is_prepared;
}

/* ---- rings -------------------------------------------------------------------------------------- */

/* A ring's share of the ceiling: what it wants, at most a quarter of what is left. 0 if there is too little. */
static size_t memory_claim(void)
{
	uint64_t used = atomic_load(&session->memory_used_bytes);

	for (;;) {
		uint64_t left = used < session->memory_bytes ? session->memory_bytes - used : 0;
		uint64_t want = session->ring_bytes < left / 4 ? session->ring_bytes : left / 4;

		while (want & (want - 1))
			want &= want - 1;
		want = want < 65536 ? 65536 : want;
		if (want > left)
			return 0;
		if (atomic_compare_exchange_weak(&session->memory_used_bytes, &used, used + want))
			return (size_t)want;
	}
}

void *lmm_session_map_ring(uint32_t index, size_t *bytes)
{
	char path[PATH_BYTES];
	size_t claimed;
	void *p;

	if (!lmm_session_is_joined() || file_path(path, ".r", (long)index))
		return NULL;
	claimed = memory_claim();
	if (!claimed)
		return NULL;
	/* the slots take a power of two, the header a page of its own */
	*bytes = claimed + 4096;
	p = lmm_session_map_new(path, *bytes);
	if (!p)
		atomic_fetch_sub(&session->memory_used_bytes, claimed);
	return p;
}

void lmm_session_publish_rings(uint32_t n)
{
	/* pairs with the acquire in the collector's process_poll() */
	atomic_store_explicit(&process->n_rings, n, memory_order_release);
}

void lmm_session_count_no_ring(uint64_t n)
{
	if (process)
		atomic_fetch_add_explicit(&process->no_ring_lost, n, memory_order_relaxed);
}

/* ---- descriptors -------------------------------------------------------------------------------- */

static int write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* The file is opened each time: a program that closes all descriptors it does not know must not take ours. */
static int desc_append(const uint32_t *frame, const struct lmm_buf *payload)
{
	char path[PATH_BYTES];
	uint64_t at = atomic_load_explicit(&process->desc_bytes, memory_order_relaxed);
	int fd, rc;

	if (file_path(path, ".d", -1))
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	rc = lseek(fd, (off_t)at, SEEK_SET) == (off_t)at ? 0 : -1;
	if (rc == 0)
		rc = write_all(fd, frame, 8);
	if (rc == 0)
		rc = write_all(fd, payload->data, payload->n);
	close(fd);
	/* pairs with the acquire in the collector's desc_poll(); a torn write stays behind this mark */
	if (rc == 0) {
		atomic_store_explicit(&process->desc_bytes, at + 8 + payload->n,
				      memory_order_release);
	}
	return rc;
}

bool lmm_session_describe(enum lmm_desc_kind kind, const struct lmm_buf *payload)
{
	uint32_t frame[2] = { (uint32_t)payload->n, (uint32_t)kind };
	int saved = errno;
	bool is_there;

	if (!lmm_session_is_joined())
		return false;
	pthread_mutex_lock(&desc_lock);
	is_there = !payload->overflow && payload->n <= LMM_DESC_BYTES_MAX &&
		   desc_append(frame, payload) == 0;
	if (!is_there)
		atomic_fetch_add_explicit(&process->desc_lost, 1, memory_order_relaxed);
	pthread_mutex_unlock(&desc_lock);
	errno = saved;
	return is_there;
}

uint64_t lmm_session_described_bytes(void)
{
	return lmm_session_is_joined()
		       ? atomic_load_explicit(&process->desc_bytes, memory_order_relaxed)
		       : 0;
}

void lmm_session_reason(enum lmm_level level, const char *format, ...)
{
	struct lmm_buf b = { 0 };
	char text[512];
	uint64_t h;
	va_list ap;
	int known = 0;

	if (!lmm_session_is_joined())
		return;
	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	h = lmm_hash_str(LMM_HASH_SEED, text);
	pthread_mutex_lock(&start_lock);
	for (uint32_t i = 0; i < n_reasons_said; i++)
		known |= reasons_said[i] == h;
	if (!known && n_reasons_said < LMM_ARRAY_SIZE(reasons_said)) {
		reasons_said[n_reasons_said++] = h;
	} else {
		known = 1;
	}
	pthread_mutex_unlock(&start_lock);
	if (known)
		return;
	lmm_buf_put_varint(&b, level);
	lmm_buf_put_str(&b, text);
	lmm_session_describe(LMM_DESC_REASON, &b);
	lmm_buf_free(&b);
}

/* ---- birth, fork, death ------------------------------------------------------------------------- */

static void after_fork_in_child(void)
{
	lmm_recording_word = &never_recording;
	atomic_store(&is_joined, false);
	session = NULL;
	process = NULL;
	if (is_asked)
		session_dir[0] = 0;
	is_asked = false;
	is_starter = false;
	lmm_dormant_after_fork();
	lmm_hooks_after_fork();
	n_reasons_said = 0;
	pthread_mutex_init(&start_lock, NULL);
	pthread_mutex_init(&desc_lock, NULL);
	lmm_embed_after_fork(out_path, sizeof(out_path), session_dir);
	lmm_threads_after_fork();
	lmm_doors_reset();
	lmm_engine_after_fork();
	lmm_ggml_after_fork();
	lmm_llama_after_fork();
	lmm_tvm_after_fork();
	lmm_mark_after_fork();
	lmm_nvtx_after_fork();
	lmm_device_after_fork();
	lmm_cl_after_fork();
	lmm_vk_after_fork();
	lmm_cu_after_fork();
	atomic_store(&started, UNSTARTED);
}

static void remember(char *to, const char *variable)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): a constructor: there is one thread yet */
	const char *v = getenv(variable);

	if (v && strlen(v) < PATH_BYTES)
		memcpy(to, v, strlen(v) + 1);
}

/* All that a process without an engine pays. */
__attribute__((constructor)) static void probe_loaded(void)
{
	char expand[PATH_BYTES] = "", instrument[PATH_BYTES] = "", dormant[PATH_BYTES] = "";

	remember(session_dir, LMM_ENV_SESSION);
	remember(out_path, LMM_ENV_OUT);
	remember(expand, LMM_ENV_EXPAND);
	expands_command_buffers = expand[0] == '1';
	remember(instrument, LMM_ENV_INSTRUMENT);
	wants_instrument = instrument[0] == '1';
	remember(cupti_path, LMM_ENV_CUPTI);
	remember(dormant, LMM_ENV_DORMANT);
	is_prepared = dormant[0] == '1';
	has_own_session = session_dir[0] || out_path[0];
	pthread_atfork(NULL, NULL, after_fork_in_child);
	lmm_mark_find();
	if ((!session_dir[0] && !out_path[0]) || !lmm_door_is_late())
		return;
	lmm_tvm_old_late();
	if (lmm_tvm_late())
		lmm_probe_start(); /* which says why not */
}

__attribute__((destructor)) static void probe_unloaded(void)
{
	lmm_cu_process_end();
	if (process)
		atomic_store_explicit(&process->state, LMM_SHM_PROCESS_ENDED, memory_order_release);
	lmm_embed_stop();
	lmm_dormant_stop();
}
