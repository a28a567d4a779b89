/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/collector.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/host.h"
#include "collect/patterns.h"
#include "collect/process.h"
#include "collect/resolve.h"
#include "wire/desc.h"
#include "wire/ring.h"

#define BATCH_EVENTS	   8192u
#define WIDE_EVENTS	   32768u /* of a batch, with its patterns told one by one */
#define BATCHES_PER_RING   64u	  /* of one poll: no ring starves the others */
#define CLOCK_PERIOD_NS	   1000000000u
#define CLOCK_FIRST_NS	   4000000u /* two pairs give the rate: the second one comes soon */
#define LIVENESS_PERIOD_NS 250000000u
#define DESC_KEEP_BYTES	   (16u << 20) /* of the descriptors read: a recovery reads them again */

struct ring {
	struct lmm_ring *shm; /* NULL: not mapped */
	size_t bytes;
	uint32_t n_slots;
	uint64_t pos;		 /* read up to here */
	uint64_t keep;		 /* whoever reads from here on knows which graph runs at pos */
	uint64_t released;	 /* given back up to here */
	uint64_t goal;		 /* what was there when the last drain began ends here */
	uint64_t dropped_before; /* drops that belong to earlier streams of this ring */
	uint64_t lost_marked;	 /* drops of this stream announced by LOST events */
	uint64_t dropped_said;
	uint32_t stream; /* UINT32_MAX: none yet */
	uint64_t stored; /* events of the stream */
	uint64_t invalid;
	int32_t tid;
	struct lmm_resolve_at at;
};

struct process {
	struct lmm_shm_process *shm; /* NULL: its file has not been seen whole yet */
	struct lmm_process item;
	int32_t pid; /* its number here; 0: it cannot be seen */
	uint8_t announced;
	uint8_t ended;
	uint32_t n_rings;
	struct ring *ring[LMM_SHM_RING_MAX];
	uint64_t desc_read;
	uint64_t desc_punched; /* let go up to here */
	uint64_t desc_keep[2]; /* descriptors begin there; what lies before the first goes next */
	uint64_t newest;       /* stamp */
	struct lmm_resolver *resolver;
	struct lmm_patterns *patterns; /* NULL: it has described none */
	char name[64];
	char engine_name[64];
	char engine_version[192];
	char door[16];
};

struct lmm_collector {
	struct lmm_folder *folder;
	struct lmm_collector_opts opts;
	int error; /* the sink's first */
	struct process *process[LMM_SHM_PROCESS_MAX];
	uint32_t n_processes;
	uint32_t n_streams;
	unsigned alive;
	unsigned pressure_percent;
	uint64_t no_ring_lost;
	uint64_t newest; /* stamp */
	uint8_t resumed;
	uint64_t next_clock_ns, clock_period_ns;
	uint64_t next_liveness_ns;
	char id[33];
	struct lmm_host host;
	struct lmm_event ev[BATCH_EVENTS];
	struct lmm_event *wide; /* WIDE_EVENTS, for batches with patterns; NULL: none came yet */
	char arena[LMM_DESC_ARENA_BYTES];
};

struct lmm_collector *lmm_collector_create(struct lmm_folder *folder,
					   const struct lmm_collector_opts *opts)
{
	struct lmm_collector *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->folder = folder;
	c->opts = *opts;
	return c;
}

static int emit(struct lmm_collector *c, const struct lmm_item *item)
{
	if (c->error == 0)
		c->error = c->opts.sink(c->opts.sink_ctx, item);
	return c->error;
}

/* ---- files of a process ------------------------------------------------------------------------- */

