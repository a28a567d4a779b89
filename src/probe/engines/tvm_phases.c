/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/engines/tvm_phases.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "probe/engines/tvm_kernels.h"

#define CACHES_MAX    16
#define SEQUENCES_MAX 128 /* of a cache, and of a pass, that are told apart */
#define TREE_MAX      256 /* tokens of a pass that checks drafts as trees */
/* On a CPU nobody says which way a copy goes: what the host reads behind a pass is as large as a vocabulary, what it writes is not. */
#define LOGITS_MIN_BYTES 2048u

enum doing {
	NOTHING,   /* that is known */
	EMBEDDING, /* phase is open */
	FORWARD,   /* phase is open */
	LOGITS,	   /* a pass has ended, nothing was done with its result yet */
	SOFTMAX,   /* phase is open */
	COPYING,   /* phase is open */
	SAMPLING,  /* phase is open */
};

/* What this thread is at. "The pass" is the one whose logits are read next: the last one, but for a draft's in between. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	uint8_t doing;
	uint8_t has_prompt;  /* a sequence was added and has not been in a pass */
	uint8_t has_next;    /* nobody reads what there is: another pass will follow */
	uint8_t has_softmax; /* the model's function was entered since the pass */
	uint8_t is_draft;    /* the pass was a draft model's: what is chosen are no tokens */
	uint8_t is_verify;   /* it checked drafts, and what was accepted is not said yet */
	uint8_t is_unread;   /* nothing was done with its logits */
	uint8_t is_aside; /* a draft model's pass is open, and the logits of the one before are still to be read */
	uint8_t has_drafted; /* since the main model's last pass */
	uint8_t catches_up;  /* the draft model's next pass is for its cache alone */
	uint8_t is_inside;   /* a call that copies on its own account */
	uint8_t scope;	     /* that is open */
	uint8_t has_scopes;  /* the engine opens them */
	uint8_t has_passes;  /* one was seen in this recording */
	uint8_t has_begun;   /* the call that begins the pass has returned */
	uint8_t has_ended;   /* the pass inside the scope */
	uint16_t n;	     /* sequences of the pass */
	uint16_t sequences[SEQUENCES_MAX];
	uint8_t tokens[SEQUENCES_MAX]; /* that each of them gets when sampling ends */
	uint32_t recording;
	uint32_t step; /* of the pass */
	uint32_t samplings;
	uint64_t head;	   /* of the ring when it had ended */
	const void *cache; /* its */
	const void *open;  /* that of the pass that is open */
	struct lmm_entry scope_at;
	uint64_t scope_head; /* of the ring then */
} now;

/* ---- caches ------------------------------------------------------------------------------------- */

struct sequence {
	int64_t id;
	uint32_t position;
	uint32_t appended; /* in its last pass */
	uint32_t deepest;  /* how many of these can follow one another */
	uint32_t since;	   /* samplings of its thread when it was added */
	uint16_t tree;	   /* where its tokens begin in the cache's; TREE_MAX: they are a chain */
	uint8_t is_used, is_prefilled;
};

