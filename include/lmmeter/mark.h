/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmmeter/mark.h: name the requests, forward passes, phases and spans of your own engine or app, so that lmmeter's report,
 * live view and exports show them as they show those of the engines that it knows. This header is all: nothing is linked.
 *
 *	struct lmm_mark_part part = { request, n_prompt, 1, 0 };
 *
 *	lmm_mark_request_begin(request);
 *	lmm_mark_phase_begin(LMM_MARK_TOKENIZE, request);
 *	n_prompt = tokenize(…);
 *	lmm_mark_phase_end(LMM_MARK_TOKENIZE);
 *	lmm_mark_count(LMM_MARK_TOKENIZE, n_prompt);
 *	while (generating) {
 *		lmm_mark_step_begin(LMM_MARK_AUTO, &part, 1);
 *		forward(…);
 *		lmm_mark_step_end();
 *		lmm_mark_phase_begin(LMM_MARK_SAMPLING, request);
 *		token = sample(…);
 *		lmm_mark_token(request);
 *		lmm_mark_phase_end(LMM_MARK_SAMPLING);
 *	}
 *	lmm_mark_request_end(request);
 *
 * Then `lmmeter run -- ./program`. examples/marked_engine.c is a whole program, docs/mark.md the manual.
 *
 * Cost: a mark is one load and one branch while lmmeter is not there, two loads more while it is there and does not record;
 * it never waits, allocates or calls the system while it records. All marks may be made on any thread; what begins on a thread
 * ends on it (requests may end anywhere). Marks do not nest but for phases within a step or within one another, and spans.
 * Names are stored in the recording: they are words of the program's own, never a user's text, a prompt or an answer.
 *
 * C99, C++11, GCC or Clang, on ELF systems of 64 bits; elsewhere all marks are empty. Programs that are linked statically have
 * no loader that could bring lmmeter in: they need <lmmeter/mark_static.h> in one C file as well.
 */
#ifndef LMMETER_MARK_H
#define LMMETER_MARK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parts of a step, as in enum lmm_phase of trace.h. Those of the passes are said by lmm_mark_step_begin(). */
enum lmm_mark_phase {
	LMM_MARK_MODEL_LOAD = 1,
	LMM_MARK_CONTEXT_INIT = 2,
	LMM_MARK_TOKENIZE = 4,
	LMM_MARK_EMBEDDING = 5, /* ahead of a pass; not within one */
	LMM_MARK_COPY_TO_CPU = 8,
	LMM_MARK_SOFTMAX = 9,
	LMM_MARK_SAMPLING = 10,
	LMM_MARK_DETOKENIZE = 11,
};

/* What a pass is for. */
enum lmm_mark_step {
	LMM_MARK_AUTO = 0, /* decode if each request has one token in it, else prefill */
	LMM_MARK_PREFILL = 6,
	LMM_MARK_DECODE = 7,
	LMM_MARK_DRAFT = 12,  /* of a draft model */
	LMM_MARK_VERIFY = 13, /* the main model's that checks drafts */
};

/* No request in particular. */
#define LMM_MARK_NO_REQUEST UINT64_MAX

/* The first position is not known; the report counts. */
#define LMM_MARK_NO_POSITION UINT64_MAX

/* One request's share of a pass. */
struct lmm_mark_part {
	/* a number of the program's own; two that run at once differ modulo 65535 */
	uint64_t request;
	uint32_t tokens; /* that go in */
	/* rows of logits that come out: 1 for the last piece of a prompt, 0 before it */
	uint32_t outputs;
	/* of its first token; above 0 in a new request: so many came from a cache */
	uint64_t position;
};

/* A span's name, at most 63 bytes of UTF-8; longer ones are cut. Static: it must live as long as the program. */
struct lmm_mark_site {
	const char *name;
	uint64_t told; /* lmmeter's */
	uint32_t number;
	uint32_t pad;
};

#define LMM_MARK_SITE(text)                                                                        \
	{                                                                                          \
		(text), 0, 0, 0                                                                    \
	}

/* ---- between this header and lmmeter: nothing below this line is called by programs ------------------------------- */

