/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llama.cpp, b4753 to v0.5.0 and on: phases, steps, sequences and tokens from its public functions. docs/events.md says what
 * is recorded when. Nothing of its headers is used: batch and parameters are forwarded as opaque bytes, of the batch only
 * the words that have not changed since 2024 are read.
 */
#include "probe/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"

struct batch { /* llama_batch, passed by value */
	int32_t n_tokens;
	int32_t *token;
	float *embd;
	int32_t *pos;
	int32_t *n_seq_id;
	int32_t **seq_id;
	int8_t *logits;
};

/* Parameter structures are passed by value and grow with releases: forwarded generously. */
struct params_blob {
	uint64_t words[64];
};

#define CONTEXT_MAX 32
#define ROW_MAX                                                                                    \
	4096 /* rows of a batch whose sequence is remembered, to know whose logits are read */
#define SEQ_LIST 256 /* sequences of one batch that are told apart */

struct context {
	const void *ctx;
	uint32_t id; /* what events call it: never used twice, unlike its place here */
	uint16_t seq_of_row[ROW_MAX];
	uint32_t n_rows;
	uint16_t last_seq;
	/* The last call's, for programs that go on with the context on another thread (Node does, each time). */
	uint8_t call_phase;
	uint8_t roams; /* it was used by more than one thread */
	uint32_t step;
	uint32_t call;
	uint32_t token_call; /* call and row a token was last chosen from */
	int32_t token_row;
	uint32_t model_said;		 /* recording in which its model was described */
	const struct lmm_thread *thread; /* that used it last; only compared, it may be gone */
	/* A token that its thread has not told yet, in case another goes on; 0: none. */
	uint8_t has_pending;
	uint16_t pending_seq;
	uint32_t pending_step;
};

static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct context *contexts[CONTEXT_MAX];
static uint32_t next_context = 1;

void lmm_llama_after_fork(void)
{
	pthread_mutex_init(&contexts_lock, NULL);
}

/* ---- which engine ------------------------------------------------------------------------------- */

void lmm_llama_describe_engine(const void *ra)
{
	const char *(*version)(void), *(*commit)(void);
	char text[160] = "";

	if (lmm_engine_is_described())
		return;
	*(void **)&version = lmm_door_lookup("ggml_version", ra);
	*(void **)&commit = lmm_door_lookup("ggml_commit", ra);
	if (version) {
		snprintf(text, sizeof(text), "ggml %s%s%s%s", version(), commit ? " (" : "",
			 commit ? commit() : "", commit ? ")" : "");
	}
	lmm_engine_describe("llama.cpp", text);
}

/* ---- contexts ----------------------------------------------------------------------------------- */

/* Number of a context, 1 … CONTEXT_MAX; 0 when there are too many. */
static unsigned context_number(const void *ctx, bool make)
{
	unsigned free_slot = CONTEXT_MAX, found = 0;

	pthread_mutex_lock(&contexts_lock);
	for (unsigned i = 0; i < CONTEXT_MAX && !found; i++) {
		if (contexts[i] && contexts[i]->ctx == ctx) {
			found = i + 1;
		} else if ((!contexts[i] || !contexts[i]->ctx) && free_slot == CONTEXT_MAX) {
			free_slot = i;
		}
	}
	if (!found && make && free_slot < CONTEXT_MAX) {
		if (!contexts[free_slot])
			contexts[free_slot] = calloc(1, sizeof(struct context));
		if (contexts[free_slot]) {
			contexts[free_slot]->ctx = ctx;
			contexts[free_slot]->id = next_context++;
			contexts[free_slot]->n_rows = 0;
			contexts[free_slot]->last_seq = LMM_SEQ_NONE;
			contexts[free_slot]->step = LMM_STEP_NONE;
			contexts[free_slot]->thread = NULL;
			contexts[free_slot]->roams = 0;
			contexts[free_slot]->has_pending = 0;
			contexts[free_slot]->token_call = 0;
			contexts[free_slot]->model_said = 0;
			found = free_slot + 1;
		}
	}
	pthread_mutex_unlock(&contexts_lock);
	return found;
}

static uint32_t context_id(unsigned number)
{
	return number ? contexts[number - 1]->id : 0;
}

static void hint(const void *ctx, enum lmm_hint what, unsigned seq, uint64_t detail)
{
	struct lmm_thread *th = lmm_thread_self();
	unsigned number = context_number(ctx, true);

	if (!th) {
		lmm_no_ring(1);
		return;
	}
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_HINT, what, seq, th->step),
			    context_id(number), detail);
}

/* ---- the sampling window ------------------------------------------------------------------------ */

/*
 * Choosing a token is no single call: it begins where logits are read and ends where the token is accepted, or, if the
 * program chooses by itself, where the next call of the engine begins. Every hook of this file that is not part of it
 * finishes an open window first.
 */
static void window_open(struct lmm_thread *th, unsigned seq, struct lmm_entry at)
{
	th->window = 1;
	th->seq = (uint16_t)seq;
	lmm_phase_enter(th, LMM_PHASE_SAMPLING, seq, th->step, at);
}

static void window_close_at(struct lmm_thread *th, uint64_t t)
{
	struct context *c = th->window_ctx ? contexts[th->window_ctx - 1] : NULL;
	bool is_told = th->window_pends && c && !c->has_pending;

	if (th->window == 2 && !is_told)
		lmm_writer_put(&th->w, t, lmm_word(LMM_EV_TOKEN, 0, th->seq, th->step));
	if (th->window_pends && c)
		c->has_pending = 0;
	th->window_pends = 0;
	th->window = 0;
	lmm_phase_leave_at(th, th->seq, th->step, t);
}

