/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines that mark themselves (lmmeter/mark.h): what they say becomes the events that other adapters make of what they see.
 * A linked object with marks has a table; mark_find.c and the objects themselves bring it here, and it gets our door.
 * mark_static.h is made of this file, too.
 */
#include "probe/engines/mark.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/phase.h"
#include "lmmeter/mark.h"
#include "probe/probe.h"

/* Contexts of other adapters are numbered from 1. The analysis joins a draft model's by their being different. */
#define CONTEXT	      0u
#define DRAFT_CONTEXT UINT16_MAX
#define PARTS_MAX     256u /* of a step, that are told apart */
#define SPANS_MAX     16
#define NAME_BYTES    64
#define REQUESTS_MAX  256u /* whose last step is remembered; a power of two */

_Static_assert((int)LMM_MARK_MODEL_LOAD == (int)LMM_PHASE_MODEL_LOAD &&
		       (int)LMM_MARK_CONTEXT_INIT == (int)LMM_PHASE_CONTEXT_INIT &&
		       (int)LMM_MARK_TOKENIZE == (int)LMM_PHASE_TOKENIZE &&
		       (int)LMM_MARK_EMBEDDING == (int)LMM_PHASE_EMBEDDING &&
		       (int)LMM_MARK_COPY_TO_CPU == (int)LMM_PHASE_COPY_TO_CPU &&
		       (int)LMM_MARK_SOFTMAX == (int)LMM_PHASE_SOFTMAX &&
		       (int)LMM_MARK_SAMPLING == (int)LMM_PHASE_SAMPLING &&
		       (int)LMM_MARK_DETOKENIZE == (int)LMM_PHASE_DETOKENIZE &&
		       (int)LMM_MARK_PREFILL == (int)LMM_PHASE_PREFILL &&
		       (int)LMM_MARK_DECODE == (int)LMM_PHASE_DECODE &&
		       (int)LMM_MARK_DRAFT == (int)LMM_PHASE_DRAFT &&
		       (int)LMM_MARK_VERIFY == (int)LMM_PHASE_VERIFY,
	       "marks and traces have one vocabulary");

/* What this thread has open. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	uint32_t word;	    /* of the recording that it was begun in; 0: none */
	uint64_t key;	    /* the word and its session's number: names are told once in each */
	uint8_t depth;	    /* phases, the step among them */
	uint8_t step_depth; /* depth with the step's phase; 0: no step */
	uint8_t n_spans;
	uint8_t spans_beyond; /* begun behind the last that fits */
	struct {
		uint64_t t;
		uint32_t number;
		uint32_t phase; /* it is one, and has no number; else LMM_PHASE_NONE */
	} span[SPANS_MAX];
} now;

/* Process-wide: request << 32 | step, so that what follows a step may be on another thread. */
static _Atomic uint64_t last_step[REQUESTS_MAX];

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t n_names;
static char engine_name[NAME_BYTES];
static char engine_version[NAME_BYTES];

/* Until the first mark there is no session, and that mark must come here. */
static const uint32_t unjoined = 1;
static struct lmm_mark_door door;
static _Atomic bool has_tables; /* else it is others who tell us */

/* What was begun belongs to the recording that goes on: it is one, then. */
static inline bool is_current(void)
{
	uint32_t word = atomic_load_explicit(lmm_recording_word, memory_order_relaxed);

	return lmm_likely(word == now.word && word);
}

/* ---- beginnings --------------------------------------------------------------------------------- */

/* Not in the middle of a character. */
static void copy_name(char to[NAME_BYTES], const char *from)
{
	size_t n = from ? strnlen(from, NAME_BYTES) : 0;

	if (n == NAME_BYTES) {
		for (n--; n > 0 && ((uint8_t)from[n] & 0xc0) == 0x80;)
			n--;
	}
	if (n)
		memcpy(to, from, n);
	to[n] = 0;
}

/* A new recording on this thread: what was open when the one before ended has no end in this one. */
static LMM_COLD void renew(struct lmm_thread *th)
{
	int saved = errno;

	th->depth = (uint8_t)(th->depth > now.depth ? th->depth - now.depth : 0);
	memset(&now, 0, sizeof(now));
	now.word = lmm_recording();
	now.key = (uint64_t)th->session << 32 | now.word;
	if (!atomic_load_explicit(&has_tables, memory_order_relaxed)) {
		lmm_engine_describe_unknown("nvtx");
	} else if (!lmm_engine_is_described()) {
		pthread_mutex_lock(&names_lock);
		lmm_engine_describe_by(engine_name[0] ? engine_name : "unnamed", engine_version,
				       "mark");
		pthread_mutex_unlock(&names_lock);
	}
	errno = saved;
}

