/* SPDX-License-Identifier: Apache-2.0 */
/* KV caches and their sequences: whose they are, how many tokens they hold, what of a draft was accepted. */
#include <pthread.h>
#include <string.h>

#include "probe/engines/tvm_kernels.h"
#include "probe/engines/tvm_state.h"

#define CACHES_MAX 16
#define TREE_MAX   256 /* tokens of a pass that checks drafts as trees */

struct sequence {
	int64_t id;
	uint32_t position;
	uint32_t appended; /* in its last pass */
	uint32_t deepest;  /* how many of these can follow one another */
	uint32_t since;	   /* samplings of its thread when it was added */
	uint16_t tree;	   /* where its tokens begin in the cache's; TREE_MAX: they are a chain */
	uint8_t is_used, is_prefilled;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cache {
	const void *handle; /* NULL: free */
	const void
		*main; /* the model's cache that this draft model's goes with; NULL: it is none */
	const void *user; /* which thread's: its `now` */
	uint32_t number;  /* what events call it */
	uint8_t is_part;  /* a second state of one model, within the passes of the first */
	uint8_t depth[TREE_MAX];
	struct lmm_tvm_layers layers;
	struct sequence sequences[LMM_TVM_SEQUENCES_MAX];
} caches[CACHES_MAX];
static uint32_t n_caches;
static uint32_t caches_recording; /* in which positions were counted */

void lmm_tvm_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	lmm_tvm_kernels_after_fork();
}

/* With the lock held. What sequences have got since a recording ended nobody has seen. */
static void caches_renew(uint32_t recording)
{
	if (!recording || caches_recording == recording)
		return;
	caches_recording = recording;
	for (unsigned i = 0; i < CACHES_MAX * LMM_TVM_SEQUENCES_MAX; i++) {
		struct sequence *s =
			&caches[i / LMM_TVM_SEQUENCES_MAX].sequences[i % LMM_TVM_SEQUENCES_MAX];

		s->position = UINT32_MAX;
		s->appended = s->deepest = s->since = 0;
		s->tree = TREE_MAX;
		s->is_prefilled = 1;
	}
}

/* With the lock held; the oldest one goes if there are too many. */
static struct cache *cache_of(const void *handle)
{
	struct cache *oldest = &caches[0];

	caches_renew(lmm_recording());
	for (unsigned i = 0; i < CACHES_MAX; i++) {
		if (caches[i].handle == handle)
			return &caches[i];
		if (caches[i].number < oldest->number)
			oldest = &caches[i];
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->handle = handle;
	oldest->number = ++n_caches;
	return oldest;
}

/* One that was never added has been there before us. NULL: there are too many. */
static struct sequence *sequence_of(struct cache *c, int64_t id)
{
	struct sequence *free_one = NULL;

	for (unsigned i = 0; i < LMM_TVM_SEQUENCES_MAX; i++) {
		struct sequence *s = &c->sequences[i];

		if (s->is_used && s->id == id)
			return s;
		if (!s->is_used && !free_one)
			free_one = s;
	}
	if (free_one) {
		*free_one = (struct sequence){
			.id = id, .is_used = 1, .is_prefilled = 1, .position = UINT32_MAX
		};
	}
	return free_one;
}

/*
 * An engine that drafts keeps a cache for each model, and adds a new sequence to one after the other, the main model's first:
 * before a token of it was chosen it is in both.
 */
static const void *main_of(const struct cache *draft, int64_t id)
{
	for (unsigned i = 0; i < CACHES_MAX; i++) {
		const struct cache *c = &caches[i];

		if (c == draft || !c->handle || c->main || c->is_part || c->user != &lmm_tvm)
			continue;
		for (unsigned k = 0; k < LMM_TVM_SEQUENCES_MAX; k++) {
			const struct sequence *s = &c->sequences[k];

			if (s->is_used && s->id == id && s->since == lmm_tvm.samplings)
				return c->handle;
		}
	}
	return NULL;
}

static bool has_draft(const void *handle)
{
	for (unsigned i = 0; i < CACHES_MAX; i++) {
		if (caches[i].handle && caches[i].main == handle && !caches[i].is_part)
			return true;
	}
	return false;
}

bool lmm_tvm_cache_has_draft(const void *kv)
{
	bool has;

	pthread_mutex_lock(&lock);
	has = has_draft(kv);
	pthread_mutex_unlock(&lock);
	return has;
}

/* ---- phases ------------------------------------------------------------------------------------- */

static uint16_t sequence_name(int64_t id)
{
	return (uint16_t)((uint64_t)id % LMM_SEQ_NONE);
}

/* ---- what the engine does to sequences ----------------------------------------------------------- */

static void hint(struct lmm_thread *th, const struct cache *c, enum lmm_hint what, unsigned seq,
		 uint64_t detail)
{
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_HINT, what, seq, LMM_STEP_NONE),
			    c->number, detail);
}

