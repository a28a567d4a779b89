/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/engines/tvm_phases.h"

#include <string.h>

#include "probe/engines/tvm_state.h"

/* On a CPU nobody says which way a copy goes: what the host reads behind a pass is as large as a vocabulary, what it writes is not. */
#define LOGITS_MIN_BYTES 2048u

_Thread_local struct lmm_tvm_now lmm_tvm __attribute__((tls_model("initial-exec")));

/* Of the last pass, if it was of one; a phase of several names none. */
static unsigned only_sequence(void)
{
	return lmm_tvm.n == 1 ? lmm_tvm.sequences[0] : LMM_SEQ_NONE;
}

/* At the entry's first stamp, as most phases begin where the one before ended. */
static void enter(struct lmm_thread *th, enum lmm_tvm_doing doing, unsigned phase,
		  struct lmm_entry at)
{
	at.t = at.gap_end_t;
	if (th->left_t == at.t)
		th->left_t = 0; /* nothing lies between */
	lmm_phase_enter(th, phase, only_sequence(), th->step, at);
	lmm_tvm.doing = (uint8_t)doing;
}

static void tokens_put(struct lmm_thread *th, uint64_t t)
{
	lmm_tvm.samplings++;
	for (unsigned i = 0; i < lmm_tvm.n && !lmm_tvm.is_draft; i++) {
		for (unsigned k = 0; k < lmm_tvm.tokens[i]; k++) {
			lmm_writer_put(
				&th->w, t,
				lmm_word(LMM_EV_TOKEN, 0, lmm_tvm.sequences[i], lmm_tvm.step));
		}
	}
	lmm_tvm.is_verify = 0;
}

/* Ends what is open at the instant, except a pass. */
void lmm_tvm_leave(struct lmm_thread *th, struct lmm_entry at)
{
	if (lmm_tvm.doing == LMM_TVM_NOTHING || lmm_tvm.doing == LMM_TVM_FORWARD)
		return;
	if (lmm_tvm.doing == LMM_TVM_SAMPLING)
		tokens_put(th, at.gap_end_t);
	if (lmm_tvm.doing != LMM_TVM_LOGITS)
		lmm_phase_leave_at(th, only_sequence(), th->step, at.gap_end_t);
	lmm_tvm.doing = LMM_TVM_NOTHING;
}

/* A recording that has begun since knows nothing of what is open. */
bool lmm_tvm_is_stale(struct lmm_thread *th)
{
	if (lmm_tvm.recording == lmm_recording())
		return false;
	/* what was open when the recording before was switched off has no end in this one */
	if (lmm_tvm.doing != LMM_TVM_NOTHING && lmm_tvm.doing != LMM_TVM_LOGITS && th->depth > 0)
		th->depth--;
	th->in_call = 0;
	th->graph = 0;
	th->mark = LMM_NODE_UNKNOWN;
	th->mark_left = 0;
	memset(&lmm_tvm, 0, sizeof(lmm_tvm));
	lmm_tvm.has_scopes = lmm_tvm_has_scopes();
	lmm_tvm.recording = lmm_recording();
	lmm_tvm.step = LMM_STEP_NONE;
	return th->depth > 0;
}

static void embedding_begin(struct lmm_thread *th, struct lmm_entry at)
{
	lmm_tvm_leave(th, at);
	th->step = lmm_tvm.has_prompt ? LMM_STEP_NONE : lmm_tvm.step;
	if (lmm_tvm.has_prompt)
		lmm_tvm.n = 0;
	enter(th, LMM_TVM_EMBEDDING, LMM_PHASE_EMBEDDING, at);
}

/* It begins where the pass ended, if nothing else was recorded since: a wait for the device is not the softmax'. */
static void softmax_begin(struct lmm_thread *th, struct lmm_entry at)
{
	if (th->left_t && th->w.head == lmm_tvm.head)
		at.gap_end_t = th->left_t;
	lmm_tvm.is_unread = 0;
	enter(th, LMM_TVM_SOFTMAX, LMM_PHASE_SOFTMAX, at);
}

/* Of a pass inside the open scope. */
uint8_t lmm_tvm_scope_phase(void)
{
	switch (lmm_tvm.scope) {
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

static void put_shares(struct lmm_thread *th, const struct lmm_tvm_pass_taken *p, size_t n)
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
		const struct lmm_tvm_share *s = &p->share[i];

		outputs = is_whole ? s->tokens : each;
		lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_SEQ, 0, s->name, th->step),
				    (uint64_t)s->tokens | outputs << 32,
				    s->position == UINT32_MAX ? LMM_POS_ABSENT : s->position);
	}
}