static LMM_COLD struct lmm_entry first_mark(void)
{
	int saved = errno;

	if (__atomic_load_n(&door.recording, __ATOMIC_RELAXED) == &unjoined)
		lmm_probe_start();
	errno = saved;
	return lmm_enter();
}

/* This thread's state for a mark that was made at *at; NULL: it is not recorded, or counted as lost. */
static inline struct lmm_thread *mark_enter(struct lmm_entry *at, unsigned events)
{
	struct lmm_thread *th;

	*at = lmm_enter();
	if (lmm_unlikely(!at->t)) {
		*at = first_mark();
		if (!at->t)
			return NULL;
	}
	th = lmm_thread_self();
	if (lmm_unlikely(!th)) {
		lmm_no_ring(events);
		return NULL;
	}
	if (!is_current())
		renew(th);
	return th;
}

static void mark_engine(const char *name, const char *version)
{
	pthread_mutex_lock(&names_lock);
	copy_name(engine_name, name);
	copy_name(engine_version, version);
	pthread_mutex_unlock(&names_lock);
}

/* ---- requests ----------------------------------------------------------------------------------- */

static unsigned seq_of(uint64_t request)
{
	return request == LMM_MARK_NO_REQUEST ? LMM_SEQ_NONE : (unsigned)(request % LMM_SEQ_NONE);
}

static void step_note(unsigned seq, uint32_t step)
{
	atomic_store_explicit(&last_step[seq & (REQUESTS_MAX - 1)], (uint64_t)seq << 32 | step,
			      memory_order_relaxed);
}

/* The last step that the request had a share in, or, if it is not known, this thread's. */
static uint32_t step_of(const struct lmm_thread *th, unsigned seq)
{
	uint64_t last = seq == LMM_SEQ_NONE
				? 0
				: atomic_load_explicit(&last_step[seq & (REQUESTS_MAX - 1)],
						       memory_order_relaxed);

	return last && last >> 32 == seq ? (uint32_t)last : th->step;
}

static void hint_put(struct lmm_thread *th, enum lmm_hint what, unsigned seq, uint64_t t)
{
	lmm_writer_put_wide(&th->w, t, lmm_word(LMM_EV_HINT, what, seq, LMM_STEP_NONE), CONTEXT, 0);
}

static void mark_request_begin(uint64_t request)
{
	unsigned seq = seq_of(request);
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (!th)
		return;
	lmm_phase_gap(th, at.t);
	step_note(seq, LMM_STEP_NONE);
	hint_put(th, LMM_HINT_REQUEST_BEGIN, seq, at.t);
}

static void mark_request_end(uint64_t request)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (th)
		hint_put(th, LMM_HINT_REQUEST_END, seq_of(request), at.t);
}

static void mark_token(uint64_t request)
{
	unsigned seq = seq_of(request);
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (th) {
		lmm_writer_put(&th->w, at.t, lmm_word(LMM_EV_TOKEN, 0, seq, step_of(th, seq)));
	}
}

static void mark_warmup(int is_on)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (th)
		hint_put(th, is_on ? LMM_HINT_WARMUP_ON : LMM_HINT_WARMUP_OFF, LMM_SEQ_NONE, at.t);
}

/* ---- steps and phases --------------------------------------------------------------------------- */

static void step_leave(struct lmm_thread *th)
{
	while (now.depth >= now.step_depth) {
		now.depth--;
		lmm_phase_leave(th, LMM_SEQ_NONE, th->step);
	}
	now.step_depth = 0;
}

static unsigned step_phase(unsigned kind, const struct lmm_mark_part *parts, unsigned n)
{
	if (lmm_phase_is_step(kind))
		return kind;
	for (unsigned i = 0; i < n; i++) {
		if (parts[i].tokens > 1)
			return LMM_PHASE_PREFILL;
	}
	return LMM_PHASE_DECODE;
}

static void step_put(struct lmm_thread *th, unsigned phase, const struct lmm_mark_part *parts,
		     unsigned n)
{
	uint32_t context = phase == LMM_PHASE_DRAFT ? DRAFT_CONTEXT : CONTEXT;
	uint64_t tokens = 0, outputs = 0;

	for (unsigned i = 0; i < n; i++) {
		tokens += parts[i].tokens;
		outputs += parts[i].outputs;
	}
	lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_STEP, phase, LMM_SEQ_NONE, th->step),
			    (uint32_t)tokens | (uint64_t)(uint32_t)outputs << 32,
			    context | (uint64_t)lmm_call_next() << 32);
	for (unsigned i = 0; i < n && n <= PARTS_MAX; i++) {
		const struct lmm_mark_part *p = &parts[i];
		unsigned seq = seq_of(p->request);

		step_note(seq, th->step);
		lmm_writer_put_wide(&th->w, lmm_now(), lmm_word(LMM_EV_SEQ, 0, seq, th->step),
				    (uint64_t)p->tokens | (uint64_t)p->outputs << 32,
				    p->position == LMM_MARK_NO_POSITION ? LMM_POS_ABSENT
									: p->position);
	}
}