static int process_path(const struct lmm_collector *c, uint32_t p, const char *suffix, long number,
			char *path, size_t bytes)
{
	int n;

	if (number < 0) {
		n = snprintf(path, bytes, "%s/p%u%s", c->folder->path, p, suffix);
	} else {
		n = snprintf(path, bytes, "%s/p%u%s%ld", c->folder->path, p, suffix, number);
	}
	return n > 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

static void *map_file(const char *path, size_t least, size_t *bytes)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_size >= (off_t)least &&
	    st.st_size <= (off_t)1 << 32) {
		*bytes = (size_t)st.st_size;
		p = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static struct process *process_get(struct lmm_collector *c, uint32_t p)
{
	if (!c->process[p]) {
		c->process[p] = calloc(1, sizeof(struct process));
		if (c->process[p])
			c->process[p]->resolver = calloc(1, sizeof(struct lmm_resolver));
	}
	return c->process[p] && c->process[p]->resolver ? c->process[p] : NULL;
}

static struct ring *ring_get(struct process *p, uint32_t k)
{
	if (!p->ring[k]) {
		p->ring[k] = calloc(1, sizeof(struct ring));
		if (p->ring[k])
			p->ring[k]->stream = UINT32_MAX;
	}
	return p->ring[k];
}

static void process_attach(struct lmm_collector *c, struct process *p, uint32_t number)
{
	char path[LMM_FOLDER_PATH_BYTES + 32];
	struct lmm_shm_process *shm;
	size_t bytes;

	if (process_path(c, number, "", -1, path, sizeof(path)))
		return;
	shm = map_file(path, sizeof(*shm), &bytes);
	if (!shm)
		return;
	if (shm->magic != LMM_SHM_MAGIC || shm->version != LMM_SHM_VERSION ||
	    shm->bytes != sizeof(*shm) ||
	    atomic_load_explicit(&shm->state, memory_order_acquire) == LMM_SHM_PROCESS_STARTING) {
		munmap(shm, bytes);
		return;
	}
	p->shm = shm;
	p->item.process = number;
	p->pid = lmm_process_seen_from_here(shm->pid, shm->pid_namespace);
	p->item.pid = p->pid ? p->pid : shm->pid;
	p->item.parent_pid = lmm_process_seen_from_here(shm->parent_pid, shm->pid_namespace);
	p->item.start_ticks = shm->start_ticks;
	p->item.op_cost_ps = shm->op_cost_ps;
	p->item.pair_cost_ps = shm->pair_cost_ps;
	p->item.joined = shm->has_begun_before != 0;
	memcpy(p->name, shm->name, sizeof(p->name));
	p->name[sizeof(p->name) - 1] = 0;
}

static int process_announce(struct lmm_collector *c, struct process *p)
{
	struct lmm_item item = { .kind = LMM_ITEM_PROCESS, .process = p->item };

	item.process.name = p->name;
	item.process.engine_name = p->engine_name;
	item.process.engine_version = p->engine_version;
	item.process.door = p->door[0] ? p->door : "preload";
	p->announced = 1;
	return emit(c, &item);
}

/* Resolves a batch that was read from `from` on, and remembers where the run that it ends in began. */
static void ring_follow(const struct process *p, struct ring *r, struct lmm_event *ev, size_t n,
			uint64_t from)
{
	uint32_t runs = r->at.runs;

	lmm_resolve(p->resolver, &r->at, ev, n);
	if (!r->at.map) {
		r->keep = r->pos;
	} else if (r->at.runs != runs) {
		r->keep = from;
	}
}

/*
 * A recovery: what the file holds is not read again, what was given back cannot be. Between the two may lie the
 * beginning of the graph run that goes on behind.
 */
static void ring_catch_up(struct lmm_collector *c, const struct process *p, struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->shm->tail, memory_order_relaxed);
	uint64_t upto = r->pos, bad = 0, from;

	if (tail > upto || upto - tail > r->n_slots)
		upto = tail;
	r->pos = r->keep = r->released = tail;
	do {
		size_t n;

		from = r->pos;
		n = lmm_ring_drain_to(r->shm, r->n_slots, upto, &r->pos, c->ev, BATCH_EVENTS, &bad);
		if (n && c->ev[0].type == LMM_EV_THREAD)
			memset(&r->at, 0, sizeof(r->at));
		ring_follow(p, r, c->ev, n, from);
	} while (r->pos != from);
	/* a file that says more than was recorded: nobody knows what is missing */
	r->pos = upto;
}