/* Of a model. */
struct layers {
	uint32_t between; /* commands from the end of one attention to the next */
	int32_t highest;  /* that was seen */
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
	struct layers layers;
	struct sequence sequences[SEQUENCES_MAX];
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
	for (unsigned i = 0; i < CACHES_MAX * SEQUENCES_MAX; i++) {
		struct sequence *s = &caches[i / SEQUENCES_MAX].sequences[i % SEQUENCES_MAX];

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

	for (unsigned i = 0; i < SEQUENCES_MAX; i++) {
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

		if (c == draft || !c->handle || c->main || c->is_part || c->user != &now)
			continue;
		for (unsigned k = 0; k < SEQUENCES_MAX; k++) {
			const struct sequence *s = &c->sequences[k];

			if (s->is_used && s->id == id && s->since == now.samplings)
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

/* ---- phases ------------------------------------------------------------------------------------- */

static uint16_t sequence_name(int64_t id)
{
	return (uint16_t)((uint64_t)id % LMM_SEQ_NONE);
}

/* Of the last pass, if it was of one; a phase of several names none. */
static unsigned only_sequence(void)
{
	return now.n == 1 ? now.sequences[0] : LMM_SEQ_NONE;
}

/* At the entry's first stamp, as most phases begin where the one before ended. */
static void enter(struct lmm_thread *th, enum doing doing, unsigned phase, struct lmm_entry at)
{
	at.t = at.gap_end_t;
	if (th->left_t == at.t)
		th->left_t = 0; /* nothing lies between */
	lmm_phase_enter(th, phase, only_sequence(), th->step, at);
	now.doing = (uint8_t)doing;
}

static void tokens_put(struct lmm_thread *th, uint64_t t)
{
	now.samplings++;
	for (unsigned i = 0; i < now.n && !now.is_draft; i++) {
		for (unsigned k = 0; k < now.tokens[i]; k++) {
			lmm_writer_put(&th->w, t,
				       lmm_word(LMM_EV_TOKEN, 0, now.sequences[i], now.step));
		}
	}
	now.is_verify = 0;
}

/* Ends what is open at the instant, except a pass. */
static void leave(struct lmm_thread *th, struct lmm_entry at)
{
	if (now.doing == NOTHING || now.doing == FORWARD)
		return;
	if (now.doing == SAMPLING)
		tokens_put(th, at.gap_end_t);
	if (now.doing != LOGITS)
		lmm_phase_leave_at(th, only_sequence(), th->step, at.gap_end_t);
	now.doing = NOTHING;
}

/* A recording that has begun since knows nothing of what is open. */
static bool is_stale(struct lmm_thread *th)
{
	if (now.recording == lmm_recording())
		return false;
	/* what was open when the recording before was switched off has no end in this one */
	if (now.doing != NOTHING && now.doing != LOGITS && th->depth > 0)
		th->depth--;
	th->in_call = 0;
	th->graph = 0;
	th->mark = LMM_NODE_UNKNOWN;
	th->mark_left = 0;
	memset(&now, 0, sizeof(now));
	now.has_scopes = lmm_tvm_has_scopes();
	now.recording = lmm_recording();
	now.step = LMM_STEP_NONE;
	return th->depth > 0;
}

static void embedding_begin(struct lmm_thread *th, struct lmm_entry at)
{
	leave(th, at);
	th->step = now.has_prompt ? LMM_STEP_NONE : now.step;
	if (now.has_prompt)
		now.n = 0;
	enter(th, EMBEDDING, LMM_PHASE_EMBEDDING, at);
}

/* It begins where the pass ended, if nothing else was recorded since: a wait for the device is not the softmax'. */
static void softmax_begin(struct lmm_thread *th, struct lmm_entry at)
{
	if (th->left_t && th->w.head == now.head)
		at.gap_end_t = th->left_t;
	now.is_unread = 0;
	enter(th, SOFTMAX, LMM_PHASE_SOFTMAX, at);
}

/* ---- layers ------------------------------------------------------------------------------------- */

/*
 * The only thing of a layer that is told is its attention. Of the commands between two of these the last ones make ready for
 * the second, as many as there were before the first attention of the pass: they are its layer's, the others the layer's before.
 * How many there are is known from the layer before, and from the pass before for the first.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	struct layers *model;
	uint32_t ahead;	 /* commands before the first attention */
	uint32_t from;	 /* command at which the last one ended */
	int32_t last;	 /* its layer; -1: none in this pass yet */
	uint8_t is_host; /* no device does the work: the host's time is the layers' */
	uint8_t is_told; /* compiled functions come to us in this pass */
	uint8_t is_sampled;
	uint32_t kernels;     /* of the pass, by now */
	uint32_t slot, until; /* behind so many of them the slot is the next one; 0: it stays */
	uint32_t next;
	struct lmm_tvm_graph graph;
} layers;

static uint32_t commands_of_pass(const struct lmm_thread *th)
{
	if (layers.is_host)
		return layers.kernels;
	return th->device_step == th->step ? th->budget.commands : 0;
}

static void op_put(struct lmm_thread *th, uint32_t kernel, uint32_t slot)
{
	lmm_writer_put(&th->w, lmm_now(), lmm_word_op(LMM_EV_OP, lmm_tvm_node(kernel, slot)));
}

/* Without a device the layers' time is the host's: an operator each for attention and rest, or for what runs in the rest. */
static void host_begin(struct lmm_thread *th)
{
	layers.is_host = 1;
	lmm_writer_put_wide(&th->w, lmm_now(),
			    lmm_word(LMM_EV_GRAPH_BEGIN, 0, LMM_SEQ_NONE, th->graph),
			    (uint64_t)(uintptr_t)lmm_tvm_node(0, 0), (uint64_t)th->step);
}

static void host_end(struct lmm_thread *th)
{
	lmm_writer_put(&th->w, lmm_now(), lmm_word(LMM_EV_GRAPH_END, 0, LMM_SEQ_NONE, th->graph));
	layers.is_host = 0;
}

static void layers_end(struct lmm_thread *th)
{
	if (th->graph && layers.is_host)
		host_end(th);
	th->graph = 0;
	th->mark = LMM_NODE_UNKNOWN;
	th->mark_left = 0;
}

static void layers_begin(struct lmm_thread *th, struct layers *of)
{
	uint32_t every = lmm_session_op_every();

	layers_end(th); /* of a compiled function that has failed */
	layers.graph = lmm_tvm_graph_get((uint32_t)(of->highest + 1));
	th->graph = layers.graph.number;
	th->mark = 0; /* what makes ready for the first attention is layer 0's */
	th->mark_left = 0;
	layers.model = of;
	layers.last = -1;
	layers.is_host = layers.is_told = 0;
	layers.is_sampled = every == 1 || (every > 1 && th->step % every == 0);
	layers.kernels = layers.slot = layers.until = 0;
	lmm_tvm_machine_forget();
}

/* Where a layer begins, as it costs: kernels that were met since get their nodes. */
static LMM_COLD void graph_renew(struct lmm_thread *th)
{
	int saved = errno;

	host_end(th);
	layers.graph = lmm_tvm_graph_get((uint32_t)(layers.model->highest + 1));
	th->graph = layers.graph.number;
	host_begin(th);
	errno = saved;
}

/* Without a node of its own it is the layer's. */
static uint32_t kernel_node(uint32_t kernel)
{
	bool has_slot = layers.slot / 2 < layers.graph.layers || layers.slot == LMM_TVM_OUTPUT;

	return kernel < layers.graph.kernels && has_slot ? kernel : 0;
}

/* One that embeds or is of the softmax is a run of its own. */
static void kernel_alone_begin(struct lmm_thread *th, uint32_t kernel)
{
	int saved = errno;

	if (now.doing != EMBEDDING && now.doing != SOFTMAX)
		return;
	layers_end(th); /* of one that has failed */
	layers.graph = lmm_tvm_graph_get(0);
	errno = saved;
	th->graph = layers.graph.number;
	layers.slot = LMM_TVM_OUTPUT;
	host_begin(th);
	op_put(th, kernel_node(kernel), layers.slot);
}

void lmm_tvm_kernel_begin(struct lmm_thread *th, uint32_t kernel)
{
	if (is_stale(th))
		return;
	if (now.doing != FORWARD) {
		kernel_alone_begin(th, kernel);
		return;
	}
	if (!layers.is_told) {
		layers.is_told = 1;
		if (!layers.is_host)
			host_begin(th);
	}
	if (layers.until && layers.kernels >= layers.until) {
		layers.slot = layers.next;
		layers.until = 0;
	}
	layers.kernels++;
	if (layers.is_sampled)
		op_put(th, kernel_node(kernel), layers.slot);
}

void lmm_tvm_kernel_end(struct lmm_thread *th)
{
	if (is_stale(th) || !th->graph || !layers.is_host)
		return;
	if (now.doing != FORWARD) {
		layers_end(th);
	} else if (layers.is_sampled) {
		op_put(th, kernel_node(LMM_TVM_MACHINE_KERNEL), layers.slot);
	}
}

void lmm_tvm_layer_begin(struct lmm_thread *th, int64_t layer, bool is_device)
{
	uint32_t commands;

	if (is_stale(th) || now.doing != FORWARD || layer < 0 || layer >= LMM_TVM_LAYERS_MAX)
		return;
	commands = commands_of_pass(th);
	if (layers.last < 0) {
		layers.ahead = commands;
		if (commands == 0 && !is_device && !layers.is_host)
			host_begin(th);
		if (!is_device)
			lmm_tvm_machine_take();
	} else {
		layers.model->between = commands - layers.from;
	}
	if (layer > layers.model->highest)
		layers.model->highest = (int32_t)layer;
	th->mark = 2 * (uint32_t)layer;
	th->mark_left = 0;
	if (!layers.is_host)
		return;
	if (lmm_tvm_graph_is_old(&layers.graph))
		graph_renew(th);
	layers.slot = th->mark;
	layers.until = 0;
	op_put(th, 0, layers.slot);
}

/* What of the host comes behind the attention of that layer. */
static void host_rest(struct lmm_thread *th, uint32_t layer)
{
	bool is_last = (int32_t)layer >= layers.model->highest;
	uint32_t between = layers.model->between;

	layers.slot = 2 * layer + 1;
	layers.next = is_last ? LMM_TVM_OUTPUT : 2 * layer + 2;
	if (layers.is_told && between > layers.ahead) {
		layers.until = layers.kernels + between - layers.ahead;
	} else if (is_last) {
		layers.slot = LMM_TVM_OUTPUT;
	}
	if (layers.is_told && layers.is_sampled) {
		op_put(th, kernel_node(LMM_TVM_MACHINE_KERNEL), layers.slot);
	} else {
		op_put(th, 0, layers.slot);
	}
}

void lmm_tvm_layer_end(struct lmm_thread *th, int64_t layer)
{
	if (is_stale(th) || now.doing != FORWARD || layer < 0 || layer >= LMM_TVM_LAYERS_MAX)
		return;
	layers.last = (int32_t)layer;
	layers.from = commands_of_pass(th);
	th->mark = 2 * (uint32_t)layer + 1;
	if (layers.is_host) {
		host_rest(th, (uint32_t)layer);
	} else if (layers.model->between > layers.ahead) {
		th->mark_left = layers.model->between - layers.ahead;
		th->mark_next =
			layer < layers.model->highest ? 2 * (uint32_t)layer + 2 : LMM_NODE_UNKNOWN;
	}
}

/* ---- what the engine does to sequences ----------------------------------------------------------- */

static void hint(struct lmm_thread *th, const struct cache *c, enum lmm_hint what, unsigned seq,
		 uint64_t detail)
{
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_HINT, what, seq, LMM_STEP_NONE),
			    c->number, detail);
}

/* One that has not ended when something else begins: the model failed. Returns from when on that may begin. */
static struct lmm_entry open_pass_fail(struct lmm_thread *th, struct lmm_entry at)
{
	if (now.doing != FORWARD)
		return at;
	lmm_tvm_forward_failed(th);
	return lmm_enter();
}

/* With the lock held. */
static void sequence_take(struct cache *c, enum lmm_tvm_sequence what, int64_t id)
{
	struct sequence *s = sequence_of(c, id);

	if (what == LMM_TVM_ADDED) {
		c->user = &now;
		c->main = c->is_part ? NULL : main_of(c, id);
	}
	if (s) {
		*s = (struct sequence){ .id = id,
					.is_used = what != LMM_TVM_REMOVED,
					.since = now.samplings,
					.position = what == LMM_TVM_FORKED ? UINT32_MAX : 0 };
	}
}

static void sequence_begin(struct cache *c, enum lmm_tvm_sequence what, int64_t id)
{
	sequence_take(c, what, id);
	/* the draft model's turn at a prompt that the main model has been through */
	if (c->main && now.is_unread) {
		now.has_next = 1;
	} else {
		now.has_prompt = what != LMM_TVM_REMOVED;
	}
}

void lmm_tvm_sequence(struct lmm_thread *th, const void *kv, enum lmm_tvm_sequence what, int64_t id,
		      struct lmm_entry at)
{
	struct cache *c;