static void window_finish(struct lmm_thread *th, struct lmm_entry at)
{
	if (lmm_likely(!th->window || th->depth != 1))
		return;
	if (th->window == 2) {
		/* samplers ran, no accept came: it ended with the last of them */
		window_close_at(th, th->window_t);
	} else {
		window_close_at(th, at.gap_end_t);
		th->left_t = at.gap_end_t;
	}
}

/* The context is used by th now. If it was another thread's, that one may never come back: what it owes is told here. */
static void context_pass(struct context *c, struct lmm_thread *th)
{
	if (c->thread && c->thread != th) {
		c->roams = 1;
		if (c->has_pending) {
			lmm_writer_put(&th->w, lmm_now(),
				       lmm_word(LMM_EV_TOKEN, 0, c->pending_seq, c->pending_step));
		}
		c->has_pending = 0;
	}
	c->thread = th;
}

/* Takes over where the context's last call left it, on whatever thread that was. The sequence of a row of its batch. */
static unsigned context_join(struct lmm_thread *th, const void *ctx, int32_t row)
{
	unsigned number = context_number(ctx, false);
	struct context *c = number ? contexts[number - 1] : NULL;

	th->window_ctx = (uint16_t)number;
	th->window_row = row;
	if (!c)
		return LMM_SEQ_NONE;
	context_pass(c, th);
	th->step = c->step;
	th->call_phase = c->call_phase;
	th->call_ctx = (uint16_t)number;
	if (row >= 0 && (uint32_t)row < c->n_rows)
		return c->seq_of_row[row];
	return c->last_seq;
}

/* Logits (or what a backend sampler left) are read for a row: a window begins unless one is open for the same. */
static void logits_read(const void *ctx, int32_t row, struct lmm_entry at)
{
	struct lmm_thread *th = lmm_thread_self();
	unsigned seq;

	if (!th) {
		lmm_no_ring(2);
		return;
	}
	if (th->depth > 1 || (th->depth == 1 && !th->window))
		return;
	seq = context_join(th, ctx, row);
	if (th->window == 1 && th->seq == seq)
		return;
	window_finish(th, at);
	window_open(th, seq, at);
}

static void read_enter(void)
{
	if (lmm_self)
		lmm_self->in_read++;
}

static void read_leave(void)
{
	if (lmm_self && lmm_self->in_read)
		lmm_self->in_read--;
}

LMM_HOOK(float *, llama_get_logits_ith, void *ctx, int32_t i)
{
	float *logits;

	LMM_ENTER(llama_get_logits_ith);
	if (at.t && !LMM_FOREIGN(llama_get_logits_ith))
		logits_read(ctx, i, at);
	read_enter();
	logits = fn(ctx, i);
	read_leave();
	return logits;
}

LMM_HOOK(float *, llama_get_logits, void *ctx)
{
	float *logits;

	LMM_ENTER(llama_get_logits);
	if (at.t && !LMM_FOREIGN(llama_get_logits))
		logits_read(ctx, -1, at);
	read_enter();
	logits = fn(ctx);
	read_leave();
	return logits;
}

/* Asked first by llama.cpp's own sampling since backend samplers exist. */
LMM_HOOK(float *, llama_get_sampled_probs_ith, void *ctx, int32_t i)
{
	float *logits;

	LMM_ENTER(llama_get_sampled_probs_ith);
	if (at.t && !LMM_FOREIGN(llama_get_sampled_probs_ith))
		logits_read(ctx, i, at);
	read_enter();
	logits = fn(ctx, i);
	read_leave();
	return logits;
}

/* A backend sampler has chosen on the device already. */
LMM_HOOK(int32_t, llama_get_sampled_token_ith, void *ctx, int32_t i)
{
	struct lmm_thread *th = lmm_self;
	int32_t token;

	LMM_REAL(llama_get_sampled_token_ith);
	token = fn(ctx, i);
	if (token >= 0 && th && th->window == 1 && th->depth == 1 && lmm_recording()) {
		th->window = 2;
		th->window_t = lmm_now();
	}
	return token;
}

/* ---- samplers ----------------------------------------------------------------------------------- */

/* Sampler kinds are told by the address of their table of functions, so that names are compared once per kind. */
struct sampler_kind {
	_Atomic uintptr_t iface;
	_Atomic int softmax;
};
static struct sampler_kind sampler_kinds[64];