/* With the lock held. */
static void sequence_take(struct cache *c, enum lmm_tvm_sequence what, int64_t id)
{
	struct sequence *s = sequence_of(c, id);

	if (what == LMM_TVM_ADDED) {
		c->user = &lmm_tvm;
		c->main = c->is_part ? NULL : main_of(c, id);
	}
	if (s) {
		*s = (struct sequence){ .id = id,
					.is_used = what != LMM_TVM_REMOVED,
					.since = lmm_tvm.samplings,
					.position = what == LMM_TVM_FORKED ? UINT32_MAX : 0 };
	}
}

static void sequence_begin(struct cache *c, enum lmm_tvm_sequence what, int64_t id)
{
	sequence_take(c, what, id);
	/* the draft model's turn at a prompt that the main model has been through */
	if (c->main && lmm_tvm.is_unread) {
		lmm_tvm.has_next = 1;
	} else {
		lmm_tvm.has_prompt = what != LMM_TVM_REMOVED;
	}
}

void lmm_tvm_sequence(struct lmm_thread *th, const void *kv, enum lmm_tvm_sequence what, int64_t id,
		      struct lmm_entry at)
{
	struct cache *c;

	if (lmm_tvm_is_stale(th))
		return;
	lmm_tvm_leave(th, lmm_tvm_open_pass_fail(th, at));
	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	if (what == LMM_TVM_CLEARED) {
		memset(c->sequences, 0, sizeof(c->sequences));
		hint(th, c, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0);
		lmm_tvm.has_prompt = 0;
	} else {
		sequence_begin(c, what, id);
	}
	pthread_mutex_unlock(&lock);
}

void lmm_tvm_sequence_unseen(const void *kv, enum lmm_tvm_sequence what, int64_t id)
{
	struct cache *c;

	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	if (what == LMM_TVM_CLEARED) {
		memset(c->sequences, 0, sizeof(c->sequences));
	} else {
		sequence_take(c, what, id);
	}
	pthread_mutex_unlock(&lock);
}

/* The cache keeps so many of the sequence's tokens less; the lock is held. */
static void sequence_cut(struct lmm_thread *th, const struct cache *c, struct sequence *s,
			 uint32_t less)
{
	if (!s || s->position == UINT32_MAX)
		return;
	s->position -= less < s->position ? less : s->position;
	hint(th, c, LMM_HINT_SEQ_RM, sequence_name(s->id), s->position);
}

/* Of a pass that checks drafts: as many tokens of that sequence were right. */
static void accepted_put(const void *kv, int64_t id, uint32_t tokens)
{
	for (unsigned i = 0; i < lmm_tvm.n && lmm_tvm.is_verify && kv == lmm_tvm.cache; i++) {
		if (lmm_tvm.sequences[i] == sequence_name(id))
			lmm_tvm.tokens[i] = (uint8_t)(tokens < UINT8_MAX ? tokens : UINT8_MAX);
	}
}

void lmm_tvm_pop(struct lmm_thread *th, const void *kv, int64_t id, int64_t tokens)
{
	struct sequence *s;
	struct cache *c;
	uint32_t less;

	if (lmm_tvm_is_stale(th) || tokens <= 0 || tokens > UINT32_MAX)
		return;
	less = (uint32_t)tokens;
	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	s = sequence_of(c, id);
	sequence_cut(th, c, s, less);
	/* the main model chooses one in any case */
	if (s)
		accepted_put(kv, id, less < s->appended ? s->appended - less : 1);
	pthread_mutex_unlock(&lock);
}

/* How many of a sequence's last tokens lead to that one, itself among them. */
static uint32_t path_length(const struct cache *c, const struct sequence *s, int64_t leaf)
{
	if (leaf < 0 || leaf >= s->appended)
		return 0;
	if (s->tree + leaf >= TREE_MAX)
		return (uint32_t)leaf + 1;
	return c->depth[s->tree + leaf];
}