	if (is_stale(th))
		return;
	leave(th, open_pass_fail(th, at));
	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	if (what == LMM_TVM_CLEARED) {
		memset(c->sequences, 0, sizeof(c->sequences));
		hint(th, c, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0);
		now.has_prompt = 0;
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
	for (unsigned i = 0; i < now.n && now.is_verify && kv == now.cache; i++) {
		if (now.sequences[i] == sequence_name(id))
			now.tokens[i] = (uint8_t)(tokens < UINT8_MAX ? tokens : UINT8_MAX);
	}
}

void lmm_tvm_pop(struct lmm_thread *th, const void *kv, int64_t id, int64_t tokens)
{
	struct sequence *s;
	struct cache *c;
	uint32_t less;

	if (is_stale(th) || tokens <= 0 || tokens > UINT32_MAX)
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

	if (is_stale(th))
		return;
	now.is_inside = 1;
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
		if (now.is_verify && kept == s->deepest)
			now.catches_up = 1;
	}
	pthread_mutex_unlock(&lock);
	if (kv == now.cache)
		now.is_verify = 0;
}

void lmm_tvm_commit_end(struct lmm_thread *th)
{
	if (!is_stale(th))
		now.is_inside = 0;
}

/* ---- passes ------------------------------------------------------------------------------------- */

struct share {
	uint16_t name;
	uint32_t tokens, position;
};

struct pass {
	struct share share[SEQUENCES_MAX];
	uint32_t cache; /* its number */
	uint8_t phase;
	struct layers *layers;
};

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

static void share_take(struct share *share, int64_t id, struct sequence *s, uint32_t tokens)
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

/* Of a pass inside the open scope. */
static uint8_t scope_phase(void)
{
	switch (now.scope) {
	case LMM_TVM_SCOPE_PREFILL:
		return LMM_PHASE_PREFILL;
	case LMM_TVM_SCOPE_DECODE:
		return LMM_PHASE_DECODE;
	case LMM_TVM_SCOPE_VERIFY:
		return LMM_PHASE_VERIFY;
	case LMM_TVM_SCOPE_TREE:
		return LMM_PHASE_DRAFT;
	default:
		return LMM_PHASE_NONE;
	}
}

/* What kind of pass it is, and what each sequence has in it. */
static void pass_take(struct pass *p, const struct lmm_tvm_pass *of, size_t n)
{
	bool is_prompt = false, is_check;
	size_t at = 0;
	struct cache *c;

	pthread_mutex_lock(&lock);
	c = cache_of(of->cache);
	/* what comes first in a recording may check what was drafted before it */
	is_check = now.has_drafted || (!now.has_passes && has_draft(of->cache));
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
	if (scope_phase() != LMM_PHASE_NONE)
		p->phase = scope_phase();
	if (c->main)
		p->phase = LMM_PHASE_DRAFT;
	pthread_mutex_unlock(&lock);
}

static void put_shares(struct lmm_thread *th, const struct pass *p, size_t n)
{
	bool is_whole = p->phase == LMM_PHASE_VERIFY; /* every token has logits */
	/* of a prompt it is not known whether a token will be chosen: it may be a piece of it */
	uint64_t each = p->phase == LMM_PHASE_PREFILL ? 0 : 1;
	uint64_t tokens = 0, outputs;

	for (size_t i = 0; i < n; i++)
		tokens += p->share[i].tokens;
	if (tokens > UINT32_MAX)
		tokens = UINT32_MAX;
	outputs = is_whole ? tokens : each * n;
	lmm_writer_put_wide(&th->w, lmm_now(),
			    lmm_word(LMM_EV_STEP, p->phase, LMM_SEQ_NONE, th->step),
			    tokens | outputs << 32, (uint64_t)p->cache | (uint64_t)th->call << 32);
	for (size_t i = 0; i < n; i++) {
		const struct share *s = &p->share[i];

		outputs = is_whole ? s->tokens : each;
		lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_SEQ, 0, s->name, th->step),
				    (uint64_t)s->tokens | outputs << 32,
				    s->position == UINT32_MAX ? LMM_POS_ABSENT : s->position);
	}
}