static bool name_is_softmax(const char *name)
{
	/* temp scales what the softmax is of; the others compute it */
	static const char *const names[] = { "temp",  "temp-ext", "softmax", "top-p",
					     "min-p", "typical",  "dist" };

	/* "?top-p" is how releases since 2025 show one that is switched off */
	if (!name || name[0] == '?')
		return false;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static LMM_COLD bool sampler_learn(struct sampler_kind *k, uintptr_t iface, void *smpl,
				   const void *ra)
{
	const char *(*get_name)(const void *smpl);
	bool softmax;

	*(void **)&get_name = lmm_door_lookup("llama_sampler_name", ra);
	softmax = get_name && name_is_softmax(get_name(smpl));
	if (k) {
		atomic_store_explicit(&k->softmax, softmax, memory_order_relaxed);
		atomic_store_explicit(&k->iface, iface, memory_order_release);
	}
	return softmax;
}

static bool sampler_is_softmax(void *smpl, const void *ra)
{
	uintptr_t iface;
	unsigned k;

	memcpy(&iface, smpl,
	       sizeof(iface)); /* the first word of struct llama_sampler in every release */
	k = (unsigned)lmm_hash_u64(LMM_HASH_SEED, iface) & 63u;
	for (unsigned i = 0; i < 64; i++, k = (k + 1) & 63u) {
		uintptr_t known =
			atomic_load_explicit(&sampler_kinds[k].iface, memory_order_acquire);

		if (known == iface) {
			return atomic_load_explicit(&sampler_kinds[k].softmax,
						    memory_order_relaxed);
		}
		if (!known)
			return sampler_learn(&sampler_kinds[k], iface, smpl, ra);
	}
	return sampler_learn(NULL, iface, smpl, ra);
}

/*
 * A context that is handed from thread to thread: this one may not come back for long, so the window ends with each
 * sampler, and a row gives one token however many samplers follow.
 */
static void window_close_roaming(struct lmm_thread *th)
{
	struct context *c = th->window_ctx ? contexts[th->window_ctx - 1] : NULL;

	if (!c || th->depth != 1)
		return;
	if (!c->roams) {
		c->has_pending = th->window_pends = 1;
		c->pending_seq = th->seq;
		c->pending_step = th->step;
		return;
	}
	if (c->token_call == c->call && c->token_row == th->window_row)
		th->window = 1;
	c->token_call = c->call;
	c->token_row = th->window_row;
	window_close_at(th, th->window_t);
}

LMM_HOOK(void, llama_sampler_apply, void *smpl, void *candidates)
{
	struct lmm_thread *th;
	bool softmax;

	LMM_ENTER(llama_sampler_apply);
	if (!smpl || !at.t || LMM_FOREIGN(llama_sampler_apply) || !(th = lmm_thread_self())) {
		fn(smpl, candidates);
		return;
	}
	if (th->depth == 0)
		window_open(th, th->seq, at);
	softmax = sampler_is_softmax(smpl, __builtin_return_address(0));
	if (softmax)
		lmm_phase_enter(th, LMM_PHASE_SOFTMAX, th->seq, th->step, at);
	th->apply_depth++;
	fn(smpl, candidates);
	th->apply_depth--;
	if (softmax)
		lmm_phase_leave(th, th->seq, th->step);
	if (th->apply_depth == 0 && th->window) {
		th->window = 2;
		th->window_t = lmm_now();
		window_close_roaming(th);
	}
}

LMM_HOOK(void, llama_sampler_accept, void *smpl, int32_t token)
{
	struct lmm_thread *th;
	bool own_phase;

	LMM_ENTER(llama_sampler_accept);
	if (!smpl || !at.t || LMM_FOREIGN(llama_sampler_accept) || !(th = lmm_thread_self()) ||
	    th->accept_depth) {
		fn(smpl, token);
		return;
	}
	own_phase = th->depth == 0; /* the prompt's tokens are told to the samplers, too */
	if (own_phase)
		lmm_phase_enter(th, LMM_PHASE_SAMPLING, th->seq, th->step, at);
	th->accept_depth++;
	fn(smpl, token);
	th->accept_depth--;
	if (own_phase) {
		lmm_phase_leave(th, th->seq, th->step);
	} else if (th->window == 2 && th->depth == 1) {
		window_close_at(th, lmm_now());
		th->left_t = lmm_now();
	}
}

LMM_HOOK(int32_t, llama_sampler_sample, void *smpl, void *ctx, int32_t idx)
{
	struct lmm_thread *th;
	int32_t token;
	bool own_window;

	LMM_ENTER(llama_sampler_sample);
	if (!at.t || LMM_FOREIGN(llama_sampler_sample) || !(th = lmm_thread_self()))
		return fn(smpl, ctx, idx);
	window_finish(th, at);
	own_window = th->depth == 0;
	if (own_window)
		window_open(th, context_join(th, ctx, idx), at);
	th->accept_depth++; /* its own accept does not end the window: this call does */
	token = fn(smpl, ctx, idx);
	th->accept_depth--;
	if (own_window && th->window) {
		th->window = 2;
		window_close_at(th, lmm_now());
		th->left_t = lmm_now();
	}
	return token;
}

/* ---- models ------------------------------------------------------------------------------------- */

static uint64_t model_number(const char *symbol, const void *model, const void *ra)
{
	uint64_t (*get)(const void *model);

	*(void **)&get = lmm_door_lookup(symbol, ra);
	return get ? get(model) : 0;
}

static uint64_t model_int(const char *symbol, const void *model, const void *ra)
{
	int32_t (*get)(const void *model);
	int32_t v;

	*(void **)&get = lmm_door_lookup(symbol, ra);
	v = get ? get(model) : 0;
	return v > 0 ? (uint64_t)v : 0;
}

static uint64_t model_vocabulary(const void *model, const void *ra)
{
	const void *(*get_vocab)(const void *model);
	int32_t (*n_tokens)(const void *vocab);
	int32_t n;

	*(void **)&get_vocab = lmm_door_lookup("llama_model_get_vocab", ra);
	*(void **)&n_tokens = lmm_door_lookup("llama_vocab_n_tokens", ra);
	n = get_vocab && n_tokens ? n_tokens(get_vocab(model)) : 0;
	return n > 0 ? (uint64_t)n : 0;
}

static void put_model_text(struct lmm_buf *b, const char *key, const void *model, const void *ra)
{
	int32_t (*get)(const void *model, const char *key, char *buf, size_t bytes);
	char text[256] = "";

	*(void **)&get = lmm_door_lookup("llama_model_meta_val_str", ra);
	if (get && get(model, key, text, sizeof(text)) < 0)
		text[0] = 0;
	text[sizeof(text) - 1] = 0;
	lmm_buf_put_str(b, text);
}

static void describe_model(const void *model, const char *file, const void *ra)
{
	int32_t (*describe)(const void *model, char *buf, size_t bytes);
	struct lmm_buf b = { 0 };
	char text[256] = "";

	*(void **)&describe = lmm_door_lookup("llama_model_desc", ra);
	if (describe)
		describe(model, text, sizeof(text));
	text[sizeof(text) - 1] = 0;
	put_model_text(&b, "general.name", model, ra);
	lmm_buf_put_str(&b, text);
	put_model_text(&b, "general.architecture", model, ra);
	lmm_buf_put_str(&b, file);
	lmm_buf_put_varint(&b, model_number("llama_model_size", model, ra));
	lmm_buf_put_varint(&b, model_number("llama_model_n_params", model, ra));
	lmm_buf_put_varint(&b, model_int("llama_model_n_layer", model, ra));
	lmm_buf_put_varint(&b, model_vocabulary(model, ra));
	lmm_buf_put_varint(&b, model_int("llama_model_n_embd", model, ra));
	lmm_session_describe(LMM_DESC_MODEL, &b);
	lmm_buf_free(&b);
}

#define MODEL_MAX 16

/* What was loaded, recorded or not: a recording that begins later asks whose model a context has. */
static struct model {
	const void *model;
	char file[128];
	uint32_t said; /* recording in which it was described */
} models[MODEL_MAX];
static unsigned n_models;

/* With the lock held. */
static struct model *model_find(const void *model)
{
	for (unsigned i = 0; i < MODEL_MAX; i++) {
		if (models[i].model == model)
			return &models[i];
	}
	return NULL;
}

/* One that was not seen being loaded has no file's name. */
static struct model *model_slot(const void *model, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	struct model *m = model_find(model);

	if (m && !path)
		return m;
	if (!m)
		m = &models[n_models++ % MODEL_MAX];
	m->model = model;
	m->said = 0;
	(void)snprintf(m->file, sizeof(m->file), "%s", slash ? slash + 1 : path ? path : "");
	return m;
}

static void model_remember(const void *model, const char *path)
{
	pthread_mutex_lock(&contexts_lock);
	model_slot(model, path ? path : "");
	pthread_mutex_unlock(&contexts_lock);
}

static void model_tell(const void *model, const void *ra)
{
	uint32_t now = lmm_recording();
	char file[sizeof(models[0].file)];
	struct model *m;
	bool is_said;

	if (!model || !now)
		return;
	pthread_mutex_lock(&contexts_lock);
	m = model_slot(model, NULL);
	is_said = m->said == now;
	m->said = now;
	memcpy(file, m->file, sizeof(file));
	pthread_mutex_unlock(&contexts_lock);
	if (!is_said)
		describe_model(model, file, ra);
}

/* Once per context and recording: the model may have been loaded before the recording began. */
static void context_tell_model(struct context *c, const void *ra)
{
	const void *(*get_model)(const void *ctx);
	uint32_t now = lmm_recording();
	int saved = errno;

	if (lmm_likely(c->model_said == now))
		return;
	c->model_said = now;
	*(void **)&get_model = lmm_door_lookup("llama_get_model", ra);
	if (get_model && c->ctx)
		model_tell(get_model(c->ctx), ra);
	errno = saved;
}

/* ---- steps -------------------------------------------------------------------------------------- */

struct seq_share {
	uint32_t seq;
	uint32_t tokens;
	uint32_t outputs;
	int32_t first_pos;
};

/* The share of seq among the first n, or a new one with row i's position; NULL if there are too many. */
static struct seq_share *share_of(struct seq_share *share, unsigned *n, const struct batch *b,
				  int32_t i, int32_t seq)
{
	for (unsigned k = 0; k < *n; k++) {
		if (share[k].seq == (uint32_t)seq)
			return &share[k];
	}
	if (*n == SEQ_LIST)
		return NULL;
	share[*n] =
		(struct seq_share){ .seq = (uint32_t)seq, .first_pos = b->pos ? b->pos[i] : -1 };
	return &share[(*n)++];
}

static void row_remember(struct context *c, int32_t i, int32_t seq)
{
	if (!c || i >= ROW_MAX)
		return;
	c->seq_of_row[i] = seq >= 0 && seq < (int32_t)LMM_SEQ_NONE ? (uint16_t)seq : LMM_SEQ_NONE;
	c->n_rows = (uint32_t)i + 1;
	c->last_seq = c->seq_of_row[i];
}

/* Who is in the batch. Returns the number of sequences; 0 if the batch names none or too many to tell apart. */
static unsigned batch_shares(const struct batch *b, struct context *c, struct seq_share *share)
{
	unsigned n = 0;

	if (c)
		c->n_rows = 0;
	if (!b->seq_id || !b->n_seq_id)
		return 0;
	for (int32_t i = 0; i < b->n_tokens; i++) {
		int32_t seq = b->n_seq_id[i] > 0 && b->seq_id[i] ? b->seq_id[i][0] : -1;
		struct seq_share *x = share_of(share, &n, b, i, seq);

		if (!x)
			return 0;
		x->tokens++;
		x->outputs += b->logits && b->logits[i];
		row_remember(c, i, seq);
	}
	return n;
}

static uint32_t count_outputs(const struct batch *b)
{
	uint32_t n = 0;

	if (!b->logits)
		return 1; /* no list: the last token only */
	for (int32_t i = 0; i < b->n_tokens; i++)
		n += b->logits[i] != 0;
	return n;
}

static void put_step(struct lmm_thread *th, uint64_t tokens, uint64_t outputs)
{
	lmm_writer_put_wide(&th->w, lmm_now(),
			    lmm_word(LMM_EV_STEP, th->call_phase, LMM_SEQ_NONE, th->step),
			    tokens | outputs << 32,
			    (uint64_t)context_id(th->call_ctx) | (uint64_t)th->call << 32);
}

static void put_share(struct lmm_thread *th, const struct seq_share *x)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): batch_shares() filled it */
	uint64_t counts = (uint64_t)x->tokens | (uint64_t)x->outputs << 32;

	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_SEQ, 0, x->seq, th->step), counts,
			    x->first_pos >= 0 ? (uint64_t)x->first_pos : LMM_POS_ABSENT);
}