/* Its logits are the next ones that are read. */
static void pass_remember(const struct lmm_thread *th, const void *kv,
			  const struct lmm_tvm_pass_taken *p, size_t n)
{
	lmm_tvm.cache = kv;
	lmm_tvm.step = th->step;
	lmm_tvm.is_draft = p->phase == LMM_PHASE_DRAFT;
	lmm_tvm.is_verify = p->phase == LMM_PHASE_VERIFY;
	lmm_tvm.n = (uint16_t)n;
	for (size_t i = 0; i < n; i++) {
		uint32_t tokens = lmm_tvm.is_verify ? p->share[i].tokens : 1;

		lmm_tvm.sequences[i] = p->share[i].name;
		lmm_tvm.tokens[i] = (uint8_t)(tokens < UINT8_MAX ? tokens : UINT8_MAX);
	}
}

/*
 * A draft model's pass that comes first in a recording drafts, or catches up, or goes through a prompt: which of it, and so what is
 * done with its logits, was decided before. What follows it is known again.
 */
static bool is_of_unknown_use(const struct lmm_tvm_pass_taken *p)
{
	bool is_first = !lmm_tvm.has_passes;

	lmm_tvm.has_passes = 1;
	if (!is_first || p->phase != LMM_PHASE_DRAFT)
		return false;
	lmm_tvm.has_drafted = 1;
	return true;
}

void lmm_tvm_forward_begin(struct lmm_thread *th, const struct lmm_tvm_pass *of,
			   struct lmm_entry at)
{
	size_t n = of->n;
	struct lmm_tvm_pass_taken p;

	if (lmm_tvm_is_stale(th) || n == 0)
		return;
	if (lmm_tvm.doing == LMM_TVM_FORWARD && lmm_tvm.open != of->cache && lmm_tvm.has_begun) {
		lmm_tvm_cache_is_part(of->cache);
		return;
	}
	at = lmm_tvm_open_pass_fail(th, at);
	if (n > LMM_TVM_SEQUENCES_MAX) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "a pass of more than %d sequences: the others are not counted",
				   LMM_TVM_SEQUENCES_MAX);
		n = LMM_TVM_SEQUENCES_MAX;
	}
	lmm_tvm_leave(th, at);
	lmm_tvm_pass_take(&p, of, n);
	if (is_of_unknown_use(&p))
		return;
	th->in_call = 1;
	th->call_phase = p.phase;
	th->call = lmm_call_next();
	th->step = lmm_step_next();
	lmm_tvm.open = of->cache;
	lmm_tvm.is_aside = p.phase == LMM_PHASE_DRAFT && lmm_tvm.is_unread && !lmm_tvm.is_draft;
	if (!lmm_tvm.is_aside)
		lmm_tvm.n = 0; /* while it runs it is nobody's alone */
	if (lmm_tvm_scope_phase() != LMM_PHASE_NONE && lmm_tvm.scope_head == th->w.head)
		at = lmm_tvm.scope_at;
	lmm_tvm.has_begun = lmm_tvm.has_ended = 0;
	enter(th, LMM_TVM_FORWARD, p.phase, at);
	put_shares(th, &p, n);
	if (!lmm_tvm.is_aside)
		pass_remember(th, of->cache, &p, n);
	lmm_tvm.has_prompt = lmm_tvm.has_softmax = lmm_tvm.has_next = 0;
	lmm_tvm_layers_begin(th, p.layers);
}

void lmm_tvm_forward_begun(struct lmm_thread *th)
{
	if (!lmm_tvm_is_stale(th))
		lmm_tvm.has_begun = lmm_tvm.doing == LMM_TVM_FORWARD;
}

/* Ends the open pass; false: there is none. */
static bool forward_leave(struct lmm_thread *th, enum lmm_tvm_doing then)
{
	if (lmm_tvm_is_stale(th) || lmm_tvm.doing != LMM_TVM_FORWARD)
		return false;
	lmm_tvm_layers_end(th);
	lmm_phase_leave_at(th, LMM_SEQ_NONE, th->step, lmm_now());
	th->in_call = 0;
	lmm_tvm.doing = (uint8_t)then;
	return true;
}

