/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command buffers that hold what others held before. A decode step records some hundred commands, the same ones as the step before: then
 * only that they are the same is looked at, and one event tells of all. The nodes that they are for are those of the graph that was
 * learned from, so a pattern is good for its graph alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/vulkan/vulkan.h"

#define PATTERNS     (LMM_DESC_PATTERNS / 4)
#define COMMANDS_MIN 8u	   /* what is shorter is not worth a description */
#define BY_HASH	     2048u /* powers of two */
#define SEEN	     1024u
#define WAYS	     4u		/* places that a hash may have: none keeps another out */
#define FRESH_BYTES  (8u << 20) /* of descriptors: half of what is kept for a recovery */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* with the lock held */
static struct lmm_vk_pattern *kept[PATTERNS]; /* by number; the newest of each place */
static uint32_t by_hash[BY_HASH];	      /* numbers */
static uint64_t seen[SEEN];		      /* hashes of lists that came once */

static _Atomic uint32_t n_made;	   /* number of the newest */
static _Atomic uint32_t failed_in; /* a session in which one could not be described: no more are */

/* Number of the one that this thread has recorded, or learned, last; 0: none. */
static _Thread_local uint32_t newest __attribute__((tls_model("initial-exec")));

/* ---- by number ---------------------------------------------------------------------------------- */

/* With the lock held. NULL: there is none of this number, or not any more. */
static struct lmm_vk_pattern *numbered(uint32_t number)
{
	struct lmm_vk_pattern *p = number ? kept[number % PATTERNS] : NULL;

	return p && p->number == number ? p : NULL;
}

static bool is_fresh(const struct lmm_vk_pattern *p)
{
	return lmm_session_described_bytes() - p->described < FRESH_BYTES;
}

bool lmm_vk_pattern_is_old(const struct lmm_vk_pattern *p)
{
	return atomic_load_explicit(&n_made, memory_order_relaxed) - p->number >= 2 * PATTERNS;
}

static bool is_good(const struct lmm_vk_pattern *p, const struct lmm_vk_list *l, uint32_t graph)
{
	return p->recording == l->recording && p->graph == graph && p->pipelines == l->pipelines &&
	       is_fresh(p);
}

void lmm_vk_pattern_expect(struct lmm_vk_list *l, struct lmm_thread *th)
{
	/* a pattern begins with the node that is computed now: layers are alike, and a buffer more or less shifts them */
	uint32_t node = th->graph && th->nodes ? lmm_device_node(th) : LMM_NODE_UNKNOWN;
	struct lmm_vk_pattern *p;

	l->may_be_learned = !th->graph || th->nodes;
	l->pipelines = lmm_vk_pipelines_changed();
	l->step = th->step;
	if (!l->may_be_learned)
		return;
	pthread_mutex_lock(&lock);
	p = numbered(newest);
	p = p ? numbered(p->next) : NULL;
	if (p && is_good(p, l, th->graph) && (!p->graph || p->command[0].node == node)) {
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
		l->pattern = p;
		l->expected = p->number;
	}
	pthread_mutex_unlock(&lock);
}

void lmm_vk_pattern_unref(struct lmm_vk_pattern *p)
{
	int saved = errno;

	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		free(p);
	errno = saved;
}

/* ---- while a list is recorded ------------------------------------------------------------------- */

void lmm_vk_pattern_mark(const struct lmm_vk_list *l)
{
	const struct lmm_vk_command *c = l->pattern ? l->pattern->command : l->commands;
	struct lmm_thread *th = lmm_thread_known();

	if (!th || !th->nodes || !l->n || th->graph != c[l->n - 1].graph)
		return;
	th->mark = c[l->n - 1].node;
	th->leapt_from = th->mark + 1;
}

/* Another graph, or run, has begun since: it is not what was expected, and nobody knows from where on. */
static bool is_of_another_run(const struct lmm_vk_list *l)
{
	const struct lmm_thread *th = lmm_thread_known();
	uint32_t graph = l->pattern->graph;

	return th && th->graph && (th->graph != graph || (graph && th->step != l->step));
}