static void call_begin(struct lmm_thread *th, const void *ctx, const struct batch *b,
		       struct lmm_entry at)
{
	struct seq_share share[SEQ_LIST];
	unsigned number = context_number(ctx, true);
	struct context *c = number ? contexts[number - 1] : NULL;
	unsigned n = batch_shares(b, c, share);
	bool one_each = b->n_tokens == 1;

	if (n)
		one_each = (unsigned)b->n_tokens == n;
	window_finish(th, at);
	if (c)
		context_pass(c, th);
	th->in_call = 1;
	th->passes = 0;
	th->graph = 0;
	th->call_phase = one_each ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;
	th->call_ctx = (uint16_t)number;
	th->call = lmm_call_next();
	th->step = lmm_step_next();
	lmm_phase_enter(th, th->call_phase, LMM_SEQ_NONE, th->step, at);
	put_step(th, (uint32_t)b->n_tokens, count_outputs(b));
	for (unsigned i = 0; i < n; i++)
		put_share(th, &share[i]);
}

static void call_end(struct lmm_thread *th)
{
	struct context *c = th->call_ctx ? contexts[th->call_ctx - 1] : NULL;

	lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
	if (c) {
		c->call = th->call;
		c->step = th->step;
		c->call_phase = th->call_phase;
	}
	th->in_call = 0;
	th->graph = 0;
}

