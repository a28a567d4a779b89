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
#define SEEN	     256u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* with the lock held */
static struct lmm_vk_pattern *kept[PATTERNS]; /* by number; the newest of each place */
static uint32_t n_made;			      /* number of the newest */
static uint32_t by_hash[BY_HASH];	      /* numbers */
static uint64_t seen[SEEN];		      /* hashes of lists that came once */

/* Number of the one that this thread has recorded, or learned, last; 0: none. */
static _Thread_local uint32_t newest __attribute__((tls_model("initial-exec")));

/* ---- by number ---------------------------------------------------------------------------------- */

/* With the lock held. NULL: there is none of this number, or not any more. */
static struct lmm_vk_pattern *numbered(uint32_t number)
{
	struct lmm_vk_pattern *p = number ? kept[number % PATTERNS] : NULL;

	return p && p->number == number ? p : NULL;
}

static bool is_good(const struct lmm_vk_pattern *p, uint32_t recording, uint32_t graph)
{
	return p->recording == recording && p->graph == graph &&
	       p->pipelines == lmm_vk_pipelines_changed();
}

struct lmm_vk_pattern *lmm_vk_pattern_expect(uint32_t recording, uint32_t graph)
{
	struct lmm_vk_pattern *p;

	pthread_mutex_lock(&lock);
	p = numbered(newest);
	p = p ? numbered(p->next) : NULL;
	if (p && !is_good(p, recording, graph))
		p = NULL;
	if (p)
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	return p;
}

void lmm_vk_pattern_unref(struct lmm_vk_pattern *p)
{
	int saved = errno;

	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		free(p);
	errno = saved;
}

/* ---- while a list is recorded ------------------------------------------------------------------- */

/* The commands that follow are marked from where those of the pattern end. */
static void mark_move(const struct lmm_vk_pattern *p, uint32_t n)
{
	struct lmm_thread *th = lmm_thread_known();

	if (!th || !n || !p->graph || th->graph != p->graph)
		return;
	th->mark = p->command[n - 1].node;
	th->leapt_from = th->mark + 1;
}

bool lmm_vk_pattern_leave(struct lmm_vk_list *l)
{
	struct lmm_vk_pattern *p = l->pattern;
	bool has_room = true;

	l->pattern = NULL;
	while (has_room && l->cap < l->n)
		has_room = lmm_vk_list_grow(l);
	if (has_room) {
		memcpy(l->commands, p->command, l->n * sizeof(*l->commands));
		l->group = l->n;
		mark_move(p, l->n);
	}
	lmm_vk_pattern_unref(p);
	return has_room;
}

/* A list in which another graph has begun is not what was expected, and nobody knows from where on. */
static void nodes_forget(struct lmm_vk_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		l->commands[i].graph = 0;
		l->commands[i].node = LMM_NODE_UNKNOWN;
	}
}

bool lmm_vk_pattern_end(struct lmm_vk_list *l)
{
	const struct lmm_thread *th = lmm_thread_known();
	const struct lmm_vk_pattern *p = l->pattern;

	if (!p)
		return true;
	if (th && th->graph == p->graph && l->n == p->n) {
		mark_move(p, l->n);
		newest = p->number;
		return true;
	}
	if (th && th->graph == p->graph)
		return lmm_vk_pattern_leave(l);
	if (!lmm_vk_pattern_leave(l))
		return false;
	nodes_forget(l);
	return true;
}

/* ---- what was submitted ------------------------------------------------------------------------- */

static bool is_of_one_graph(const struct lmm_vk_list *l)
{
	for (uint32_t i = 1; i < l->n; i++) {
		if (l->commands[i].graph != l->commands[0].graph)
			return false;
	}
	return true;
}

static uint64_t hash_of(const struct lmm_vk_list *l)
{
	uint64_t hash =
		lmm_hash_u64(LMM_HASH_SEED, (uint64_t)l->recording << 32 | l->commands[0].graph);

	hash = lmm_hash_u64(hash, lmm_vk_pipelines_changed());
	for (uint32_t i = 0; i < l->n; i++) {
		const struct lmm_vk_command *c = &l->commands[i];

		hash = lmm_hash_u64(hash, c->pipeline);
		hash = lmm_hash_u64(hash, (uint64_t)c->kernel << 32 | c->node);
		hash = lmm_hash_u64(hash, c->amount);
	}
	return hash | 1;
}

static void describe(const struct lmm_vk_pattern *p)
{
	struct lmm_buf b = { 0 };

	lmm_buf_put_varint(&b, p->number);
	lmm_buf_put_varint(&b, p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct lmm_vk_command *c = &p->command[i];

		lmm_buf_put_varint(&b, lmm_vk_kernel_tell(c->kernel));
		lmm_buf_put_varint(&b, c->node);
		lmm_buf_put_varint(&b, c->amount);
	}
	lmm_session_describe(LMM_DESC_PATTERN, &b);
	lmm_buf_free(&b);
}

/* With the lock held. NULL: out of memory. */
static LMM_COLD struct lmm_vk_pattern *make(const struct lmm_vk_list *l, uint64_t hash)
{
	struct lmm_vk_pattern *p = malloc(sizeof(*p) + l->n * sizeof(p->command[0]));
	struct lmm_vk_pattern **place;

	if (!p)
		return NULL;
	*p = (struct lmm_vk_pattern){
		.number = ++n_made ? n_made : ++n_made,
		.recording = l->recording,
		.graph = l->commands[0].graph,
		.pipelines = lmm_vk_pipelines_changed(),
		.hash = hash,
		.n = l->n,
	};
	atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
	memcpy(p->command, l->commands, l->n * sizeof(p->command[0]));
	place = &kept[p->number % PATTERNS];
	if (*place)
		lmm_vk_pattern_unref(*place);
	*place = p;
	by_hash[hash % BY_HASH] = p->number;
	describe(p);
	return p;
}

/* With the lock held: the one that holds the same; made when a list comes a second time. */
static struct lmm_vk_pattern *pattern_of(const struct lmm_vk_list *l, uint64_t hash)
{
	struct lmm_vk_pattern *p = numbered(by_hash[hash % BY_HASH]);

	if (p && p->hash == hash)
		return p;
	if (seen[hash % SEEN] == hash)
		return make(l, hash);
	seen[hash % SEEN] = hash;
	return NULL;
}

void lmm_vk_pattern_learn(const struct lmm_vk_list *l)
{
	struct lmm_vk_pattern *p, *before;
	int saved = errno;
	uint64_t hash;

	if (l->n < COMMANDS_MIN || l->n > LMM_DESC_PATTERN_COMMANDS_MAX || !is_of_one_graph(l))
		return;
	hash = hash_of(l);
	pthread_mutex_lock(&lock);
	p = pattern_of(l, hash);
	before = numbered(newest);
	if (before && p)
		before->next = p->number;
	/* what came once in the place of another: behind it that one's next is expected */
	newest = p ? p->number : l->expected;
	pthread_mutex_unlock(&lock);
	errno = saved;
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