static void ring_attach(struct lmm_collector *c, struct process *p, struct ring *r, uint32_t k)
{
	char path[LMM_FOLDER_PATH_BYTES + 32];
	struct lmm_ring *shm;
	size_t bytes;
	uint32_t n;

	if (process_path(c, p->item.process, ".r", (long)k, path, sizeof(path)))
		return;
	shm = map_file(path, LMM_RING_HEADER_BYTES + 64 * sizeof(struct lmm_slot), &bytes);
	if (!shm)
		return;
	n = shm->n_slots;
	if (n < 64 || (n & (n - 1)) ||
	    LMM_RING_HEADER_BYTES + (size_t)n * sizeof(struct lmm_slot) > bytes) {
		munmap(shm, bytes);
		return;
	}
	r->shm = shm;
	r->bytes = bytes;
	r->n_slots = n;
	ring_catch_up(c, p, r);
}

/* ---- descriptors -------------------------------------------------------------------------------- */

static int desc_graph(struct lmm_collector *c, struct process *p, const void *payload, size_t bytes)
{
	struct lmm_desc_graph g;
	struct lmm_item item = { .kind = LMM_ITEM_GRAPH };
	int rc = lmm_desc_graph_read(payload, bytes, &g);

	if (rc)
		return rc == -ENOMEM ? rc : 0;
	item.graph = g.graph;
	item.graph.process = p->item.process;
	emit(c, &item);
	rc = lmm_resolver_add(p->resolver, g.graph.graph, g.graph.n_nodes, g.offset);
	g.offset = NULL;
	lmm_desc_graph_free(&g);
	return rc;
}

static int desc_engine(struct lmm_collector *c, struct process *p, const struct lmm_process *e)
{
	snprintf(p->engine_name, sizeof(p->engine_name), "%s", e->engine_name);
	snprintf(p->engine_version, sizeof(p->engine_version), "%s", e->engine_version);
	snprintf(p->door, sizeof(p->door), "%s", e->door);
	return process_announce(c, p);
}

/* NULL: out of memory. */
static struct lmm_patterns *patterns_of(struct process *p)
{
	if (!p->patterns)
		p->patterns = calloc(1, sizeof(*p->patterns));
	return p->patterns;
}

static int desc_pattern(struct process *p, const void *payload, size_t bytes)
{
	if (!patterns_of(p) || lmm_patterns_add(p->patterns, payload, bytes) == -ENOMEM)
		return -ENOMEM;
	return 0; /* a foreign word in shared memory is no reason to stop */
}

static int desc_one(struct lmm_collector *c, struct process *p, uint32_t kind, const void *payload,
		    size_t bytes)
{
	struct lmm_item item;

	if (kind == LMM_DESC_GRAPH)
		return desc_graph(c, p, payload, bytes);
	if (kind == LMM_DESC_PATTERN)
		return desc_pattern(p, payload, bytes);
	if (lmm_desc_item_read(kind, payload, bytes, c->arena, &item))
		return 0; /* a foreign word in shared memory is no reason to stop */
	switch (item.kind) {
	case LMM_ITEM_PROCESS:
		return desc_engine(c, p, &item.process);
	case LMM_ITEM_MODEL:
		item.model.process = p->item.process;
		break;
	case LMM_ITEM_REASON:
		item.reason.process = p->item.process;
		break;
	case LMM_ITEM_KERNEL:
		item.kernel.process = p->item.process;
		break;
	case LMM_ITEM_QUEUE:
		item.queue.process = p->item.process;
		break;
	case LMM_ITEM_NAME:
		item.name.process = p->item.process;
		break;
	default:
		return 0;
	}
	return emit(c, &item);
}