#define NO_ROOM 1 /* what llama_decode() returns where the context has no place for the batch */

/* llama_decode() and llama_encode() are one kind of call for us. */
static inline int32_t batch_call(int32_t (*fn)(void *, struct batch), void *ctx, struct batch b,
				 const void *ra, struct lmm_entry at)
{
	struct lmm_thread *th = lmm_thread_self();
	uint32_t step;
	int32_t rc;

	if (!th) {
		lmm_no_ring(3);
		return fn(ctx, b);
	}
	if (th->in_call || b.n_tokens <= 0)
		return fn(ctx, b);
	lmm_llama_describe_engine(ra);
	call_begin(th, ctx, &b, at);
	step = th->step; /* further passes have others */
	rc = fn(ctx, b);
	call_end(th);
	if (lmm_unlikely(rc == NO_ROOM))
		hint(ctx, LMM_HINT_NO_ROOM, LMM_SEQ_NONE, step);
	if (th->call_ctx)
		context_tell_model(contexts[th->call_ctx - 1], ra);
	return rc;
}

LMM_HOOK(int32_t, llama_decode, void *ctx, struct batch b)
{
	LMM_ENTER(llama_decode);
	if (!at.t || LMM_FOREIGN(llama_decode))
		return fn(ctx, b);
	return batch_call(fn, ctx, b, __builtin_return_address(0), at);
}

LMM_HOOK(int32_t, llama_encode, void *ctx, struct batch b)
{
	LMM_ENTER(llama_encode);
	if (!at.t || LMM_FOREIGN(llama_encode))
		return fn(ctx, b);
	return batch_call(fn, ctx, b, __builtin_return_address(0), at);
}

/* Nothing that this thread has called in this recording is open, and the engine has a llama_decode(): one goes on unseen. */
bool lmm_llama_is_under_way(const struct lmm_thread *th)
{
	return !th->in_call && th->depth == 0 && th->recording != lmm_recording() &&
	       lmm_session_has_joined_late() &&
	       atomic_load_explicit(&door_llama_decode.n_sites, memory_order_relaxed) > 0;
}

/* A forward pass without a visible llama_decode(): engines linked into one file call that one directly. */
static int lone_pass(int (*fn)(void *, void *), struct lmm_thread *th, void *sched, void *graph,
		     uint32_t n_tokens, struct lmm_entry at)
{
	int rc;

	window_finish(th, at);
	th->call_phase = n_tokens > 1 ? LMM_PHASE_PREFILL : LMM_PHASE_DECODE;
	th->call_ctx = 0;
	th->call = lmm_call_next();
	th->step = lmm_step_next();
	lmm_phase_enter(th, th->call_phase, LMM_SEQ_NONE, th->step, at);
	put_step(th, n_tokens, 1);
	lmm_session_reason(LMM_LEVEL_KERNELS,
			   "llama_decode() is not visible in this build: steps are taken from its "
			   "graphs; tokenizing, sampling and copies may be missing");
	rc = fn(sched, graph);
	lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
	return rc;
}