static void mark_step_begin(unsigned kind, const struct lmm_mark_part *parts, unsigned n)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 2 + n);
	unsigned phase;

	if (!th)
		return;
	if (!parts)
		n = 0;
	if (now.step_depth)
		step_leave(th);
	phase = step_phase(kind, parts, n);
	th->step = lmm_step_next();
	th->call_phase = (uint8_t)phase;
	lmm_phase_enter(th, phase, LMM_SEQ_NONE, th->step, at);
	now.step_depth = ++now.depth;
	step_put(th, phase, parts, n);
}

static void mark_step_end(void)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (th && now.step_depth)
		step_leave(th);
}

/* Has no step: a prompt is not yet in one. */
static int is_ahead(unsigned phase)
{
	return phase == LMM_PHASE_TOKENIZE || phase == LMM_PHASE_MODEL_LOAD ||
	       phase == LMM_PHASE_CONTEXT_INIT;
}

static int is_markable(unsigned phase)
{
	return is_ahead(phase) || phase == LMM_PHASE_EMBEDDING || phase == LMM_PHASE_COPY_TO_CPU ||
	       phase == LMM_PHASE_SOFTMAX || phase == LMM_PHASE_SAMPLING ||
	       phase == LMM_PHASE_DETOKENIZE;
}

static void mark_phase_begin(unsigned phase, uint64_t request)
{
	unsigned seq = seq_of(request);
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (!th || !is_markable(phase) || now.depth >= LMM_PHASE_DEPTH)
		return;
	now.depth++;
	if (is_ahead(phase)) {
		lmm_phase_enter(th, phase, LMM_SEQ_NONE, LMM_STEP_NONE, at);
	} else {
		if (!now.step_depth)
			th->step = step_of(th, seq);
		lmm_phase_enter(th, phase, seq, th->step, at);
	}
	th->seq = (uint16_t)seq;
}

static void mark_phase_end(unsigned phase)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (!th || now.depth <= now.step_depth || th->depth == 0 || th->depth > LMM_PHASE_DEPTH ||
	    th->phase[th->depth - 1] != phase)
		return;
	now.depth--;
	lmm_phase_leave(th, is_ahead(phase) ? LMM_SEQ_NONE : th->seq,
			is_ahead(phase) ? LMM_STEP_NONE : th->step);
}

static void mark_count(unsigned phase, uint64_t value)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (!th || !is_markable(phase))
		return;
	lmm_writer_put_wide(&th->w, at.t,
			    lmm_word(LMM_EV_COUNT, phase, LMM_SEQ_NONE,
				     is_ahead(phase) ? LMM_STEP_NONE : th->step),
			    value, 0);
}

/* ---- spans -------------------------------------------------------------------------------------- */