/* Its logits are the next ones that are read. */
static void pass_remember(const struct lmm_thread *th, const void *kv, const struct pass *p,
			  size_t n)
{
	now.cache = kv;
	now.step = th->step;
	now.is_draft = p->phase == LMM_PHASE_DRAFT;
	now.is_verify = p->phase == LMM_PHASE_VERIFY;
	now.n = (uint16_t)n;
	for (size_t i = 0; i < n; i++) {
		uint32_t tokens = now.is_verify ? p->share[i].tokens : 1;

		now.sequences[i] = p->share[i].name;
		now.tokens[i] = (uint8_t)(tokens < UINT8_MAX ? tokens : UINT8_MAX);
	}
}

/* With a state within it, which a model of two kinds of layers keeps. */
static void part_note(const void *kv)
{
	struct cache *c;

	pthread_mutex_lock(&lock);
	c = cache_of(kv);
	c->is_part = 1;
	c->main = NULL;
	pthread_mutex_unlock(&lock);
}

/*
 * A draft model's pass that comes first in a recording drafts, or catches up, or goes through a prompt: which of it, and so what is
 * done with its logits, was decided before. What follows it is known again.
 */
static bool is_of_unknown_use(const struct pass *p)
{
	bool is_first = !now.has_passes;

	now.has_passes = 1;
	if (!is_first || p->phase != LMM_PHASE_DRAFT)
		return false;
	now.has_drafted = 1;
	return true;
}