/* What liblmmeter.so has for us: append only; bytes says how far it goes. */
struct lmm_mark_door {
	uint32_t version;
	uint32_t bytes;
	const uint32_t *recording; /* odd: record */
	void (*engine)(const char *name, const char *version);
	void (*request_begin)(uint64_t request);
	void (*request_end)(uint64_t request);
	void (*step_begin)(unsigned kind, const struct lmm_mark_part *parts, unsigned n);
	void (*step_end)(void);
	void (*phase_begin)(unsigned phase, uint64_t request);
	void (*phase_end)(unsigned phase);
	void (*count)(unsigned phase, uint64_t value);
	void (*token)(uint64_t request);
	void (*warmup)(int is_on);
	void (*span_begin)(struct lmm_mark_site *site);
	void (*span_end)(void);
};

/* One of each program and library that has marks, found by a note in its file; lmmeter sets door. */
struct lmm_mark_table {
	uint32_t version;
	uint32_t bytes;
	const struct lmm_mark_door *door; /* NULL: nobody is there */
	uint64_t pad[5];
};

#define LMM_MARK_VERSION 1

#if defined(__ELF__) && defined(__LP64__) && defined(__GNUC__) && !defined(LMM_MARK_OFF)

#define LMM_MARK_IS_ON 1

/* Weak and hidden: however many of its files include this, a linked object has one, and no other object sees it. */
__attribute__((weak, used, visibility("hidden"))) struct lmm_mark_table lmm_mark_table_1 = {
	LMM_MARK_VERSION, sizeof(struct lmm_mark_table), NULL, { 0, 0, 0, 0, 0 }
};

/* 1: mark_static.h is in it */
#ifndef LMM_MARK_NOTE_FLAGS
#define LMM_MARK_NOTE_FLAGS "0"
#endif

/* How lmmeter finds the table: an address relative to the note needs no relocation. Files that include this repeat it; in a
 * group of sections, of which one stays, linkers that collect unused sections would drop it. */
__asm__(".pushsection .note.lmmeter, \"a\", %note\n"
	".balign 4\n"
	".long 8, 12, 1\n"
	".asciz \"lmmeter\"\n"
	".hidden lmm_mark_table_1\n"
	".quad lmm_mark_table_1 - .\n"
	".long " LMM_MARK_NOTE_FLAGS "\n"
	".popsection\n");

#if defined(__PIC__) && !defined(__PIE__)
/* A library may be opened when lmmeter has looked around already. */
extern void lmm_mark_join_1(struct lmm_mark_table *table)
	__attribute__((weak, visibility("default")));

static __attribute__((constructor, used)) void lmm_mark_loaded(void)
{
	if (lmm_mark_join_1)
		lmm_mark_join_1(&lmm_mark_table_1);
}
#endif

/* A relaxed load will do: all else is read through the pointer, and was there before it. */
static inline const struct lmm_mark_door *lmm_mark_door_here(void)
{
	return __atomic_load_n(&lmm_mark_table_1.door, __ATOMIC_RELAXED);
}

static inline int lmm_mark_is_recording(const struct lmm_mark_door *d)
{
	return (int)(__atomic_load_n(__atomic_load_n(&d->recording, __ATOMIC_RELAXED),
				     __ATOMIC_RELAXED) &
		     1u);
}

#define LMM_MARK_END_OF(member) (offsetof(struct lmm_mark_door, member) + sizeof(void (*)(void)))
/* An older lmmeter's door may end before the function. */
#define LMM_MARK_CALL(member, arguments)                                                           \
	do {                                                                                       \
		const struct lmm_mark_door *lmm_mark_d = lmm_mark_door_here();                     \
		if (__builtin_expect(lmm_mark_d != NULL, 0) &&                                     \
		    lmm_mark_is_recording(lmm_mark_d) &&                                           \
		    lmm_mark_d->bytes >= LMM_MARK_END_OF(member))                                  \
			lmm_mark_d->member arguments;                                              \
	} while (0)
#else
#define LMM_MARK_IS_ON 0
#define LMM_MARK_CALL(member, arguments)                                                           \
	do {                                                                                       \
	} while (0)
#endif

