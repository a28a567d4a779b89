/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second stage: facts of all streams, in order of time, become phases, steps and requests. Time is booked to a request as it
 * passes; how much of it counts is known by its marks: whatever comes behind the last one was after its end.
 */
#include <string.h>

#include "analyze/state.h"

/* ---- phases ------------------------------------------------------------------------------------- */

/* An occurrence has ended: it counts in the sums over all requests. */
static void occurrence_book(struct lmm_analysis *a, const struct fact *f, struct step *st)
{
	struct ledger *l = lmm__ledger_at(a, st ? st->context : 0, f->b);
	uint64_t whole = lmm__minus(f->t, f->b);
	struct context *c = st ? lmm__context(a, st->context) : NULL;
	int is_first_use = (f->flags & FACT_IS_FIRST_USE) || (st && st->is_first_use);

	lmm__place_phase(&l->places, f->phase, f->b, f->t);
	if (!lmm_phase_is_step(f->phase) || !st) {
		lmm__split_add(&l->phases[f->phase].hist, f->a, is_first_use);
		l->phases[f->phase].host += whole;
		if (is_first_use)
			l->phases[f->phase].host_first += whole;
		return;
	}
	st->phase = f->phase;
	st->ticks += f->a;
	st->whole += whole;
	if (!st->has_ended)
		st->is_shift = (f->flags & FACT_IS_SHIFT) != 0;
	st->has_ended = 1;
	st->is_pending = 1;
	if (!c) {
		lmm__step_flush(a, st);
		return;
	}
	if (!c->has_step || c->step != f->step)
		lmm__steps_flush(a, c);
	c->has_step = 1;
	c->step = f->step;
}

static int is_sequence_phase(unsigned phase)
{
	return phase == LMM_PHASE_SAMPLING || phase == LMM_PHASE_SOFTMAX ||
	       phase == LMM_PHASE_DETOKENIZE;
}

/* Whose logits were read. Where the names do not meet, there must be only one that it can be. */
static struct request *request_sampled(struct lmm_analysis *a, const struct step *st, uint16_t seq)
{
	struct request *r;

	if (!st)
		return NULL;
	r = lmm__request_find(a, st->context, seq);
	return r ? r : lmm__request_only(a, st->context);
}

static int request_owns(const struct request *r, const struct fact *f, const struct step *st,
			const struct request *sampled)
{
	if (!st || f->phase == LMM_PHASE_TOKENIZE || f->phase == LMM_PHASE_MODEL_LOAD ||
	    f->phase == LMM_PHASE_CONTEXT_INIT)
		return 0;
	if (st->phase == LMM_PHASE_DRAFT)
		return r->draft_context == st->context && r->draft_call == st->call;
	/* without a name of several, it is of them all */
	if (is_sequence_phase(f->phase) && (sampled || f->seq != LMM_SEQ_NONE))
		return r == sampled;
	return r->context == st->context && r->call == st->call;
}

static unsigned request_phase(struct lmm_analysis *a, const struct request *r, unsigned phase)
{
	if (phase != LMM_PHASE_PREFILL && phase != LMM_PHASE_DECODE)
		return phase;
	if (r->is_joined)
		return phase;
	return lmm__tokens_chosen(a, r) ? LMM_PHASE_DECODE : LMM_PHASE_PREFILL;
}

/* Engines that hand calls from thread to thread: between two threads' phases no interval of either tells. */
static uint64_t request_hop(struct request *r, const struct fact *f)
{
	uint64_t t0 = f->t0;

	if (r->stream == f->stream)
		return t0;
	if (t0 > r->newest) {
		r->sums[LMM_PHASE_UNACCOUNTED].ticks += t0 - r->newest;
		r->sums[LMM_PHASE_UNACCOUNTED].count++;
		lmm_hist_add(&r->idle, t0 - r->newest);
	} else {
		t0 = r->newest < f->t ? r->newest : f->t;
	}
	r->stream = f->stream;
	r->on_stream = t0;
	return t0;
}