void lmm_tvm_forward_begin(struct lmm_thread *th, const struct lmm_tvm_pass *of,
			   struct lmm_entry at)
{
	size_t n = of->n;
	struct pass p;

	if (is_stale(th) || n == 0)
		return;
	if (now.doing == FORWARD && now.open != of->cache && now.has_begun) {
		part_note(of->cache);
		return;
	}
	at = open_pass_fail(th, at);
	if (n > SEQUENCES_MAX) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "a pass of more than %d sequences: the others are not counted",
				   SEQUENCES_MAX);
		n = SEQUENCES_MAX;
	}
	leave(th, at);
	pass_take(&p, of, n);
	if (is_of_unknown_use(&p))
		return;
	th->in_call = 1;
	th->call_phase = p.phase;
	th->call = lmm_call_next();
	th->step = lmm_step_next();
	now.open = of->cache;
	now.is_aside = p.phase == LMM_PHASE_DRAFT && now.is_unread && !now.is_draft;
	if (!now.is_aside)
		now.n = 0; /* while it runs it is nobody's alone */
	if (scope_phase() != LMM_PHASE_NONE && now.scope_head == th->w.head)
		at = now.scope_at;
	now.has_begun = now.has_ended = 0;
	enter(th, FORWARD, p.phase, at);
	put_shares(th, &p, n);
	if (!now.is_aside)
		pass_remember(th, of->cache, &p, n);
	now.has_prompt = now.has_softmax = now.has_next = 0;
	layers_begin(th, p.layers);
}