static void nodes_forget(struct lmm_vk_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		l->commands[i].graph = 0;
		l->commands[i].node = LMM_NODE_UNKNOWN;
	}
	l->may_be_learned = false;
}

/* A handle that is another pipeline's by now, or has got a name. */
static void kernels_look_up(struct lmm_vk_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->commands[i].pipeline)
			l->commands[i].kernel = lmm_vk_kernel_of(l->commands[i].pipeline);
	}
}

bool lmm_vk_pattern_leave(struct lmm_vk_list *l)
{
	struct lmm_vk_pattern *p = l->pattern;
	bool has_room = true, is_sure = !is_of_another_run(l);

	l->pattern = NULL;
	while (has_room && l->cap < l->n)
		has_room = lmm_vk_list_grow(l);
	if (!has_room)
		l->n = 0;
	if (l->n) /* there may be no room yet, and no pointer */
		memcpy(l->commands, p->command, l->n * sizeof(*l->commands));
	l->group = l->n;
	if (!is_sure)
		nodes_forget(l);
	if (p->pipelines != lmm_vk_pipelines_changed())
		kernels_look_up(l);
	lmm_vk_pattern_unref(p);
	return has_room;
}

/* ---- what may come again ------------------------------------------------------------------------ */

static bool is_of_one_graph(const struct lmm_vk_list *l)
{
	for (uint32_t i = 1; i < l->n; i++) {
		if (l->commands[i].graph != l->commands[0].graph)
			return false;
	}
	return true;
}

static bool is_worth_it(const struct lmm_vk_list *l)
{
	if (atomic_load_explicit(&failed_in, memory_order_relaxed) == lmm_device_session())
		return false;
	return l->may_be_learned && !l->n_timed && l->n >= COMMANDS_MIN &&
	       l->n <= LMM_DESC_PATTERN_COMMANDS_MAX &&
	       l->pipelines == lmm_vk_pipelines_changed() && is_of_one_graph(l);
}

static uint64_t hash_of(const struct lmm_vk_list *l)
{
	uint64_t hash =
		lmm_hash_u64(LMM_HASH_SEED, (uint64_t)l->recording << 32 | l->commands[0].graph);

	hash = lmm_hash_u64(hash, l->pipelines);
	for (uint32_t i = 0; i < l->n; i++) {
		const struct lmm_vk_command *c = &l->commands[i];

		hash = lmm_hash_u64(hash, c->pipeline);
		hash = lmm_hash_u64(hash, (uint64_t)c->kernel << 32 | c->node);
		hash = lmm_hash_u64(hash, c->amount);
	}
	return hash | 1;
}

static bool describe(const struct lmm_vk_pattern *p)
{
	struct lmm_buf b = { 0 };
	bool is_there;

	lmm_buf_put_varint(&b, p->number);
	lmm_buf_put_varint(&b, p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct lmm_vk_command *c = &p->command[i];

		lmm_buf_put_varint(&b, lmm_vk_kernel_tell(c->kernel));
		lmm_buf_put_varint(&b, c->node);
		lmm_buf_put_varint(&b, c->amount);
	}
	is_there = lmm_session_describe(LMM_DESC_PATTERN, &b);
	lmm_buf_free(&b);
	return is_there;
}

/* NULL: out of memory, or of room for descriptors. */
static LMM_COLD struct lmm_vk_pattern *make(const struct lmm_vk_list *l, uint64_t hash)
{
	struct lmm_vk_pattern *p = malloc(sizeof(*p) + l->n * sizeof(p->command[0]));
	uint32_t number = atomic_fetch_add(&n_made, 1) + 1;

	if (!p)
		return NULL;
	*p = (struct lmm_vk_pattern){
		.number = number ? number : atomic_fetch_add(&n_made, 1) + 1,
		.recording = l->recording,
		.graph = l->commands[0].graph,
		.pipelines = l->pipelines,
		.hash = hash,
		.described = lmm_session_described_bytes(),
		.n = l->n,
	};
	atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
	memcpy(p->command, l->commands, l->n * sizeof(p->command[0]));
	if (!describe(p)) {
		atomic_store(&failed_in, lmm_device_session());
		free(p);
		return NULL;
	}
	return p;
}