/* Each further pass of a call is a step of its own. */
static void pass_begin(struct lmm_thread *th)
{
	if (th->passes && th->depth == 1) {
		lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
		th->step = lmm_step_next();
		th->left_t = 0; /* the next begins where this one ended */
		lmm_phase_enter(th, th->call_phase, LMM_SEQ_NONE, th->step, lmm_enter());
		put_step(th, 0, 0);
	}
	if (th->passes < 255)
		th->passes++;
}

LMM_HOOK(int, ggml_backend_sched_graph_compute_async, void *sched, void *graph)
{
	struct lmm_thread *th;
	uint32_t n_tokens;
	int rc;

	LMM_ENTER(ggml_backend_sched_graph_compute_async);
	if (!at.t || LMM_FOREIGN(ggml_backend_sched_graph_compute_async) ||
	    !(th = lmm_thread_self()))
		return fn(sched, graph);
	if (lmm_llama_is_under_way(th))
		return fn(sched, graph);
	lmm_ggml_graph(th, graph, __builtin_return_address(0), &n_tokens);
	if (!th->in_call && th->depth == 0) {
		lmm_llama_describe_engine(__builtin_return_address(0));
		rc = lone_pass(fn, th, sched, graph, n_tokens, at);
	} else {
		if (th->in_call)
			pass_begin(th);
		rc = fn(sched, graph);
	}
	th->graph = 0;
	return rc;
}

LMM_HOOK(bool, ggml_backend_sched_alloc_graph, void *sched, void *graph)
{
	LMM_REAL(ggml_backend_sched_alloc_graph);
	lmm_ggml_graph_changed();
	return fn(sched, graph);
}

/* Inside a call this is the copy of the logits (or embeddings) to the program's memory. */
LMM_HOOK(void, ggml_backend_tensor_get_async, void *backend, void *tensor, void *data,
	 size_t offset, size_t bytes)
{
	struct lmm_thread *th = lmm_self;

	LMM_ENTER(ggml_backend_tensor_get_async);
	if (!th || !th->in_call || th->depth != 1 || !at.t ||
	    LMM_FOREIGN(ggml_backend_tensor_get_async)) {
		fn(backend, tensor, data, offset, bytes);
		return;
	}
	lmm_phase_enter(th, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, th->step, at);
	fn(backend, tensor, data, offset, bytes);
	lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
	lmm_writer_put_wide(&th->w, lmm_now(),
			    lmm_word(LMM_EV_COUNT, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, th->step),
			    bytes, 0);
}

/* Outside a call the program waits for the device: the step goes on. */
LMM_HOOK(void, llama_synchronize, void *ctx)
{
	struct lmm_thread *th;

	LMM_ENTER(llama_synchronize);
	if (!at.t || LMM_FOREIGN(llama_synchronize) || !(th = lmm_thread_self())) {
		fn(ctx);
		return;
	}
	/* reading or choosing waits by itself in some releases: that is part of the window, not its end */
	if (th->in_read || th->accept_depth) {
		fn(ctx);
		return;
	}
	window_finish(th, at);
	if (!th->depth)
		context_join(th, ctx, -1);
	if (th->depth || th->step == LMM_STEP_NONE) {
		fn(ctx);
		return;
	}
	lmm_phase_enter(th, th->call_phase, LMM_SEQ_NONE, th->step, at);
	fn(ctx);
	lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
}

/* ---- text --------------------------------------------------------------------------------------- */

LMM_HOOK(int32_t, llama_tokenize, void *vocab, const char *text, int32_t text_len, int32_t *tokens,
	 int32_t n_max, bool add_special, bool parse_special)
{
	struct lmm_thread *th;
	int32_t n;

	LMM_ENTER(llama_tokenize);
	if (!at.t || LMM_FOREIGN(llama_tokenize) || !(th = lmm_thread_self()))
		return fn(vocab, text, text_len, tokens, n_max, add_special, parse_special);
	window_finish(th, at);
	lmm_phase_enter(th, LMM_PHASE_TOKENIZE, LMM_SEQ_NONE, LMM_STEP_NONE, at);
	n = fn(vocab, text, text_len, tokens, n_max, add_special, parse_special);
	lmm_phase_leave(th, LMM_SEQ_NONE, LMM_STEP_NONE);
	if (n >= 0) {
		lmm_writer_put_wide(
			&th->w, lmm_now(),
			lmm_word(LMM_EV_COUNT, LMM_PHASE_TOKENIZE, LMM_SEQ_NONE, LMM_STEP_NONE),
			(uint64_t)n, 0);
	}
	return n;
}

LMM_HOOK(int32_t, llama_token_to_piece, void *vocab, int32_t token, char *buf, int32_t length,
	 int32_t lstrip, bool special)
{
	struct lmm_thread *th;
	int32_t n;

	LMM_ENTER(llama_token_to_piece);
	if (!at.t || LMM_FOREIGN(llama_token_to_piece) || !(th = lmm_thread_self()))
		return fn(vocab, token, buf, length, lstrip, special);
	window_finish(th, at);
	lmm_phase_enter(th, LMM_PHASE_DETOKENIZE, th->seq, th->step, at);
	n = fn(vocab, token, buf, length, lstrip, special);
	lmm_phase_leave(th, th->seq, th->step);
	return n;
}