void lmm_tvm_forward_begun(struct lmm_thread *th)
{
	if (!is_stale(th))
		now.has_begun = now.doing == FORWARD;
}

/* Ends the open pass; false: there is none. */
static bool forward_leave(struct lmm_thread *th, enum doing then)
{
	if (is_stale(th) || now.doing != FORWARD)
		return false;
	layers_end(th);
	lmm_phase_leave_at(th, LMM_SEQ_NONE, th->step, lmm_now());
	th->in_call = 0;
	now.doing = (uint8_t)then;
	return true;
}

/* Whether another pass comes before its logits are read. */
static bool is_followed(const struct lmm_thread *th)
{
	bool is;

	if (th->call_phase == LMM_PHASE_DRAFT)
		return now.catches_up && !now.is_aside;
	if (th->call_phase != LMM_PHASE_PREFILL)
		return false;
	pthread_mutex_lock(&lock);
	is = has_draft(now.cache); /* which goes through the prompt as well */
	pthread_mutex_unlock(&lock);
	return is;
}

static void forward_end(struct lmm_thread *th)
{
	bool is_draft = th->call_phase == LMM_PHASE_DRAFT;

	if (!forward_leave(th, LOGITS))
		return;
	now.head = th->w.head;
	now.is_unread = 1;
	now.has_next = is_followed(th);
	if (now.has_next)
		now.doing = NOTHING;
	/* the prompt's pass and the one that catches up say nothing of what comes next */
	now.has_drafted = is_draft && (now.has_drafted || !(now.is_aside || now.has_next));
	now.catches_up = 0;
	th->step = now.step;
}

void lmm_tvm_forward_end(struct lmm_thread *th)
{
	if (is_stale(th) || now.doing != FORWARD)
		return;
	now.has_ended = 1;
	if (scope_phase() == LMM_PHASE_NONE) /* else it ends with that */
		forward_end(th);
}

void lmm_tvm_forward_failed(struct lmm_thread *th)
{
	if (!forward_leave(th, NOTHING))
		return;
	now.n = 0;
	now.is_unread = 0;
	now.has_next = 1;
}

/* ---- copies and functions ----------------------------------------------------------------------- */

static bool is_out(enum lmm_tvm_copy way, size_t bytes)
{
	if (way == LMM_TVM_EITHER)
		return now.has_softmax || (!now.has_scopes && bytes >= LOGITS_MIN_BYTES);
	return way == LMM_TVM_OUT;
}

/*
 * A long prompt goes through the model in pieces, and each piece's logits are read though no token is chosen: what is copied to the
 * device next are then the ids (of 4 bytes) of several tokens.
 */