void lmm_tvm_commit_begin(struct lmm_thread *th, const void *kv, const int64_t *ids,
			  const int64_t *leaves, size_t n)
{
	struct cache *c;

	if (lmm_tvm_is_stale(th))
		return;
	lmm_tvm.is_inside = 1;
	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	for (size_t i = 0; i < n; i++) {
		struct sequence *s = sequence_of(c, ids[i]);
		uint32_t kept = s ? path_length(c, s, leaves[i]) : 0;

		if (!s)
			continue;
		if (kept < s->appended)
			sequence_cut(th, c, s, s->appended - kept);
		accepted_put(kv, ids[i], kept);
		/* the last draft was never in the draft model's cache */
		if (lmm_tvm.is_verify && kept == s->deepest)
			lmm_tvm.catches_up = 1;
	}
	pthread_mutex_unlock(&lock);
	if (kv == lmm_tvm.cache)
		lmm_tvm.is_verify = 0;
}

void lmm_tvm_commit_end(struct lmm_thread *th)
{
	if (!lmm_tvm_is_stale(th))
		lmm_tvm.is_inside = 0;
}

/* ---- passes ------------------------------------------------------------------------------------- */

/* Where the tokens of a sequence stand in its tree: how many lead to each. Returns how many to the deepest. */
static uint32_t tree_take(struct cache *c, const struct sequence *s, const int64_t *parents,
			  uint32_t tokens)
{
	uint8_t *depth = &c->depth[s->tree];
	uint32_t deepest = 0;

	for (uint32_t k = 0; k < tokens; k++) {
		bool has_parent = parents[k] >= 0 && parents[k] < k;
		unsigned d = has_parent ? depth[parents[k]] + 1u : 1u;

		depth[k] = (uint8_t)(d < UINT8_MAX ? d : UINT8_MAX);
		deepest = depth[k] > deepest ? depth[k] : deepest;
	}
	return deepest;
}

/* ---- passes ------------------------------------------------------------------------------------- */

static void share_take(struct lmm_tvm_share *share, int64_t id, struct sequence *s, uint32_t tokens)
{
	share->name = sequence_name(id);
	share->tokens = tokens;
	share->position = s ? s->position : UINT32_MAX;
	if (!s)
		return;
	s->is_prefilled = 1;
	s->appended = s->deepest = tokens;
	s->tree = TREE_MAX;
	if (s->position != UINT32_MAX) /* a forked one's is not known */
		s->position += tokens;
}

/* What kind of pass it is, and what each sequence has in it. */
void lmm_tvm_pass_take(struct lmm_tvm_pass_taken *p, const struct lmm_tvm_pass *of, size_t n)
{
	bool is_prompt = false, is_check;
	size_t at = 0;
	struct cache *c;

	pthread_mutex_lock(&lock);
	c = cache_of(of->cache);
	/* what comes first in a recording may check what was drafted before it */
	is_check = lmm_tvm.has_drafted || (!lmm_tvm.has_passes && has_draft(of->cache));
	for (size_t i = 0; i < n; i++) {
		struct sequence *s = sequence_of(c, of->ids[i]);
		uint32_t tokens = of->lengths[i] > 0 ? (uint32_t)of->lengths[i] : 0;
		bool is_new = s && !s->is_prefilled;

		is_prompt |= tokens > 1 || is_new;
		is_check &= tokens > 1 && !is_new;
		share_take(&p->share[i], of->ids[i], s, tokens);
		if (s && of->parents && at + tokens <= of->n_parents && at + tokens <= TREE_MAX) {
			s->tree = (uint16_t)at;
			s->deepest = tree_take(c, s, of->parents + at, tokens);
		}
		at += tokens;
	}
	p->cache = c->number;
	p->layers = &c->layers;
	p->phase = is_prompt ? LMM_PHASE_PREFILL : LMM_PHASE_DECODE;
	if (is_check || of->parents)
		p->phase = LMM_PHASE_VERIFY;
	if (lmm_tvm_scope_phase() != LMM_PHASE_NONE)
		p->phase = lmm_tvm_scope_phase();
	if (c->main)
		p->phase = LMM_PHASE_DRAFT;
	pthread_mutex_unlock(&lock);
}

/* With a state within it, which a model of two kinds of layers keeps. */
void lmm_tvm_cache_is_part(const void *kv)
{
	struct cache *c;

	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	c->is_part = 1;
	c->main = NULL;
	pthread_mutex_unlock(&lock);
}