LMM_HOOK(int32_t, llama_detokenize, void *vocab, const int32_t *tokens, int32_t n_tokens,
	 char *text, int32_t n_max, bool remove_special, bool unparse_special)
{
	struct lmm_thread *th;
	int32_t n;

	LMM_ENTER(llama_detokenize);
	if (!at.t || LMM_FOREIGN(llama_detokenize) || !(th = lmm_thread_self()))
		return fn(vocab, tokens, n_tokens, text, n_max, remove_special, unparse_special);
	window_finish(th, at);
	lmm_phase_enter(th, LMM_PHASE_DETOKENIZE, th->seq, th->step, at);
	n = fn(vocab, tokens, n_tokens, text, n_max, remove_special, unparse_special);
	lmm_phase_leave(th, th->seq, th->step);
	return n;
}

/* ---- models and contexts ------------------------------------------------------------------------ */

struct load {
	struct lmm_thread *th; /* NULL: not recorded */
	struct rusage before;
};

static void load_begin(struct load *l, unsigned phase, const void *ra, struct lmm_entry at)
{
	l->th = at.t ? lmm_thread_self() : NULL;
	if (!l->th)
		return;
	window_finish(l->th, at);
	lmm_llama_describe_engine(ra);
	getrusage(RUSAGE_SELF, &l->before);
	lmm_phase_enter(l->th, phase, LMM_SEQ_NONE, LMM_STEP_NONE, at);
}

static void load_end(const struct load *l, const void *model, const char *path, const void *ra)
{
	struct rusage after;
	int saved = errno;

	if (model)
		model_remember(model, path);
	errno = saved;
	if (!l->th)
		return;
	lmm_phase_leave(l->th, LMM_SEQ_NONE, LMM_STEP_NONE);
	getrusage(RUSAGE_SELF, &after);
	model_tell(model, ra);
	lmm_writer_put_wide(
		&l->th->w, lmm_now(),
		lmm_word(LMM_EV_COUNT, LMM_PHASE_MODEL_LOAD, LMM_SEQ_NONE, LMM_STEP_NONE),
		model ? model_number("llama_model_size", model, ra) : 0,
		(uint64_t)(uint32_t)(after.ru_minflt - l->before.ru_minflt) |
			(uint64_t)(uint32_t)(after.ru_majflt - l->before.ru_majflt) << 32);
	errno = saved;
}

static inline void *model_load(void *(*fn)(const char *, struct params_blob), const char *path,
			       struct params_blob params, const void *ra, struct lmm_entry at)
{
	struct load l;
	void *model;

	load_begin(&l, LMM_PHASE_MODEL_LOAD, ra, at);
	model = fn(path, params);
	load_end(&l, model, path, ra);
	return model;
}

LMM_HOOK(void *, llama_model_load_from_file, const char *path, struct params_blob params)
{
	LMM_ENTER(llama_model_load_from_file);
	if (LMM_FOREIGN(llama_model_load_from_file))
		return fn(path, params);
	return model_load(fn, path, params, __builtin_return_address(0), at);
}

LMM_HOOK(void *, llama_load_model_from_file, const char *path, struct params_blob params)
{
	LMM_ENTER(llama_load_model_from_file);
	if (LMM_FOREIGN(llama_load_model_from_file))
		return fn(path, params);
	return model_load(fn, path, params, __builtin_return_address(0), at);
}

LMM_HOOK(void *, llama_model_load_from_splits, const char **paths, size_t n_paths,
	 struct params_blob params)
{
	struct load l;
	void *model;

	LMM_ENTER(llama_model_load_from_splits);
	if (LMM_FOREIGN(llama_model_load_from_splits))
		return fn(paths, n_paths, params);
	load_begin(&l, LMM_PHASE_MODEL_LOAD, __builtin_return_address(0), at);
	model = fn(paths, n_paths, params);
	load_end(&l, model, n_paths ? paths[0] : NULL, __builtin_return_address(0));
	return model;
}

static inline void *context_init(void *(*fn)(void *, struct params_blob), void *model,
				 struct params_blob params, const void *ra, struct lmm_entry at)
{
	struct load l;
	void *ctx;

	load_begin(&l, LMM_PHASE_CONTEXT_INIT, ra, at);
	ctx = fn(model, params);
	if (l.th) {
		lmm_phase_leave(l.th, LMM_SEQ_NONE, LMM_STEP_NONE);
		lmm_cl_look_around();
		lmm_vk_look_around();
		if (ctx && l.th->depth == 0)
			hint(ctx, LMM_HINT_CONTEXT_NEW, LMM_SEQ_NONE, 0);
	}
	return ctx;
}

LMM_HOOK(void *, llama_init_from_model, void *model, struct params_blob params)
{
	LMM_ENTER(llama_init_from_model);
	if (LMM_FOREIGN(llama_init_from_model))
		return fn(model, params);
	return context_init(fn, model, params, __builtin_return_address(0), at);
}

LMM_HOOK(void *, llama_new_context_with_model, void *model, struct params_blob params)
{
	LMM_ENTER(llama_new_context_with_model);
	if (LMM_FOREIGN(llama_new_context_with_model))
		return fn(model, params);
	return context_init(fn, model, params, __builtin_return_address(0), at);
}

LMM_HOOK(void, llama_free, void *ctx)
{
	unsigned number;

	LMM_REAL(llama_free);
	if (ctx && lmm_recording() && !LMM_FOREIGN(llama_free)) {
		struct lmm_thread *th = lmm_thread_self();

		if (th)
			window_finish(th, lmm_enter());
		hint(ctx, LMM_HINT_CONTEXT_FREE, LMM_SEQ_NONE, 0);
	}
	number = ctx ? context_number(ctx, false) : 0;
	if (number)
		contexts[number - 1]->ctx = NULL;
	fn(ctx);
}