static void request_book(struct request *r, const struct fact *f, unsigned phase)
{
	uint64_t t0 = request_hop(r, f);

	r->sums[phase].ticks += lmm__minus(f->t, t0);
	r->sums[phase].count += (f->flags & (FACT_LAST | FACT_AGAIN)) == FACT_LAST;
	if (f->t > r->newest)
		r->newest = f->t;
}

static void request_step_end(struct lmm_analysis *a, struct request *r, const struct fact *f,
			     unsigned phase)
{
	int counts = (f->flags & (FACT_IS_SHIFT | FACT_AGAIN)) == 0;

	if (phase != LMM_PHASE_DRAFT) {
		r->call_end = f->t;
		r->prefill_steps += counts && phase == LMM_PHASE_PREFILL;
		r->newest_call.prefill_steps += counts && phase == LMM_PHASE_PREFILL;
		r->decode_steps += counts && phase != LMM_PHASE_PREFILL;
		r->newest_call.decode_steps += counts && phase != LMM_PHASE_PREFILL;
	}
	lmm__request_set_mark(a, r, MARK_STEP, f->t);
}

static void request_own(struct lmm_analysis *a, struct request *r, const struct fact *f)
{
	unsigned phase = request_phase(a, r, f->phase);

	request_book(r, f, phase);
	if (!(f->flags & FACT_LAST))
		return;
	if (f->phase == LMM_PHASE_DETOKENIZE) {
		lmm__request_set_mark(a, r, MARK_DETOKENIZE, f->t);
	} else if (lmm_phase_is_step(f->phase)) {
		request_step_end(a, r, f, phase);
	}
}

/* Returns how many requests the piece belongs to. */
static uint32_t piece_book(struct lmm_analysis *a, const struct fact *f, const struct step *st)
{
	const struct request *sampled = request_sampled(a, st, f->seq);
	uint32_t owners = 0, running = 0;

	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->process != f->process)
			continue;
		running++;
		if (!request_owns(r, f, st, sampled))
			continue;
		owners++;
		request_own(a, r, f);
	}
	for (uint32_t i = 0; owners < running && i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (r->state != REQUEST_OPEN || r->process != f->process ||
		    r->stream != f->stream || request_owns(r, f, st, sampled))
			continue;
		/* nobody's, and nobody else is there to wait for */
		request_book(r, f,
			     running == 1 ? request_phase(a, r, f->phase) : LMM_PHASE_WAITING);
	}
	return owners;
}

/*
 * A stream's time by what it means to a request that begins later: what belonged to others was waiting, what belonged to
 * nobody (a prompt that is printed, say) is its own.
 */
static void since_add(struct lmm_analysis *a, const struct fact *f, unsigned phase)
{
	struct stream *s = lmm__stream(a, f->stream);

	if (!s)
		return;
	s->since[phase].ticks += lmm__minus(f->t, f->t0);
	s->since[phase].count +=
		f->kind == FACT_IDLE || (f->flags & (FACT_LAST | FACT_AGAIN)) == FACT_LAST;
}

/* ---- what the device did meanwhile -------------------------------------------------------------- */

static void piece_put(struct lmm_analysis *a, const struct fact *f, const struct step *st);
static struct step *step_of(struct lmm_analysis *a, const struct fact *f);

/* The phase of a device interval gets time that lies in another one's bracket. */
static void part_book(struct lmm_analysis *a, const struct busy_part *part, struct step *st)
{
	/* of a pass that is not counted yet: its own value grows */
	if (st && lmm_phase_is_step(part->phase) && (st->is_pending || !st->has_ended)) {
		st->ticks += part->ticks;
		return;
	}
	lmm__ledger_at(a, st ? st->context : 0, st ? st->begin : 0)->phases[part->phase].moved_in +=
		part->ticks;
}

/* Takes the part out of the front of a piece. */
static void part_take(struct lmm_analysis *a, struct fact *f, const struct busy_part *part)
{
	struct fact x = *f;
	struct step *st;

	x.kind = FACT_PIECE;
	x.flags = 0;
	/* what was handed over outside of any phase is time of the request all the same */
	x.phase = part->phase ? part->phase : LMM_PHASE_UNACCOUNTED;
	x.step = part->step;
	x.t = f->t0 + part->ticks;
	f->t0 = x.t;
	st = step_of(a, &x);
	part_book(a, part, st);
	piece_put(a, &x, st);
}