/* A name is told when its site is first met in a recording. Its number is its own for the life of the process. */
static LMM_COLD void site_tell(struct lmm_mark_site *site, uint64_t key)
{
	struct lmm_buf b = { 0 };
	char name[NAME_BYTES];
	int saved = errno;

	pthread_mutex_lock(&names_lock);
	if (__atomic_load_n(&site->told, __ATOMIC_RELAXED) != key) {
		if (!site->number)
			site->number = ++n_names;
		copy_name(name, site->name);
		lmm_buf_put_varint(&b, site->number);
		lmm_buf_put_str(&b, name);
		lmm_session_describe(LMM_DESC_NAME, &b);
		lmm_buf_free(&b);
		/* pairs with the acquire in mark_span_begin() */
		__atomic_store_n(&site->told, key, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&names_lock);
	errno = saved;
}

/* Its one stamp is read last, and the end's first: what a mark costs is not in its span. */
static inline void span_open(const struct lmm_mark_site *site)
{
	unsigned i = now.n_spans++;

	now.span[i].number = site->number;
	now.span[i].phase = LMM_PHASE_NONE;
	now.span[i].t = lmm_now();
}

static LMM_COLD void span_begin_slowly(struct lmm_mark_site *site)
{
	struct lmm_entry at;

	if (!is_current() && !mark_enter(&at, 1))
		return;
	if (now.n_spans == SPANS_MAX) {
		now.spans_beyond += now.spans_beyond < UINT8_MAX;
		return;
	}
	site_tell(site, now.key);
	span_open(site);
}

static void mark_span_begin(struct lmm_mark_site *site)
{
	if (lmm_likely(is_current() && now.n_spans < SPANS_MAX &&
		       __atomic_load_n(&site->told, __ATOMIC_ACQUIRE) == now.key)) {
		span_open(site);
	} else {
		span_begin_slowly(site);
	}
}

static void range_end(unsigned phase)
{
	if (lmm_phase_is_step(phase)) {
		mark_step_end();
	} else {
		mark_phase_end(phase);
	}
}

static void mark_span_end(void)
{
	uint64_t t = lmm_now();
	struct lmm_thread *th = lmm_self;
	unsigned i;

	if (!is_current() || !th || now.n_spans == 0)
		return;
	if (lmm_unlikely(now.spans_beyond)) {
		now.spans_beyond--;
		return;
	}
	i = --now.n_spans;
	if (lmm_unlikely(now.span[i].phase)) {
		range_end(now.span[i].phase);
		return;
	}
	lmm_writer_put_wide_inline(&th->w, t,
				   lmm_word(LMM_EV_SPAN, i, LMM_SEQ_NONE, now.span[i].number),
				   t - now.span[i].t, th->step);
}

void lmm_span_begin(struct lmm_mark_site *site)
{
	mark_span_begin(site);
}

void lmm_span_end(void)
{
	mark_span_end();
}

/* Whether a range can be a phase here and now: nobody else tells them, and there is room. */
static bool is_range_a_phase(unsigned phase)
{
	if (atomic_load_explicit(&has_tables, memory_order_relaxed) || lmm_engine_is_described())
		return false;
	if (lmm_phase_is_step(phase) && is_current() && now.step_depth)
		return false;
	return now.n_spans < SPANS_MAX;
}

void lmm_range_begin(struct lmm_mark_site *site, unsigned phase)
{
	unsigned depth = is_current() ? now.depth : 0;

	if (is_range_a_phase(phase)) {
		if (lmm_phase_is_step(phase)) {
			mark_step_begin(phase, NULL, 0);
		} else {
			mark_phase_begin(phase, LMM_MARK_NO_REQUEST);
		}
	}
	if (!is_current() || now.depth == depth) {
		mark_span_begin(site);
		return;
	}
	now.span[now.n_spans].phase = phase;
	now.n_spans++;
}

void lmm_span_put(struct lmm_mark_site *site, uint64_t from)
{
	struct lmm_entry at;
	struct lmm_thread *th = mark_enter(&at, 1);

	if (!th || at.t < from)
		return;
	if (__atomic_load_n(&site->told, __ATOMIC_ACQUIRE) != now.key)
		site_tell(site, now.key);
	lmm_writer_put_wide(&th->w, at.t,
			    lmm_word(LMM_EV_SPAN, now.n_spans, LMM_SEQ_NONE, site->number),
			    at.t - from, th->step);
}

/* ---- the door ----------------------------------------------------------------------------------- */

static struct lmm_mark_door door = {
	.version = LMM_MARK_VERSION,
	.bytes = sizeof(door),
	.recording = &unjoined,
	.engine = mark_engine,
	.request_begin = mark_request_begin,
	.request_end = mark_request_end,
	.step_begin = mark_step_begin,
	.step_end = mark_step_end,
	.phase_begin = mark_phase_begin,
	.phase_end = mark_phase_end,
	.count = mark_count,
	.token = mark_token,
	.warmup = mark_warmup,
	.span_begin = mark_span_begin,
	.span_end = mark_span_end,
};

bool lmm_mark_open(struct lmm_mark_table *table)
{
	if (table->version != LMM_MARK_VERSION ||
	    table->bytes < offsetof(struct lmm_mark_table, pad))
		return false;
	atomic_store_explicit(&has_tables, true, memory_order_relaxed);
	/* the door is filled when this library is relocated: whoever sees its address sees it whole */
	__atomic_store_n(&table->door, &door, __ATOMIC_RELEASE);
	return true;
}

void lmm_mark_started(void)
{
	__atomic_store_n(&door.recording, (const uint32_t *)lmm_recording_word, __ATOMIC_RELEASE);
}

void lmm_mark_after_fork(void)
{
	pthread_mutex_init(&names_lock, NULL);
	memset(last_step, 0, sizeof(last_step));
	memset(&now, 0, sizeof(now)); /* the thread that is left is this one */
	door.recording = &unjoined;
}