static void piece_look(const struct lmm_thread *th, size_t bytes)
{
	if (th->call_phase == LMM_PHASE_PREFILL && now.n == 1 && !now.has_prompt &&
	    bytes > sizeof(int32_t))
		now.tokens[0] = 0;
}

bool lmm_tvm_copy_begin(struct lmm_thread *th, enum lmm_tvm_copy way, size_t bytes,
			struct lmm_entry at)
{
	if (is_stale(th) || way == LMM_TVM_NEITHER || now.is_inside || now.scope)
		return false;
	switch (now.doing) {
	case NOTHING:
		/* weights are copied too, but before there is a sequence */
		if ((now.has_prompt || now.has_next) && way != LMM_TVM_OUT && !now.has_scopes)
			embedding_begin(th, at);
		return false;
	case SAMPLING:
		if (way == LMM_TVM_OUT || now.has_scopes)
			return false;
		piece_look(th, bytes);
		embedding_begin(th, at);
		return false;
	case LOGITS:
	case SOFTMAX:
		if (!is_out(way, bytes)) {
			if (now.doing == LOGITS && !now.has_scopes)
				softmax_begin(th, at);
			return false;
		}
		leave(th, at);
		now.is_unread = 0;
		enter(th, COPYING, LMM_PHASE_COPY_TO_CPU, at);
		return true;
	default:
		return false;
	}
}

void lmm_tvm_copy_end(struct lmm_thread *th, size_t bytes)
{
	struct lmm_entry at;

	if (is_stale(th) || now.doing != COPYING)
		return;
	at = lmm_enter();
	leave(th, at);
	lmm_writer_put_wide(&th->w, at.gap_end_t,
			    lmm_word(LMM_EV_COUNT, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, th->step),
			    bytes, 0);
	enter(th, SAMPLING, LMM_PHASE_SAMPLING, at);
}

void lmm_tvm_function(struct lmm_thread *th, const char *name, size_t bytes, struct lmm_entry at)
{
	if (is_stale(th))
		return;
	if (memmem(name, bytes, "softmax", 7)) {
		now.has_softmax = 1;
		if (now.has_scopes || !now.is_unread || now.doing == FORWARD)
			return;
		leave(th, at); /* it was no embedding, if it looked like one */
		softmax_begin(th, at);
	} else if (!now.has_scopes && memmem(name, bytes, "embed", 5) &&
		   (now.doing == SAMPLING || now.doing == SOFTMAX || now.doing == LOGITS ||
		    (now.doing == NOTHING && (now.has_prompt || now.has_next)))) {
		/* without a softmax since the pass: the next piece of a prompt */
		embedding_begin(th, at);
	}
}

/* ---- scopes ------------------------------------------------------------------------------------- */

void lmm_tvm_scope_begin(struct lmm_thread *th, enum lmm_tvm_scope scope, struct lmm_entry at)
{
	if (is_stale(th))
		return;
	at = open_pass_fail(th, at);
	now.scope = (uint8_t)scope;
	now.has_scopes = 1;
	switch (scope) {
	case LMM_TVM_SCOPE_EMBED:
		embedding_begin(th, at);
		break;
	case LMM_TVM_SCOPE_SOFTMAX:
		if (!now.is_unread)
			break;
		leave(th, at);
		now.is_unread = 0;
		now.has_softmax = 1;
		th->step = now.step;
		enter(th, SOFTMAX, LMM_PHASE_SOFTMAX, at);
		break;
	case LMM_TVM_SCOPE_SAMPLE:
		if (now.doing != LOGITS && now.doing != SOFTMAX)
			break;
		leave(th, at);
		now.is_unread = 0;
		enter(th, SAMPLING, LMM_PHASE_SAMPLING, at);
		break;
	case LMM_TVM_SCOPE_ANSWER:
		if (now.doing == SAMPLING)
			leave(th, at);
		break;
	default:
		leave(th, at);
		now.scope_at = at;
		now.scope_head = th->w.head;
		break;
	}
}

void lmm_tvm_scope_end(struct lmm_thread *th, enum lmm_tvm_scope scope)
{
	if (is_stale(th))
		return;
	if (scope == LMM_TVM_SCOPE_EMBED && now.doing == EMBEDDING)
		leave(th, lmm_enter());
	if (now.doing == FORWARD && now.has_ended) {
		forward_end(th);
	} else if (now.doing == FORWARD) {
		lmm_tvm_forward_failed(th);
	}
	now.scope = LMM_TVM_SCOPE_NONE;
}