static int read_at(int fd, void *data, size_t n, uint64_t at)
{
	char *to = data;

	while (n) {
		ssize_t k = pread(fd, to, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		to += k;
		at += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

/*
 * Memory of descriptors read long ago goes back to the system. A frame of kind 0 takes their place, so that a recovery,
 * which begins at the beginning, finds those kept.
 */
static void desc_punch(struct process *p, int fd)
{
	uint64_t from = p->desc_punched, upto = p->desc_keep[0];
	uint32_t frame[2] = { (uint32_t)(upto - from - 8), 0 };

	if (p->desc_read < p->desc_keep[1] + DESC_KEEP_BYTES)
		return;
	p->desc_keep[0] = p->desc_keep[1];
	p->desc_keep[1] = p->desc_read;
	if (upto < from + 8192)
		return;
#ifdef FALLOC_FL_PUNCH_HOLE
	if (pwrite(fd, frame, sizeof(frame), (off_t)from) != (ssize_t)sizeof(frame))
		return;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(from + 8),
		      (off_t)frame[0]) == 0)
		p->desc_punched = upto;
#else
	(void)fd;
	(void)frame;
#endif
}

static void desc_drain(struct lmm_collector *c, struct process *p, int fd, uint64_t end)
{
	while (p->desc_read + 8 <= end && c->error == 0) {
		uint32_t frame[2];
		void *payload;

		if (read_at(fd, frame, sizeof(frame), p->desc_read))
			return;
		if ((frame[1] && frame[0] > LMM_DESC_BYTES_MAX) ||
		    p->desc_read + 8 + frame[0] > end) {
			p->desc_read = end; /* not ours to repair: go on behind it */
			return;
		}
		if (frame[1] == 0) { /* let go */
			p->desc_read += 8 + (uint64_t)frame[0];
			continue;
		}
		payload = malloc(frame[0] ? frame[0] : 1);
		if (!payload)
			return;
		if (read_at(fd, payload, frame[0], p->desc_read + 8) == 0)
			desc_one(c, p, frame[1], payload, frame[0]);
		free(payload);
		p->desc_read += 8 + frame[0];
	}
}

static void desc_poll(struct lmm_collector *c, struct process *p)
{
	char path[LMM_FOLDER_PATH_BYTES + 32];
	/* pairs with the release in the probe's desc_append() */
	uint64_t end = atomic_load_explicit(&p->shm->desc_bytes, memory_order_acquire);
	int fd;

	if (end <= p->desc_read || process_path(c, p->item.process, ".d", -1, path, sizeof(path)))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	desc_drain(c, p, fd, end);
	desc_punch(p, fd);
	close(fd);
}

/* ---- rings -------------------------------------------------------------------------------------- */

static uint64_t ring_lost(const struct ring *r)
{
	uint64_t dropped = lmm_ring_dropped(r->shm);

	return dropped > r->dropped_before ? dropped - r->dropped_before : 0;
}

static int emit_loss(struct lmm_collector *c, struct ring *r, uint64_t lost)
{
	struct lmm_item item = { .kind = LMM_ITEM_LOSS };

	if (r->stream == UINT32_MAX)
		return 0;
	item.loss.stream = r->stream;
	item.loss.lost = lost;
	item.loss.emitted = r->stored + r->invalid + lost;
	r->dropped_said = lost;
	return emit(c, &item);
}

static int stream_begin(struct lmm_collector *c, struct process *p, uint32_t k, int32_t tid)
{
	struct ring *r = p->ring[k];
	struct lmm_item item = { .kind = LMM_ITEM_STREAM };

	if (r->stream != UINT32_MAX)
		emit_loss(c, r, r->lost_marked);
	r->dropped_before += r->lost_marked;
	r->lost_marked = r->stored = r->invalid = r->dropped_said = 0;
	memset(&r->at, 0, sizeof(r->at));
	r->keep = r->pos;
	r->stream = c->n_streams++;
	r->tid = tid;
	item.stream.stream = r->stream;
	item.stream.process = p->item.process;
	item.stream.ring = k;
	item.stream.tid = tid;
	return emit(c, &item);
}

static int emit_events(struct lmm_collector *c, struct process *p, struct ring *r,
		       struct lmm_event *ev, size_t n, uint64_t from)
{
	struct lmm_item item = { .kind = LMM_ITEM_EVENTS };

	if (n == 0)
		return 0;
	ring_follow(p, r, ev, n, from);
	for (size_t i = 0; i < n; i++) {
		if (ev[i].type == LMM_EV_LOST) {
			r->lost_marked += ev[i].a;
		} else {
			r->stored++;
		}
		/* stamps of a device are of another clock */
		if (ev[i].type != LMM_EV_COMPLETION && ev[i].t > p->newest)
			p->newest = ev[i].t;
	}
	c->newest = p->newest > c->newest ? p->newest : c->newest;
	item.events.stream = r->stream;
	item.events.n = (uint32_t)n;
	item.events.ev = ev;
	item.events.ring_from = from;
	item.events.ring_to = r->pos;
	return emit(c, &item);
}

/* The events of a batch as files have them; *n: how many. NULL: out of memory. */
static struct lmm_event *one_by_one(struct lmm_collector *c, struct process *p, struct ring *r,
				    struct lmm_event *ev, size_t *n)
{
	size_t i = 0;

	while (i < *n && ev[i].type != LMM_EV_PATTERN)
		i++;
	if (i == *n)
		return ev;
	if (!c->wide)
		c->wide = malloc(WIDE_EVENTS * sizeof(*c->wide));
	if (!patterns_of(p) || !c->wide)
		return NULL;
	*n = lmm_patterns_expand(p->patterns, ev, *n, c->wide, WIDE_EVENTS, &r->invalid);
	return c->wide;
}

/* A batch of one thread: if the ring has passed to another, it begins with that. */
static void ring_batch(struct lmm_collector *c, struct process *p, uint32_t k, size_t n,
		       uint64_t from)
{
	struct ring *r = p->ring[k];
	size_t begin = n && c->ev[0].type == LMM_EV_THREAD;
	struct lmm_event *ev;

	if (begin) {
		stream_begin(c, p, k, (int32_t)c->ev[0].a);
	} else if (r->stream == UINT32_MAX) {
		stream_begin(c, p, k, atomic_load_explicit(&r->shm->tid, memory_order_relaxed));
	}
	n -= begin;
	ev = one_by_one(c, p, r, c->ev + begin, &n);
	if (!ev && !c->error)
		c->error = -ENOMEM;
	if (ev)
		emit_events(c, p, r, ev, n, from);
}

static void note_pressure(struct lmm_collector *c, const struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->shm->head, memory_order_relaxed);
	uint64_t used = head > r->pos ? head - r->pos : 0;
	unsigned percent = used >= r->n_slots ? 100 : (unsigned)(used * 100 / r->n_slots);

	if (percent > c->pressure_percent)
		c->pressure_percent = percent;
}