/* In the tables of what goes away passes are all alike: the first decode step may have to go by the prefill. */
static unsigned away_class(unsigned phase)
{
	return lmm_phase_is_step(phase) ? LMM_PHASE_DECODE : phase;
}

/* In a step that was not timed: as in those that were, so much of a bracket of that phase is the device's. */
static unsigned parts_estimate(struct lmm_analysis *a, const struct fact *f, const struct step *st,
			       struct busy_part *parts)
{
	uint64_t whole = a->away_of[away_class(f->phase)], length = f->t - f->t0;
	unsigned n = 0;

	for (unsigned d = 1; d < LMM_PHASE_COUNT && n < LMM_I_PARTS; d++) {
		uint64_t away = a->away_to[away_class(f->phase)][d];
		unsigned phase = d == LMM_PHASE_DECODE ? st->phase : d;

		if (away == 0 || whole == 0 || phase == f->phase)
			continue;
		parts[n].phase = (uint8_t)phase;
		parts[n].step = f->step;
		parts[n].ticks = (uint64_t)((double)length * (double)away / (double)whole);
		lmm__ledger_at(a, st->context, st->begin)->phases[phase].estimated +=
			parts[n].ticks;
		n++;
	}
	return n;
}

static void away_note(struct stream *s, const struct fact *f, uint64_t ticks)
{
	for (unsigned i = 0; i < LMM_I_DEPTH; i++) {
		if (s->away[i].begin == f->b && s->away[i].phase == f->phase) {
			s->away[i].ticks += ticks;
			return;
		}
	}
	s->away[s->next_away].begin = f->b;
	s->away[s->next_away].phase = f->phase;
	s->away[s->next_away].ticks = ticks;
	s->next_away = (s->next_away + 1) % LMM_I_DEPTH;
}

/* How much of the occurrence that ends with f went away in all its pieces. */
static uint64_t away_of(struct stream *s, const struct fact *f)
{
	for (unsigned i = 0; i < LMM_I_DEPTH; i++) {
		uint64_t ticks = s->away[i].ticks;

		if (s->away[i].begin != f->b || s->away[i].phase != f->phase)
			continue;
		memset(&s->away[i], 0, sizeof(s->away[i]));
		return ticks;
	}
	return 0;
}

/* Shortens a piece by what devices did for others meanwhile, and books that. */
static void away_take(struct lmm_analysis *a, struct fact *f)
{
	struct busy bracket = { .t0 = f->t0, .t1 = f->t, .step = f->step, .phase = f->phase };
	const struct step *st = step_of(a, f);
	struct stream *s = lmm__stream(a, f->stream);
	struct busy_part parts[LMM_I_PARTS];
	uint64_t away = 0, length = lmm__minus(f->t, f->t0);
	unsigned n;

	if (!a->processes[f->process].busy || f->t <= f->t0)
		goto last;
	n = lmm__busy_parts(a, f->process, &bracket, parts);
	/* of a step that is timed in part only a part is known: then the others know better */
	if (st && st->is_untimed) {
		n = parts_estimate(a, f, st, parts);
	} else if (st) {
		a->away_of[away_class(f->phase)] += length;
	}
	for (unsigned i = 0; i < n; i++) {
		if (st && !st->is_untimed) {
			a->away_to[away_class(f->phase)][away_class(parts[i].phase)] +=
				parts[i].ticks;
		}
		part_take(a, f, &parts[i]);
		away += parts[i].ticks;
	}
	if (s && away && f->kind == FACT_PIECE)
		away_note(s, f, away);
last:
	if (s && f->kind == FACT_PIECE && f->flags & FACT_LAST)
		f->a = lmm__minus(f->a, away_of(s, f));
}

static struct tokenize *tokenize_new(struct lmm_analysis *a, const struct fact *f)
{
	const struct stream *s = lmm__stream(a, f->stream);
	struct tokenize *x;