/* One that has not ended when something else begins: the model failed. Returns from when on that may begin. */
struct lmm_entry lmm_tvm_open_pass_fail(struct lmm_thread *th, struct lmm_entry at)
{
	if (lmm_tvm.doing != LMM_TVM_FORWARD)
		return at;
	lmm_tvm_forward_failed(th);
	return lmm_enter();
}

/* Whether another pass comes before its logits are read. */
static bool is_followed(const struct lmm_thread *th)
{
	if (th->call_phase == LMM_PHASE_DRAFT)
		return lmm_tvm.catches_up && !lmm_tvm.is_aside;
	/* a draft model goes through the prompt as well */
	return th->call_phase == LMM_PHASE_PREFILL && lmm_tvm_cache_has_draft(lmm_tvm.cache);
}

static void forward_end(struct lmm_thread *th)
{
	bool is_draft = th->call_phase == LMM_PHASE_DRAFT;

	if (!forward_leave(th, LMM_TVM_LOGITS))
		return;
	lmm_tvm.head = th->w.head;
	lmm_tvm.is_unread = 1;
	lmm_tvm.has_next = is_followed(th);
	if (lmm_tvm.has_next)
		lmm_tvm.doing = LMM_TVM_NOTHING;
	/* the prompt's pass and the one that catches up say nothing of what comes next */
	lmm_tvm.has_drafted =
		is_draft && (lmm_tvm.has_drafted || !(lmm_tvm.is_aside || lmm_tvm.has_next));
	lmm_tvm.catches_up = 0;
	th->step = lmm_tvm.step;
}

void lmm_tvm_forward_end(struct lmm_thread *th)
{
	if (lmm_tvm_is_stale(th) || lmm_tvm.doing != LMM_TVM_FORWARD)
		return;
	lmm_tvm.has_ended = 1;
	if (lmm_tvm_scope_phase() == LMM_PHASE_NONE) /* else it ends with that */
		forward_end(th);
}

void lmm_tvm_forward_failed(struct lmm_thread *th)
{
	if (!forward_leave(th, LMM_TVM_NOTHING))
		return;
	lmm_tvm.n = 0;
	lmm_tvm.is_unread = 0;
	lmm_tvm.has_next = 1;
}

/* ---- copies and functions ----------------------------------------------------------------------- */

static bool is_out(enum lmm_tvm_copy way, size_t bytes)
{
	if (way == LMM_TVM_EITHER)
		return lmm_tvm.has_softmax || (!lmm_tvm.has_scopes && bytes >= LOGITS_MIN_BYTES);
	return way == LMM_TVM_OUT;
}

/*
 * A long prompt goes through the model in pieces, and each piece's logits are read though no token is chosen: what is copied to the
 * device next are then the ids (of 4 bytes) of several tokens.
 */
static void piece_look(const struct lmm_thread *th, size_t bytes)
{
	if (th->call_phase == LMM_PHASE_PREFILL && lmm_tvm.n == 1 && !lmm_tvm.has_prompt &&
	    bytes > sizeof(int32_t))
		lmm_tvm.tokens[0] = 0;
}

bool lmm_tvm_copy_begin(struct lmm_thread *th, enum lmm_tvm_copy way, size_t bytes,
			struct lmm_entry at)
{
	if (lmm_tvm_is_stale(th) || way == LMM_TVM_NEITHER || lmm_tvm.is_inside || lmm_tvm.scope)
		return false;
	switch (lmm_tvm.doing) {
	case LMM_TVM_NOTHING:
		/* weights are copied too, but before there is a sequence */
		if ((lmm_tvm.has_prompt || lmm_tvm.has_next) && way != LMM_TVM_OUT &&
		    !lmm_tvm.has_scopes)
			embedding_begin(th, at);
		return false;
	case LMM_TVM_SAMPLING:
		if (way == LMM_TVM_OUT || lmm_tvm.has_scopes)
			return false;
		piece_look(th, bytes);
		embedding_begin(th, at);
		return false;
	case LMM_TVM_LOGITS:
	case LMM_TVM_SOFTMAX:
		if (!is_out(way, bytes)) {
			if (lmm_tvm.doing == LMM_TVM_LOGITS && !lmm_tvm.has_scopes)
				softmax_begin(th, at);
			return false;
		}
		lmm_tvm_leave(th, at);
		lmm_tvm.is_unread = 0;
		enter(th, LMM_TVM_COPYING, LMM_PHASE_COPY_TO_CPU, at);
		return true;
	default:
		return false;
	}
}