/* All that is there now. A head beyond reason counts as a full ring. */
static void ring_set_goal(struct ring *r)
{
	uint64_t head = atomic_load_explicit(&r->shm->head, memory_order_acquire);

	r->goal = head < r->pos ? r->pos : head - r->pos > r->n_slots ? r->pos + r->n_slots : head;
}

static long ring_poll(struct lmm_collector *c, struct process *p, uint32_t k)
{
	struct ring *r = p->ring[k];
	long total = 0;

	note_pressure(c, r);
	ring_set_goal(r);
	for (unsigned b = 0; b < BATCHES_PER_RING && r->pos < r->goal; b++) {
		uint64_t from = r->pos, bad = 0;
		size_t n = lmm_ring_drain(r->shm, r->n_slots, &r->pos, c->ev, BATCH_EVENTS, &bad);
		size_t fit;

		/* what the events speak of was described before they were recorded */
		desc_poll(c, p);
		fit = p->patterns ? lmm_patterns_fit(p->patterns, c->ev, n, WIDE_EVENTS) : n;
		if (fit < n) {
			r->pos = from;
			bad = 0;
			n = lmm_ring_drain(r->shm, r->n_slots, &r->pos, c->ev, fit, &bad);
		}
		r->invalid += bad;
		ring_batch(c, p, k, n, from);
		total += (long)n;
	}
	if (ring_lost(r) != r->dropped_said)
		emit_loss(c, r, ring_lost(r));
	return total;
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static long process_poll(struct lmm_collector *c, uint32_t number)
{
	struct process *p = process_get(c, number);
	uint32_t n;
	long total = 0;

	if (!p || p->ended)
		return 0;
	if (!p->shm)
		process_attach(c, p, number);
	if (!p->shm)
		return 0;
	if (!p->announced)
		process_announce(c, p);
	/* pairs with the release in lmm_session_publish_rings() */
	n = atomic_load_explicit(&p->shm->n_rings, memory_order_acquire);
	p->n_rings = n < LMM_SHM_RING_MAX ? n : LMM_SHM_RING_MAX;
	desc_poll(c, p);
	for (uint32_t k = 0; k < p->n_rings; k++) {
		struct ring *r = ring_get(p, k);

		if (r && !r->shm)
			ring_attach(c, p, r, k);
		if (r && r->shm)
			total += ring_poll(c, p, k);
	}
	return total;
}

/*
 * Up to the beginning of a run that goes on, so that a recovery can still tell its nodes; not if that would take a good
 * part of the ring away from its thread.
 */
static void ring_release(struct ring *r, int all)
{
	uint64_t upto = !all && r->pos - r->keep <= r->n_slots / 4 ? r->keep : r->pos;

	if (upto <= r->released)
		return;
	lmm_ring_release(r->shm, upto);
	r->released = upto;
}

static int keeps(const struct lmm_collector *c)
{
	return c->error && c->opts.keep_on_error;
}

static void release(struct lmm_collector *c, int all)
{
	if (keeps(c))
		return;
	for (uint32_t i = 0; i < c->n_processes; i++) {
		struct process *p = c->process[i];

		for (uint32_t k = 0; p && k < p->n_rings; k++) {
			struct ring *r = p->ring[k];

			if (r && r->shm)
				ring_release(r, all);
		}
	}
}

static void clock_poll(struct lmm_collector *c, int now)
{
	struct lmm_item item = { .kind = LMM_ITEM_CLOCK };
	uint64_t t = lmm_mono_ns();

	if (!now && t < c->next_clock_ns)
		return;
	c->clock_period_ns = c->clock_period_ns ? c->clock_period_ns * 4 : CLOCK_FIRST_NS;
	if (c->clock_period_ns > CLOCK_PERIOD_NS)
		c->clock_period_ns = CLOCK_PERIOD_NS;
	c->next_clock_ns = t + c->clock_period_ns;
	lmm_clock_pair((enum lmm_clock_kind)c->folder->shm->clock, 8, &item.clock);
	emit(c, &item);
}

static void memory_give_back(struct lmm_shm_session *shm, uint64_t bytes)
{
	uint64_t used = atomic_load(&shm->memory_used_bytes);

	while (used >= bytes &&
	       !atomic_compare_exchange_weak(&shm->memory_used_bytes, &used, used - bytes))
		;
}

static void ring_close(struct lmm_collector *c, struct process *p, uint32_t k)
{
	char path[LMM_FOLDER_PATH_BYTES + 32];
	struct ring *r = p->ring[k];

	if (r && r->shm) {
		munmap(r->shm, r->bytes);
		if (p->ended && !keeps(c) &&
		    process_path(c, p->item.process, ".r", (long)k, path, sizeof(path)) == 0) {
			unlink(path);
			memory_give_back(c->folder->shm,
					 (uint64_t)r->n_slots * sizeof(struct lmm_slot));
		}
	}
	free(r);
	p->ring[k] = NULL;
}

static void process_close(struct lmm_collector *c, struct process *p)
{
	for (uint32_t k = 0; k < LMM_SHM_RING_MAX; k++)
		ring_close(c, p, k);
	p->n_rings = 0;
	if (p->shm)
		munmap(p->shm, sizeof(*p->shm));
	p->shm = NULL;
	if (p->resolver) {
		lmm_resolver_free(p->resolver);
		free(p->resolver);
		p->resolver = NULL;
	}
	if (p->patterns)
		lmm_patterns_clear(p->patterns);
	free(p->patterns);
	p->patterns = NULL;
}

/* Everything that is there now, however fast more may come. */
static void process_drain(struct lmm_collector *c, struct process *p)
{
	uint64_t goal[LMM_SHM_RING_MAX];
	int behind = 1;

	process_poll(c, p->item.process); /* finds the rings */
	for (uint32_t k = 0; k < p->n_rings; k++) {
		goal[k] = 0;
		if (p->ring[k] && p->ring[k]->shm) {
			ring_set_goal(p->ring[k]);
			goal[k] = p->ring[k]->goal;
		}
	}
	for (uint32_t n = p->n_rings; behind;) {
		process_poll(c, p->item.process);
		behind = 0;
		for (uint32_t k = 0; k < n; k++)
			behind |= p->ring[k] && p->ring[k]->pos < goal[k];
	}
}

static void emit_process_end(struct lmm_collector *c, const struct process *p)
{
	struct lmm_item item = { .kind = LMM_ITEM_PROCESS_END };

	item.process_end.process = p->item.process;
	/* a recovery comes later than the end */
	item.process_end.ticks = !c->resumed ? lmm_ticks(c->folder->shm->clock)
				 : p->newest ? p->newest
					     : p->item.start_ticks;
	emit(c, &item);
}

/* No more comes of it: everything it recorded is in its rings; read it, say what was lost, let go. */
static void process_end(struct lmm_collector *c, struct process *p, int goes_on)
{
	process_drain(c, p);
	for (uint32_t k = 0; k < p->n_rings; k++) {
		if (p->ring[k] && p->ring[k]->shm)
			emit_loss(c, p->ring[k], ring_lost(p->ring[k]));
	}
	c->no_ring_lost += atomic_load(&p->shm->no_ring_lost);
	if (!goes_on)
		emit_process_end(c, p);
	if (c->opts.flush && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	release(c, 0);
	p->ended = 1;
	process_close(c, p);
}

static int is_alive(const struct process *p)
{
	if (p->pid)
		return lmm_process_is_alive(p->pid);
	/* of a name space that cannot be looked into: it is believed */
	return atomic_load(&p->shm->state) != LMM_SHM_PROCESS_ENDED;
}

static void liveness_poll(struct lmm_collector *c)
{
	uint64_t t = lmm_mono_ns();

	if (t < c->next_liveness_ns)
		return;
	c->next_liveness_ns = t + LIVENESS_PERIOD_NS;
	c->alive = 0;
	for (uint32_t i = 0; i < c->n_processes; i++) {
		struct process *p = c->process[i];

		if (!p || !p->shm || p->ended)
			continue;
		if (is_alive(p)) {
			c->alive++;
		} else {
			process_end(c, p, 0);
		}
	}
}

static uint32_t count_processes(const struct lmm_collector *c)
{
	uint32_t n = atomic_load_explicit(&c->folder->shm->n_processes, memory_order_acquire);

	return n < LMM_SHM_PROCESS_MAX ? n : LMM_SHM_PROCESS_MAX;
}

long lmm_collector_poll(struct lmm_collector *c)
{
	long total = 0;

	c->n_processes = count_processes(c);
	c->pressure_percent = 0;
	clock_poll(c, 0);
	for (uint32_t i = 0; i < c->n_processes; i++)
		total += process_poll(c, i);
	if (c->opts.flush && total && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	/* even when storing failed: a full disk must not make the rings run over for the wrong reason, and the loss is
	 * said once, by the error */
	release(c, 0);
	liveness_poll(c);
	return c->error ? c->error : total;
}

void lmm_collector_check_alive(struct lmm_collector *c)
{
	c->next_liveness_ns = 0;
	liveness_poll(c);
}

unsigned lmm_collector_alive(const struct lmm_collector *c)
{
	return c->alive;
}

unsigned lmm_collector_processes(const struct lmm_collector *c)
{
	return c->n_processes;
}

unsigned lmm_collector_pressure_percent(const struct lmm_collector *c)
{
	return c->pressure_percent;
}

/* ---- beginning and end -------------------------------------------------------------------------- */

int lmm_collector_begin(struct lmm_collector *c, struct lmm_session *session)
{
	struct lmm_item item = { .kind = LMM_ITEM_SESSION };
	struct timespec now;

	lmm_host_read(&c->host);
	lmm_host_random_hex(c->id, sizeof(c->id));
	session->id = c->id;
	session->host_os = c->host.os;
	session->host_cpu = c->host.cpu;
	session->host_cpus = c->host.cpus;
	session->host_memory_bytes = c->host.memory_bytes;
	session->clock = c->folder->shm->clock;
	session->threads_all = c->folder->shm->threads_all;
	session->start_ticks = lmm_ticks(session->clock);
	clock_gettime(CLOCK_REALTIME, &now);
	session->start_realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	item.session = *session;
	emit(c, &item);
	/* two pairs give a rate at once: 2 ms apart it is good to some 20 ppm, and every later pair makes it better */
	clock_poll(c, 1);
	nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	clock_poll(c, 1);
	/* before any event can be recorded: a recovery finds a session to add to */
	if (c->opts.flush && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	return c->error;
}

void lmm_collector_resume(struct lmm_collector *c, uint32_t n_streams, uint64_t newest)
{
	c->resumed = 1;
	c->n_streams = n_streams;
	c->newest = newest;
}

int lmm_collector_resume_ring(struct lmm_collector *c, const struct lmm_collector_ring *ring)
{
	const struct lmm_stream *s = &ring->stream;
	struct process *p;
	struct ring *r;

	if (s->process >= LMM_SHM_PROCESS_MAX || s->ring >= LMM_SHM_RING_MAX)
		return LMM_E_CORRUPT;
	p = process_get(c, s->process);
	r = p ? ring_get(p, s->ring) : NULL;
	if (!r)
		return -ENOMEM;
	r->stream = s->stream;
	r->tid = s->tid;
	r->pos = ring->position;
	r->stored = ring->stored;
	r->lost_marked = ring->lost_marked;
	r->dropped_before = ring->lost_before;
	return 0;
}

int lmm_collector_resume_ended(struct lmm_collector *c, uint32_t process)
{
	struct process *p;

	if (process >= LMM_SHM_PROCESS_MAX)
		return LMM_E_CORRUPT;
	p = process_get(c, process);
	if (!p)
		return -ENOMEM;
	process_attach(c, p, process);
	if (p->shm)
		c->no_ring_lost += atomic_load(&p->shm->no_ring_lost);
	p->ended = 1;
	process_close(c, p);
	return 0;
}

int lmm_collector_drain(struct lmm_collector *c)
{
	c->n_processes = count_processes(c);
	for (uint32_t i = 0; i < c->n_processes; i++) {
		struct process *p = process_get(c, i);

		if (p && !p->ended)
			process_poll(c, i);
		if (p && p->shm && !p->ended)
			process_drain(c, p);
	}
	clock_poll(c, 1);
	if (c->opts.flush && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	release(c, 0);
	c->next_liveness_ns = 0;
	liveness_poll(c);
	return c->error;
}

int lmm_collector_settle(struct lmm_collector *c)
{
	for (uint32_t i = 0; i < c->n_processes; i++) {
		struct process *p = c->process[i];

		for (uint32_t k = 0; p && k < p->n_rings; k++) {
			if (p->ring[k] && p->ring[k]->shm)
				emit_loss(c, p->ring[k], ring_lost(p->ring[k]));
		}
	}
	if (c->opts.flush && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	release(c, 1);
	return c->error;
}

static uint64_t own_cpu_ns(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u))
		return 0;
	return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000u +
	       ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000u;
}

/* The recording ends and the process does not. */
static int goes_on(const struct process *p)
{
	return atomic_load(&p->shm->state) != LMM_SHM_PROCESS_ENDED && is_alive(p);
}

int lmm_collector_finish(struct lmm_collector *c, int exit_status)
{
	struct lmm_item item = { .kind = LMM_ITEM_END };

	lmm_collector_poll(c);
	for (uint32_t i = 0; i < c->n_processes; i++) {
		struct process *p = c->process[i];

		if (p && p->shm && !p->ended)
			process_end(c, p, !c->resumed && goes_on(p));
	}
	clock_poll(c, 1);
	item.end.ticks = c->resumed ? c->newest : lmm_ticks(c->folder->shm->clock);
	item.end.exit_status = exit_status;
	/* what the one that was killed has used nobody knows */
	item.end.collector_cpu_ns = c->resumed ? 0 : own_cpu_ns();
	item.end.no_ring_lost = c->no_ring_lost;
	emit(c, &item);
	if (c->opts.flush && c->error == 0)
		c->error = c->opts.flush(c->opts.sink_ctx);
	return c->error;
}

void lmm_collector_destroy(struct lmm_collector *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < LMM_SHM_PROCESS_MAX; i++) {
		if (c->process[i])
			process_close(c, c->process[i]);
		free(c->process[i]);
	}
	free(c->wide);
	free(c);
}