	a->processes[f->process].has_tokenized = 1;
	if (a->n_tokenizes == LMM_I_TOKENIZES) {
		a->n_tokenizes /= 2;
		memmove(a->tokenizes, a->tokenizes + LMM_I_TOKENIZES - a->n_tokenizes,
			a->n_tokenizes * sizeof(*x));
	}
	x = &a->tokenizes[a->n_tokenizes++];
	memset(x, 0, sizeof(*x));
	x->process = f->process;
	x->stream = f->stream;
	x->t0 = x->t1 = f->t;
	if (s)
		memcpy(x->since, s->since, sizeof(x->since));
	return x;
}

static void tokenize_put(struct lmm_analysis *a, const struct fact *f)
{
	struct tokenize *x = tokenize_new(a, f);

	x->t0 = f->b;
	x->ticks = f->a;
	x->phase = f->phase;
}

static struct step *step_of(struct lmm_analysis *a, const struct fact *f)
{
	return f->step == LMM_STEP_NONE ? NULL : lmm__step_find(a, f->process, f->step);
}

static void piece_put(struct lmm_analysis *a, const struct fact *f, const struct step *st)
{
	uint32_t owners = piece_book(a, f, st);

	since_add(a, f, owners ? LMM_PHASE_WAITING : f->phase);
}

static void piece_take(struct lmm_analysis *a, const struct fact *fact)
{
	struct fact copy = *fact, *f = &copy;
	struct step *st = step_of(a, f);

	lmm__lead_piece(&a->processes[f->process].lead, f->phase, f->t0, f->t);
	lmm__step_name(a, st, f);
	if (st && st->has_ended && lmm_phase_is_step(f->phase))
		f->flags |= FACT_AGAIN;
	away_take(a, f);
	if (f->flags & FACT_LAST)
		occurrence_book(a, f, st);
	piece_put(a, f, st);
	if (f->flags & FACT_LAST &&
	    (f->phase == LMM_PHASE_TOKENIZE || (f->phase == LMM_PHASE_EMBEDDING && !st)))
		tokenize_put(a, f);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void idle_take(struct lmm_analysis *a, const struct fact *fact)
{
	struct fact copy = *fact, *f = &copy;
	struct idle *x;

	f->phase = LMM_PHASE_UNACCOUNTED;
	away_take(a, f);
	since_add(a, f, LMM_PHASE_UNACCOUNTED);
	if (a->n_idles == LMM_I_IDLES) {
		a->n_idles /= 2;
		memmove(a->idles, a->idles + LMM_I_IDLES - a->n_idles, a->n_idles * sizeof(*x));
	}
	x = &a->idles[a->n_idles++];
	x->stream = f->stream;
	x->span.t0 = f->t0;
	x->span.t1 = f->t;
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];
		uint64_t t0 = f->t0 > r->first ? f->t0 : r->first;

		if (r->state != REQUEST_OPEN || r->stream != f->stream || f->t <= r->first)
			continue;
		r->sums[LMM_PHASE_UNACCOUNTED].ticks += f->t - t0;
		r->sums[LMM_PHASE_UNACCOUNTED].count++;
		if (f->t > r->newest)
			r->newest = f->t;
	}
}

/* The first token behind a shift waited for it. */
static void shift_end(struct request *r, uint64_t gap)
{
	r->shifts.n += r->n_moved;
	r->n_moved = 0;
	r->shifts.tokens++;
	r->shifts.ticks += gap;
}

static void token_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = lmm__step_find(a, f->process, f->step);
	struct stream *s = lmm__stream(a, f->stream);
	struct lead *lead = &a->processes[f->process].lead;
	struct request *r;
	struct context *c;

	if (lead->token == 0)
		lead->token = f->t;
	lmm__step_name(a, st, f);
	r = request_sampled(a, st, f->seq);
	if (!r || st->phase == LMM_PHASE_DRAFT)
		return;
	if (s)
		s->last_token = f->t;
	c = lmm__context(a, r->context);
	if (c && !r->is_warm && c->tokens++ == 0)
		lmm__guesses_forget(a, r->context);
	if (r->tokens++ == 0) {
		r->first_token = f->t;
	} else {
		lmm__request_gap(r, st, lmm__minus(f->t, r->last_token));
		if (!st->is_slowed)
			lmm__token_watch(a, r, st, f->t);
		if (r->n_moved)
			shift_end(r, lmm__minus(f->t, r->last_token));
	}
	r->last_token = f->t;
	lmm__request_set_mark(a, r, MARK_TOKEN, f->t);
	if (!c || r->is_warm || c->is_decided)
		return;
	/* computed and cleared away before a first token was chosen: a warm-up, or a test of what the memory can */
	lmm__context_warm(a, c, c->cleared);
	lmm__context_decide(a, c);
}