void lmm_tvm_copy_end(struct lmm_thread *th, size_t bytes)
{
	struct lmm_entry at;

	if (lmm_tvm_is_stale(th) || lmm_tvm.doing != LMM_TVM_COPYING)
		return;
	at = lmm_enter();
	lmm_tvm_leave(th, at);
	lmm_writer_put_wide(&th->w, at.gap_end_t,
			    lmm_word(LMM_EV_COUNT, LMM_PHASE_COPY_TO_CPU, LMM_SEQ_NONE, th->step),
			    bytes, 0);
	enter(th, LMM_TVM_SAMPLING, LMM_PHASE_SAMPLING, at);
}

void lmm_tvm_function(struct lmm_thread *th, const char *name, size_t bytes, struct lmm_entry at)
{
	if (lmm_tvm_is_stale(th))
		return;
	if (memmem(name, bytes, "softmax", 7)) {
		lmm_tvm.has_softmax = 1;
		if (lmm_tvm.has_scopes || !lmm_tvm.is_unread || lmm_tvm.doing == LMM_TVM_FORWARD)
			return;
		lmm_tvm_leave(th, at); /* it was no embedding, if it looked like one */
		softmax_begin(th, at);
	} else if (!lmm_tvm.has_scopes && memmem(name, bytes, "embed", 5) &&
		   (lmm_tvm.doing == LMM_TVM_SAMPLING || lmm_tvm.doing == LMM_TVM_SOFTMAX ||
		    lmm_tvm.doing == LMM_TVM_LOGITS ||
		    (lmm_tvm.doing == LMM_TVM_NOTHING &&
		     (lmm_tvm.has_prompt || lmm_tvm.has_next)))) {
		/* without a softmax since the pass: the next piece of a prompt */
		embedding_begin(th, at);
	}
}

/* ---- scopes ------------------------------------------------------------------------------------- */

void lmm_tvm_scope_begin(struct lmm_thread *th, enum lmm_tvm_scope scope, struct lmm_entry at)
{
	if (lmm_tvm_is_stale(th))
		return;
	at = lmm_tvm_open_pass_fail(th, at);
	lmm_tvm.scope = (uint8_t)scope;
	lmm_tvm.has_scopes = 1;
	switch (scope) {
	case LMM_TVM_SCOPE_EMBED:
		embedding_begin(th, at);
		break;
	case LMM_TVM_SCOPE_SOFTMAX:
		if (!lmm_tvm.is_unread)
			break;
		lmm_tvm_leave(th, at);
		lmm_tvm.is_unread = 0;
		lmm_tvm.has_softmax = 1;
		th->step = lmm_tvm.step;
		enter(th, LMM_TVM_SOFTMAX, LMM_PHASE_SOFTMAX, at);
		break;
	case LMM_TVM_SCOPE_SAMPLE:
		if (lmm_tvm.doing != LMM_TVM_LOGITS && lmm_tvm.doing != LMM_TVM_SOFTMAX)
			break;
		lmm_tvm_leave(th, at);
		lmm_tvm.is_unread = 0;
		enter(th, LMM_TVM_SAMPLING, LMM_PHASE_SAMPLING, at);
		break;
	case LMM_TVM_SCOPE_ANSWER:
		if (lmm_tvm.doing == LMM_TVM_SAMPLING)
			lmm_tvm_leave(th, at);
		break;
	default:
		lmm_tvm_leave(th, at);
		lmm_tvm.scope_at = at;
		lmm_tvm.scope_head = th->w.head;
		break;
	}
}

void lmm_tvm_scope_end(struct lmm_thread *th, enum lmm_tvm_scope scope)
{
	if (lmm_tvm_is_stale(th))
		return;
	if (scope == LMM_TVM_SCOPE_EMBED && lmm_tvm.doing == LMM_TVM_EMBEDDING)
		lmm_tvm_leave(th, lmm_enter());
	if (lmm_tvm.doing == LMM_TVM_FORWARD && lmm_tvm.has_ended) {
		forward_end(th);
	} else if (lmm_tvm.doing == LMM_TVM_FORWARD) {
		lmm_tvm_forward_failed(th);
	}
	lmm_tvm.scope = LMM_TVM_SCOPE_NONE;
}