/* ---- what tells requests and warm-ups apart ----------------------------------------------------- */

/* The context a memory handle belongs to: asked of the engine, context by context. */
static const void *context_of_memory(const void *memory, const void *ra)
{
	const void *(*get_memory)(const void *ctx);

	*(void **)&get_memory = lmm_door_lookup("llama_get_memory", ra);
	for (unsigned i = 0; get_memory && i < CONTEXT_MAX; i++) {
		const void *ctx = contexts[i] ? contexts[i]->ctx : NULL;

		if (ctx && get_memory(ctx) == memory)
			return ctx;
	}
	return NULL;
}

static void note(const void *ctx, enum lmm_hint what, unsigned seq, uint64_t detail)
{
	struct lmm_thread *th = lmm_self;

	if (th)
		window_finish(th, lmm_enter());
	if (ctx)
		hint(ctx, what, seq, detail);
}

LMM_HOOK(void, llama_memory_clear, void *memory, bool data)
{
	LMM_REAL(llama_memory_clear);
	if (lmm_recording() && !LMM_FOREIGN(llama_memory_clear)) {
		note(context_of_memory(memory, __builtin_return_address(0)), LMM_HINT_MEMORY_CLEAR,
		     LMM_SEQ_NONE, 0);
	}
	fn(memory, data);
}

LMM_HOOK(bool, llama_memory_seq_rm, void *memory, int32_t seq, int32_t p0, int32_t p1)
{
	LMM_REAL(llama_memory_seq_rm);
	if (p1 < 0 && seq >= 0 && lmm_recording() && !LMM_FOREIGN(llama_memory_seq_rm)) {
		note(context_of_memory(memory, __builtin_return_address(0)), LMM_HINT_SEQ_RM,
		     (unsigned)seq, p0 > 0 ? (uint64_t)p0 : 0);
	}
	return fn(memory, seq, p0, p1);
}

/* What becomes of a context that is full: some positions are dropped, and those behind them move down. */
LMM_HOOK(void, llama_memory_seq_add, void *memory, int32_t seq, int32_t p0, int32_t p1,
	 int32_t delta)
{
	LMM_REAL(llama_memory_seq_add);
	if (delta < 0 && lmm_recording() && !LMM_FOREIGN(llama_memory_seq_add)) {
		note(context_of_memory(memory, __builtin_return_address(0)), LMM_HINT_SEQ_SHIFT,
		     seq >= 0 ? (unsigned)seq : LMM_SEQ_NONE, (uint64_t) - (int64_t)delta);
	}
	fn(memory, seq, p0, p1, delta);
}

/* Older names of the same, on the context itself. */
#define HOOK_CLEAR(name)                                                                           \
	LMM_HOOK(void, name, void *ctx)                                                            \
	{                                                                                          \
		LMM_REAL(name);                                                                    \
		if (lmm_recording() && !LMM_FOREIGN(name))                                         \
			note(ctx, LMM_HINT_MEMORY_CLEAR, LMM_SEQ_NONE, 0);                         \
		fn(ctx);                                                                           \
	}
#define HOOK_SEQ_RM(name)                                                                          \
	LMM_HOOK(bool, name, void *ctx, int32_t seq, int32_t p0, int32_t p1)                       \
	{                                                                                          \
		LMM_REAL(name);                                                                    \
		if (p1 < 0 && seq >= 0 && lmm_recording() && !LMM_FOREIGN(name))                   \
			note(ctx, LMM_HINT_SEQ_RM, (unsigned)seq, p0 > 0 ? (uint64_t)p0 : 0);      \
		return fn(ctx, seq, p0, p1);                                                       \
	}

#define HOOK_SEQ_ADD(name)                                                                         \
	LMM_HOOK(void, name, void *ctx, int32_t seq, int32_t p0, int32_t p1, int32_t delta)        \
	{                                                                                          \
		LMM_REAL(name);                                                                    \
		if (delta < 0 && lmm_recording() && !LMM_FOREIGN(name)) {                          \
			note(ctx, LMM_HINT_SEQ_SHIFT, seq >= 0 ? (unsigned)seq : LMM_SEQ_NONE,     \
			     (uint64_t) - (int64_t)delta);                                         \
		}                                                                                  \
		fn(ctx, seq, p0, p1, delta);                                                       \
	}

HOOK_CLEAR(llama_kv_self_clear)
HOOK_CLEAR(llama_kv_cache_clear)
HOOK_SEQ_RM(llama_kv_self_seq_rm)
HOOK_SEQ_RM(llama_kv_cache_seq_rm)
HOOK_SEQ_ADD(llama_kv_self_seq_add)
HOOK_SEQ_ADD(llama_kv_cache_seq_add)

LMM_HOOK(void, llama_perf_context_reset, void *ctx)
{
	LMM_REAL(llama_perf_context_reset);
	if (lmm_recording() && !LMM_FOREIGN(llama_perf_context_reset))
		note(ctx, LMM_HINT_PERF_RESET, LMM_SEQ_NONE, 0);
	fn(ctx);
}

LMM_HOOK(void, llama_set_warmup, void *ctx, bool on)
{
	LMM_REAL(llama_set_warmup);
	if (lmm_recording() && !LMM_FOREIGN(llama_set_warmup))
		note(ctx, on ? LMM_HINT_WARMUP_ON : LMM_HINT_WARMUP_OFF, LMM_SEQ_NONE, 0);
	fn(ctx, on);
}