/* Tells the newest tokenize of that stream how many tokens it made. */
static void count_take(struct lmm_analysis *a, const struct fact *f)
{
	for (uint32_t i = a->n_tokenizes; i-- > 0;) {
		struct tokenize *x = &a->tokenizes[i];

		if (x->stream != f->stream || x->is_begin)
			continue;
		if (!x->has_count) {
			x->has_count = 1;
			x->tokens = f->a;
		}
		return;
	}
}

/* A request whose engine names no sequences is the one that its context has. */
static int is_meant(const struct request *r, const struct fact *f)
{
	return r->state == REQUEST_OPEN && r->context == f->context &&
	       (f->seq == LMM_SEQ_NONE || f->seq == r->seq || r->seq == LMM_SEQ_NONE);
}

/* What was refused altogether, and is cleared away, is not tried again. */
static int is_given_up(struct lmm_analysis *a, const struct request *r)
{
	return r->refused && r->computed == 0 && !r->is_joined && lmm__tokens_chosen(a, r) == 0;
}

static void sequence_cut(struct lmm_analysis *a, const struct fact *f)
{
	for (uint32_t i = 0; i < a->n_requests;) {
		struct request *r = &a->requests[i];
		uint32_t n = a->n_requests;

		if (is_meant(r, f) && f->b == 0 && is_given_up(a, r)) {
			lmm__request_close(a, r, 0);
		} else if (is_meant(r, f) && f->b < r->holds) {
			r->holds = f->b;
		}
		i += n == a->n_requests; /* else another one is here now */
	}
}

/*
 * The context was full, if the request goes on. A prompt of which the engine's cache holds parts is put together in the same way, before
 * the request is known to be another one.
 */
static void sequence_shift(struct lmm_analysis *a, const struct fact *f)
{
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (!is_meant(r, f))
			continue;
		r->holds = lmm__minus(r->holds, f->b);
		r->n_moved += lmm__tokens_chosen(a, r) > 0;
	}
}

/* As if its newest call had not been. */
static void call_undo(struct request *r)
{
	r->prefill_steps = lmm__minus(r->prefill_steps, r->newest_call.prefill_steps);
	r->decode_steps = lmm__minus(r->decode_steps, r->newest_call.decode_steps);
	if (r->newest_call.is_prompt) {
		r->computed = lmm__minus(r->computed, r->newest_call.tokens);
		r->prompt_end = r->newest_call.first;
	}
	r->holds = r->newest_call.first;
	r->has_outputs = r->newest_call.had_outputs;
	r->call_outputs = 0;
	r->refused++;
	memset(&r->newest_call, 0, sizeof(r->newest_call));
}

/* Its time stays in its phase, apart from that of others; nothing else does. */
static void pass_undo(struct lmm_analysis *a, struct step *st)
{
	struct ledger *l = lmm__ledger_at(a, st->context, st->begin);

	if (st->phase == LMM_PHASE_PREFILL) {
		l->prefill_tokens = lmm__minus(l->prefill_tokens, st->tokens);
	} else if (st->phase == LMM_PHASE_DECODE) {
		l->decode_tokens = lmm__minus(l->decode_tokens, st->tokens);
	}
	st->tokens = 0;
	st->is_counted = 1;
	st->is_first_use = st->is_slowed = 1;
}