#if LMM_MARK_IS_ON
#define LMM_MARK_USE(argument) (void)0
#else
#define LMM_MARK_USE(argument) (void)(argument)
#endif

/* ---- marks ---------------------------------------------------------------------------------------------------------- */

/* Who the engine is, at most 63 bytes each; the strings are copied. Said at any time, best before the first request. */
static inline void lmm_mark_engine(const char *name, const char *version)
{
#if LMM_MARK_IS_ON
	const struct lmm_mark_door *d = lmm_mark_door_here();

	if (d != NULL && d->bytes >= LMM_MARK_END_OF(engine))
		d->engine(name, version);
#else
	(void)name;
	(void)version;
#endif
}

/* A request arrives: its time to first token counts from here. Not within a phase or step of the same thread. */
static inline void lmm_mark_request_begin(uint64_t request)
{
	LMM_MARK_USE(request);
	LMM_MARK_CALL(request_begin, (request));
}

/* It is over, done or not. Its end in the report is that of its last detokenize, token or step, whichever came last. */
static inline void lmm_mark_request_end(uint64_t request)
{
	LMM_MARK_USE(request);
	LMM_MARK_CALL(request_end, (request));
}

/* A forward pass begins on this thread, with a share for each of n requests (none: n is 0; 256 at most). */
static inline void lmm_mark_step_begin(enum lmm_mark_step kind, const struct lmm_mark_part *parts,
				       unsigned n)
{
	LMM_MARK_USE(kind);
	LMM_MARK_USE(parts);
	LMM_MARK_USE(n);
	LMM_MARK_CALL(step_begin, ((unsigned)kind, parts, n));
}

static inline void lmm_mark_step_end(void)
{
	LMM_MARK_CALL(step_end, ());
}

/*
 * A phase begins on this thread, of a request or of LMM_MARK_NO_REQUEST. Its time and that of device commands which are
 * enqueued in it belong to it. An end without its begin is left out.
 */
static inline void lmm_mark_phase_begin(enum lmm_mark_phase phase, uint64_t request)
{
	LMM_MARK_USE(phase);
	LMM_MARK_USE(request);
	LMM_MARK_CALL(phase_begin, ((unsigned)phase, request));
}

static inline void lmm_mark_phase_end(enum lmm_mark_phase phase)
{
	LMM_MARK_USE(phase);
	LMM_MARK_CALL(phase_end, ((unsigned)phase));
}

/* Of the phase that this thread has just ended: tokens (TOKENIZE) or bytes (COPY_TO_CPU, MODEL_LOAD). */
static inline void lmm_mark_count(enum lmm_mark_phase phase, uint64_t value)
{
	LMM_MARK_USE(phase);
	LMM_MARK_USE(value);
	LMM_MARK_CALL(count, ((unsigned)phase, value));
}

/* A token of the request was chosen, from its last step. */
static inline void lmm_mark_token(uint64_t request)
{
	LMM_MARK_USE(request);
	LMM_MARK_CALL(token, (request));
}

/* What runs between the two warms up: it is shown apart and not counted. */
static inline void lmm_mark_warmup_begin(void)
{
	LMM_MARK_CALL(warmup, (1));
}

static inline void lmm_mark_warmup_end(void)
{
	LMM_MARK_CALL(warmup, (0));
}

/*
 * Anything else, as a named slice of its thread in exports. Spans nest (16 deep), within phases or around them, and change
 * nothing of what phases say. LMM_MARK_SPAN_BEGIN("name") makes the site where it stands; the name must be constant.
 */
static inline void lmm_mark_span_begin(struct lmm_mark_site *site)
{
	LMM_MARK_USE(site);
	LMM_MARK_CALL(span_begin, (site));
}

static inline void lmm_mark_span_end(void)
{
	LMM_MARK_CALL(span_end, ());
}

#define LMM_MARK_SPAN_BEGIN(text)                                                                  \
	do {                                                                                       \
		static struct lmm_mark_site lmm_mark_here = LMM_MARK_SITE(text);                   \
		lmm_mark_span_begin(&lmm_mark_here);                                               \
	} while (0)
#define LMM_MARK_SPAN_END() lmm_mark_span_end()

#ifdef __cplusplus
}
#endif

#endif