static uint32_t *way(uint64_t hash, unsigned i)
{
	return &by_hash[(hash + i) % BY_HASH];
}

/* With the lock held. NULL: there is none that holds this, or it was described too long ago. */
static struct lmm_vk_pattern *hashed(uint64_t hash)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct lmm_vk_pattern *p = numbered(*way(hash, i));

		if (p && p->hash == hash && is_fresh(p))
			return p;
	}
	return NULL;
}

/* With the lock held: where p is to be found by its hash, in the place of one that is of no use any more, or of any. */
static uint32_t *way_take(const struct lmm_vk_pattern *p)
{
	for (unsigned i = 0; i < WAYS; i++) {
		const struct lmm_vk_pattern *at = numbered(*way(p->hash, i));

		if (!at || at->hash == p->hash || at->recording != p->recording || !is_fresh(at))
			return way(p->hash, i);
	}
	return way(p->hash, p->number % WAYS);
}

/* With the lock held. */
static void keep(struct lmm_vk_pattern *p)
{
	struct lmm_vk_pattern **place = &kept[p->number % PATTERNS], *old = *place;

	/* as a fork may come between */
	*place = p;
	if (old)
		lmm_vk_pattern_unref(old);
	*way_take(p) = p->number;
}

/* With the lock held: whether it came before, and it has now. */
static bool seen_before(uint64_t hash)
{
	static unsigned turn;
	unsigned free = turn++ % WAYS;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t *at = &seen[(hash + i) % SEEN];

		if (*at == hash)
			return true;
		if (!*at)
			free = i;
	}
	seen[(hash + free) % SEEN] = hash;
	return false;
}

/* With the lock held: p (NULL: not known) is what this thread's list holds that was recorded behind the newest. */
static void newest_move(const struct lmm_vk_pattern *p, const struct lmm_vk_list *l)
{
	struct lmm_vk_pattern *before = numbered(newest);

	if (before && p)
		before->next = p->number;
	/* what came once in the place of another: behind it that one's next is expected */
	newest = p ? p->number : l->expected;
}

/* It was listed: described when it comes a second time. */
static void learn(const struct lmm_vk_list *l)
{
	uint64_t hash = hash_of(l);
	struct lmm_vk_pattern *p;
	int saved = errno;
	bool is_again;

	pthread_mutex_lock(&lock);
	p = hashed(hash);
	is_again = seen_before(hash);
	if (p || !is_again)
		newest_move(p, l);
	pthread_mutex_unlock(&lock);
	if (!p && is_again) {
		p = make(l, hash);
		pthread_mutex_lock(&lock);
		if (p)
			keep(p);
		newest_move(p, l);
		pthread_mutex_unlock(&lock);
	}
	errno = saved;
}

static bool is_as_expected(const struct lmm_vk_list *l)
{
	return l->n == l->pattern->n && l->pattern->pipelines == lmm_vk_pipelines_changed() &&
	       !is_of_another_run(l);
}

bool lmm_vk_pattern_end(struct lmm_vk_list *l)
{
	if (l->pattern && is_as_expected(l)) {
		lmm_vk_pattern_mark(l);
		newest = l->pattern->number;
		return true;
	}
	if (l->pattern) {
		if (!lmm_vk_pattern_leave(l))
			return false;
		lmm_vk_pattern_mark(l);
	}
	if (is_worth_it(l))
		learn(l);
	return true;
}

/* The child is a process of its own, which has described nothing. */
void lmm_vk_patterns_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	for (uint32_t i = 0; i < PATTERNS; i++) {
		if (kept[i])
			kept[i]->recording = 0;
	}
	memset(by_hash, 0, sizeof(by_hash));
	newest = 0;
}