/* The engine tries again with less, makes room, or gives up. */
static void refusal_take(struct lmm_analysis *a, const struct context *c, const struct fact *f)
{
	const struct step *first = lmm__step_find(a, c->process, (uint32_t)f->b);

	a->refusals.n++;
	if (!first || first->context != c->serial)
		return;
	a->refusals.ticks += lmm__minus(f->t, first->begin);
	for (uint32_t i = 0; i < LMM_I_STEPS; i++) {
		struct step *st = &a->steps[i];

		if (st->is_set && st->context == c->serial && st->call == first->call)
			pass_undo(a, st);
	}
	for (uint32_t i = 0; i < a->n_requests; i++) {
		struct request *r = &a->requests[i];

		if (is_meant(r, f) && r->call == first->call && r->newest_call.tokens)
			call_undo(r);
	}
}

/* The program says where its request begins: whatever had its name before is over. */
static void begin_take(struct lmm_analysis *a, const struct fact *f)
{
	struct request *r = lmm__request_find(a, f->context, f->seq);
	struct tokenize *x;

	if (r)
		lmm__request_close(a, r, 1);
	x = tokenize_new(a, f);
	x->is_begin = 1;
	x->context = f->context;
	x->seq = f->seq;
}

static void end_take(struct lmm_analysis *a, const struct fact *f)
{
	struct context *c = lmm__context(a, f->context);
	struct request *r = lmm__request_find(a, f->context, f->seq);

	if (c)
		lmm__steps_flush(a, c);
	if (!r)
		return;
	lmm__request_end_last(a, r);
	lmm__request_close(a, r, 1);
}

static void hint_take(struct lmm_analysis *a, const struct fact *f)
{
	struct context *c = lmm__context(a, f->context);

	if (!c)
		return;
	switch (f->phase) {
	case LMM_HINT_MEMORY_CLEAR:
		lmm__requests_close(a, c->serial);
		c->cleared = f->t;
		break;
	case LMM_HINT_CONTEXT_NEW:
	case LMM_HINT_CONTEXT_FREE:
		lmm__context_free(a, c);
		break;
	case LMM_HINT_SEQ_RM:
		sequence_cut(a, f);
		break;
	case LMM_HINT_SEQ_SHIFT:
		sequence_shift(a, f);
		break;
	case LMM_HINT_NO_ROOM:
		refusal_take(a, c, f);
		break;
	case LMM_HINT_PERF_RESET:
		lmm__steps_flush(a, c);
		/* a chosen token decides */
		if (!c->is_decided)
			lmm__context_warm(a, c, f->t);
		break;
	case LMM_HINT_WARMUP_ON:
	case LMM_HINT_WARMUP_OFF:
		lmm__steps_flush(a, c);
		c->is_warm2 = f->phase == LMM_HINT_WARMUP_ON;
		break;
	case LMM_HINT_REQUEST_BEGIN:
		begin_take(a, f);
		break;
	case LMM_HINT_REQUEST_END:
		end_take(a, f);
		break;
	default:
		break;
	}
}

static void mark_take(struct lmm_analysis *a, const struct fact *f)
{
	struct step *st = step_of(a, f);
	struct lead *lead = &a->processes[f->process].lead;

	if (f->kind == FACT_FIRST_USE && lead->token == 0)
		lead->first_use += f->a;
	if (!st)
		return;
	st->is_untimed |= f->kind == FACT_UNTIMED;
	st->is_first_use |= f->kind == FACT_FIRST_USE || f->kind == FACT_SLOWED;
	st->is_slowed |= f->kind == FACT_SLOWED;
}

void lmm__fact_take(struct lmm_analysis *a, const struct fact *f)
{
	switch (f->kind) {
	case FACT_PIECE:
		piece_take(a, f);
		break;
	case FACT_IDLE:
		idle_take(a, f);
		break;
	case FACT_STEP:
		lmm__step_take(a, f);
		break;
	case FACT_SEQ:
		lmm__seq_take(a, f);
		break;
	case FACT_TOKEN:
		token_take(a, f);
		break;
	case FACT_COUNT:
		count_take(a, f);
		break;
	case FACT_HINT:
		hint_take(a, f);
		break;
	case FACT_UNTIMED:
	case FACT_FIRST_USE:
	case FACT_SLOWED:
		mark_take(a, f);
		break;
	default:
		break;
	}
}
