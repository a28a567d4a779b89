/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an analysis keeps, for the files of this room only.
 *
 * Events are taken in two stages. The first works on one stream at a time, as batches come: operators, graph runs, the
 * nesting of phases. What it finds out about phases goes on as facts (struct fact) into a heap that holds the newest
 * LMM_I_FACTS and gives the oldest away: so the second stage, which joins streams into requests, sees them in order
 * of time though batches of different threads come late.
 *
 * Sums that might turn out to be warm-up are kept in ledgers of their own until that is decided (context.c).
 *
 * Everything is in ticks and bounded; a pointer is never saved (save.c), what it says is found again from numbers.
 */
#ifndef LMM_ANALYZE_STATE_H
#define LMM_ANALYZE_STATE_H

#include "analyze/analysis.h"
#include "analyze/device_clock.h"
#include "analyze/evidence.h"
#include "analyze/histogram.h"
#include "analyze/result.h"
#include "analyze/sensors.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/phase.h"

#define LMM_I_PROCESSES	    1024
#define LMM_I_STREAMS	    4096 /* in sets of LMM_I_WAYS; the set is told by the index */
#define LMM_I_WAYS	    8
#define LMM_I_GRAPHS	    512 /* per process */
#define LMM_I_GRAPH_NODES   65536
#define LMM_I_NODES	    (1u << 21) /* over all graphs */
#define LMM_I_BASES	    4096
#define LMM_I_KEYS	    4096
#define LMM_I_LAYERS	    1024
#define LMM_I_MODELS	    256
#define LMM_I_LOADS	    256
#define LMM_I_REASONS	    64
#define LMM_I_DEVICE_NAMES  8192
#define LMM_I_QUEUES	    256
#define LMM_I_NAMED	    1024
#define LMM_I_DEVICES	    64
#define LMM_I_PASSED	    128	  /* steps of a stream whose context is remembered */
#define LMM_I_BUSY	    16384 /* intervals of one process in which a device worked */
#define LMM_I_PARTS	    8
#define LMM_I_CONTEXTS	    64
#define LMM_I_HELD	    8
#define LMM_I_REQUESTS	    256 /* open or not decided */
#define LMM_I_HELD_REQUESTS 16	/* closed and not decided, per context */
#define LMM_I_FACTS	    4096
#define LMM_I_TOKENIZES	    512
#define LMM_I_IDLES	    512
#define LMM_I_STEPS	    256	  /* in sets of: */
#define LMM_I_STEP_WAYS	    4	  /* processes whose steps have the same place */
#define LMM_I_FLIGHT	    65536 /* direct-mapped: 16 queues with all that a probe holds in flight */
#define LMM_I_DEPTH	    8
#define LMM_I_LEADS	    16
#define LMM_I_SPANS	    64
#define LMM_I_BINS	    64
#define LMM_I_BIN_WIDTH	    256
#define LMM_I_TEXT_BYTES    (8u << 20)
#define LMM_I_NONE	    0xffffffffu
#define LMM_I_SLOT_OPEN	    0xffffu

/* Kernel tables are by the phase of the step: NONE, PREFILL, DECODE, DRAFT, VERIFY; or EMBEDDING, SOFTMAX beside it; each plain and fused. */
#define LMM_I_CLASSES 14

/* ---- names -------------------------------------------------------------------------------------- */

/* All strings, each once; an id is its offset, 0 is "". */
struct text {
	char *data;
	uint32_t n, cap;
	uint32_t *slots;
	uint32_t n_slots, n_strings;
};

/* What kernels have in common over layers, phases and devices. Number 0 takes what does not fit. */
struct base {
	uint32_t name, op, weight_type;
	uint8_t role;
};

/* A row of the kernel table. Number 0 takes what does not fit. */
struct key {
	uint16_t base;
	uint8_t phase;
	uint8_t fused;
	uint32_t device;
	uint64_t ticks_per_second; /* of the durations; 0: the session's clock */
};

/* ---- sums --------------------------------------------------------------------------------------- */

/* Values of what goes on, and apart from them those of when something was made ready for its first use. */
struct split {
	struct lmm_hist steady, first;
};

struct kernel_sum {
	struct split hist;  /* device ticks of each run */
	uint64_t first_use; /* host ticks of making it ready: compiling, first launches */
	uint64_t untimed;   /* runs whose time was not asked for */
	/* of a command buffer: how often what it consists of was told; of others: runs that were told so */
	uint64_t opened, in_buffer;
	uint8_t is_buffer;
	uint64_t alone; /* session ticks of device runs that no command told before them covers */
	uint64_t bytes;
	uint64_t flops;
	uint64_t streamed;  /* part of bytes: weights, or KV cache */
	uint64_t positions; /* of the cache, that FLASH_ATTN_EXT looked at */
};

enum { LAYER_ATTENTION, LAYER_MLP, LAYER_NORM, LAYER_OTHER, LAYER_PARTS };

struct layer_sum {
	uint64_t part[LAYER_PARTS];
	uint64_t prefill;
	uint64_t decode;		/* and all that is not prefill */
	uint64_t turn[LMM_LAYER_TURNS]; /* part of it: DECODE, by step modulo */
	uint64_t bytes;
};

struct phase_sum {
	struct split hist; /* attributed, one value per occurrence */
	uint64_t host;
	uint64_t host_first; /* part of it in occurrences of first use */
	uint64_t device;
	/* Booked here though it lies in another phase's bracket, because the device worked for this one; of no occurrence. */
	uint64_t moved_in;
	uint64_t
		first_use; /* part of its host time in which drivers made things ready for the first time */
	uint64_t estimated; /* part of all of it that was taken from steps that were timed */
};

struct gap_sum {
	struct lmm_hist hist;
	uint64_t unsure; /* part of the sum whose cause lies within the error of the clocks */
};

/* Tokens of passes of one sequence at a known position, and the sum of the positions that are filled for each of them. */
struct filled {
	uint64_t tokens, positions;
};

struct ledger {
	struct phase_sum phases[LMM_PHASE_COUNT];
	struct split prefill; /* whole passes */
	struct split decode;
	uint64_t prefill_tokens, decode_tokens;
	uint64_t prefill_first_tokens,
		decode_first_tokens; /* part of them in passes of first use */
	uint64_t steps;
	struct filled prefill_filled, decode_filled;
	uint64_t bin_width;
	struct lmm_hist *bins;
	uint32_t n_bins;
	struct layer_sum *layers; /* layers[0]: none */
	uint32_t n_layers;
	struct kernel_sum *kernels; /* by key */
	uint32_t n_kernels;
	uint64_t span, kernel_ticks, gap, own; /* of whole graph runs */
	uint64_t device_busy;		       /* of the union over queues */
	uint64_t timed, untimed;	       /* device commands */
	/* decode steps of one token with their device commands timed, all of them, and with some or none */
	struct lmm_hist step_timed, step_untimed;
	struct gap_sum device_gaps[LMM_GAP_CAUSES];
	struct places places;
};

/* ---- descriptions ------------------------------------------------------------------------------- */

enum { NODE_EMBEDDING = 1 };

struct graph_node {
	uint64_t bytes;
	uint64_t flops;
	uint64_t streamed;
	uint64_t positions;
	uint16_t base;
	uint16_t layer; /* index into ledger.layers */
	uint8_t part;	/* LAYER_* */
	uint8_t flags;
};

struct graph {
	uint32_t process; /* slot */
	uint32_t id;
	uint32_t n;
	uint32_t n_tokens;
	uint64_t used; /* serial of its last use */
	uint8_t embeds;
	struct graph_node *nodes;
	uint16_t *slots[LMM_I_CLASSES]; /* key of each node, LMM_I_SLOT_OPEN until it is needed */
};

struct process {
	uint32_t index;
	int32_t pid, parent_pid;
	uint32_t name, engine_name, engine_version, door;
	uint64_t start, end;
	uint32_t op_cost_ps, pair_cost_ps;
	uint64_t own_ticks; /* op_cost_ps in ticks */
	uint64_t operators, pairs;
	uint64_t requests, output_tokens;
	uint8_t has_ended;
	uint8_t is_bench;  /* llama-bench */
	uint8_t is_joined; /* recording began when its engine was at work */
	uint8_t has_tokenized;
	uint8_t is_marked; /* the program itself says where its requests begin */
	uint8_t level;	   /* lowest of its reasons */
	struct graph **graphs;
	uint32_t n_graphs;
	struct busy_list *busy; /* NULL: no device worked yet */
	/* of reading commands' times inside it, and what the driver asks for making that possible */
	uint64_t harvest_ticks, harvested, commands;
	uint64_t at_once; /* of the commands, those that were recorded so */
	uint64_t command_cost_mticks;
	uint32_t device_every;
	struct lead lead;
};

struct model {
	uint32_t process; /* index in the trace */
	uint32_t name, description, architecture, quantization, file;
	uint64_t size_bytes, parameters;
	uint32_t layers, vocabulary, embedding;
	uint32_t described;
};

struct load {
	uint32_t process;
	uint64_t bytes, count, ticks, minor, major;
};

struct device_name {
	uint32_t process, kernel, name, device;
	uint64_t program_hash;
	uint8_t kind;
};

/* What a program calls its spans of that number. */
struct named {
	uint32_t process, number, name;
	struct lmm_hist hist;
};

struct queue {
	uint32_t process, queue, device;
	uint64_t ticks_per_second;
	uint32_t device_number;
	uint8_t out_of_order;
	/* the command that ended last, for the gap behind it */
	uint8_t has_last, last_kind, last_phase;
	uint8_t has_hole; /* a command that was not timed lies behind the newest timed one */
	uint32_t last_id, last_step, last_context;
	uint64_t last_end; /* session ticks */
};

struct device_clock {
	uint32_t process, device; /* slot, number in it */
	struct lmm_device_clock clock;
};

/* A device worked for that step's phase. */
struct busy {
	uint64_t t0, t1;
	uint32_t step;
	uint8_t phase;
};

/* Of one process, disjoint and in order of time; the oldest make room. */
struct busy_list {
	uint32_t n;
	struct busy at[LMM_I_BUSY];
};

/* Time of a bracket that belongs to what the device did meanwhile. */
struct busy_part {
	uint64_t ticks;
	uint32_t step;
	uint8_t phase;
};

/* A COMMAND that waits for its COMPLETION, or the other way round. */
struct flight {
	uint8_t has; /* 1: command, 2: completion, 0: free */
	uint8_t phase;
	uint8_t status; /* enum lmm_completion */
	uint8_t is_behind_hole;
	uint8_t is_first; /* run of its kernel */
	uint8_t is_in_buffer;
	uint16_t queue;
	uint32_t process, id;
	uint32_t kernel, node, graph, step, context;
	uint32_t amount;	    /* bytes or work items */
	uint64_t t;		    /* handed over */
	uint64_t started, duration; /* device ticks */
};

/* ---- streams ------------------------------------------------------------------------------------ */

enum {
	FRAME_SUSPECT = 1, /* events were lost while it was open */
	FRAME_FORWARD = 2, /* a graph with tokens ran in it */
	FRAME_SHIFT = 4,   /* a graph without ran in it */
	FRAME_FIRST_USE = 8,
};

struct frame {
	uint8_t phase, flags;
	uint16_t seq;
	uint32_t step;
	uint64_t begin;
	uint64_t ticks;	    /* exclusive so far */
	uint64_t embedding; /* taken out of it so far */
};

struct run {
	uint8_t is_active, is_worker, is_tainted, class_at, turn;
	uint32_t graph_id;
	uint32_t context; /* serial */
	uint64_t begin;
	uint64_t kernels, gap, own;
	struct graph *graph;   /* NULL: not described */
	struct ledger *ledger; /* of context, kept right by lmm__runs_resettle() */
};

struct pending_op {
	uint64_t t;
	uint64_t barrier; /* last arrival at a barrier since t, 0: none */
	uint32_t node;
	uint8_t is_fused, is_set;
};

struct stream {
	uint32_t index;
	uint64_t used; /* when events of it last came: the longest idle one of a set makes room */
	uint32_t process; /* slot, or LMM_I_NONE */
	int32_t tid;
	struct frame frames[LMM_I_DEPTH];
	uint32_t depth, too_deep;
	uint64_t piece_t; /* the innermost phase is booked up to here */
	uint64_t newest;
	struct run run;
	struct pending_op op;
	uint32_t step;
	uint8_t step_phase;
	uint32_t step_context; /* serial */
	/* of steps that have gone, by number: what is told of them late is their context's */
	struct {
		uint32_t step, context;
	} passed[LMM_I_PASSED];
	uint32_t device_graph; /* whose nodes commands are for */
	uint32_t buffer;       /* kernel of the command buffer that they are in; 0: none */
	uint8_t buffer_begins;
	uint32_t pass_step;	/* whose commands are timed as a whole */
	uint32_t untimed_step;	/* told to the second stage already */
	uint64_t first_use_end; /* of the newest one */
	uint64_t
		build_ticks; /* of the host, of the programs built since the last command but one */
	uint8_t commands_since_build;
	uint8_t last_is_timed;
	uint8_t has_load;
	struct flight last; /* newest command: what is said of it next */
	uint64_t load_ticks;
	/* counters */
	uint64_t stored, invalid, operators, lost_marked;
	uint8_t has_loss;
	uint64_t emitted, lost;
	uint64_t busy, wait;
	/* second stage */
	struct tally since[LMM_PHASE_COUNT]; /* see since_add() */
	uint64_t last_token;
	/* by nesting: of the phase that began at `begin`, so much belongs to what the device did */
	struct {
		uint64_t begin, ticks;
		uint8_t phase;
	} away[LMM_I_DEPTH];
	uint32_t next_away;
};

/* ---- facts -------------------------------------------------------------------------------------- */

enum fact_kind {
	FACT_PIECE =
		1, /* a phase was the innermost one from t0 to t; last: of a occurrence of `a` ticks, begun at b */
	FACT_IDLE, /* UNACCOUNTED from t0 to t */
	FACT_STEP, /* t0: begin of its phase; a, b as the event */
	FACT_SEQ,
	FACT_TOKEN,
	FACT_COUNT, /* of TOKENIZE */
	FACT_HINT,
	FACT_UNTIMED,	/* device commands of the step are not timed */
	FACT_FIRST_USE, /* in the step something was made ready for its first use */
	FACT_SLOWED,	/* a window of kernel records was open in the step */
};

enum {
	FACT_LAST = 1,
	FACT_IS_SHIFT = 2,
	FACT_IS_FIRST_USE = 4,
	FACT_AGAIN = 8, /* never stored: of a pass that had ended before */
};

struct fact {
	uint64_t t;
	uint64_t serial; /* order of arrival */
	uint64_t t0, a, b;
	uint32_t stream, process, step, context; /* context: serial */
	uint16_t seq;
	uint8_t kind, phase, flags;
};

/* ---- requests ----------------------------------------------------------------------------------- */

struct held {
	uint64_t from, to;
	struct ledger *ledger;
};

struct context {
	uint32_t process; /* slot */
	uint32_t id;
	uint32_t serial; /* unique; 0: this slot is free */
	uint64_t used;
	uint64_t begun;		    /* first stage: first step; 0: none yet */
	uint64_t gone;		    /* first stage: when it was freed; 0: it was not */
	uint8_t is_decided;	    /* not warm-up any more */
	uint8_t is_warm1, is_warm2; /* between WARMUP_ON and WARMUP_OFF, in either stage */
	uint64_t tokens;
	uint64_t requests;   /* begun */
	uint64_t first_call; /* of the first one; only where the recording joined */
	uint64_t cleared;    /* when its memory was, 0: never */
	uint32_t step;	     /* its newest that has ended */
	uint8_t has_step;
	uint32_t n_held;
	struct held held[LMM_I_HELD];
};

struct step {
	uint8_t is_set, phase;
	uint8_t is_unnamed; /* its sequences are not known yet */
	uint8_t has_ended;
	uint8_t is_pending; /* ticks and whole are not booked yet */
	uint8_t is_counted; /* as a step */
	uint8_t is_shift;
	uint8_t is_untimed; /* its device commands are not (all) timed */
	uint8_t is_first_use; /* or lmmeter itself slowed it down: either way it is no step like others */
	uint8_t is_slowed;
	uint32_t process, id, context;
	uint64_t begin, call, tokens, outputs;
	uint64_t ticks, whole;
	uint32_t n_seq;
	uint64_t position; /* of the only sequence, or LMM_POS_ABSENT */
};

struct tokenize {
	uint32_t process, stream;
	uint64_t t0, t1, ticks;
	uint64_t tokens;
	uint8_t has_count;
	uint8_t is_begin; /* no tokenize: the program says that its request seq of context arrives */
	uint16_t seq;
	uint32_t context;
	uint8_t phase; /* TOKENIZE; EMBEDDING where the engine embeds a prompt ahead of its first step */
	struct tally since[LMM_PHASE_COUNT]; /* of its stream when it ended */
};

struct idle {
	uint32_t stream;
	struct span span;
};

enum { MARK_DETOKENIZE, MARK_TOKEN, MARK_STEP, MARKS };

struct mark {
	uint8_t is_set;
	uint64_t t;
	struct tally sums[LMM_PHASE_COUNT];
};

enum { REQUEST_OPEN = 1, REQUEST_HELD = 2 };

/* Context shifts: how many, and the tokens behind them with their time since the tokens before. */
struct shifts {
	uint64_t n, tokens, ticks;
};

/* Calls for which the context had no room, and their time. */
struct refusals {
	uint64_t n, ticks;
};

struct request {
	uint32_t process, context, context_id;
	uint16_t seq;
	uint8_t state, is_warm, is_complete;
	uint8_t is_joined; /* its beginning was not seen */
	uint64_t first;	   /* begin of its first step */
	uint64_t start;	   /* the same, or its tokenize */
	uint64_t newest;   /* end of what was booked last */
	uint32_t stream, first_stream;
	uint64_t on_stream; /* since when it is on `stream` */
	uint64_t call, call_end, call_outputs;
	uint32_t call_step;
	uint64_t draft_call;
	uint32_t draft_context;
	struct {
		uint64_t first, tokens, prefill_steps, decode_steps;
		uint8_t had_outputs, is_prompt;
	} newest_call;	  /* its part in it, and what it had before */
	uint64_t refused; /* calls for which there was no room */
	uint64_t holds;	  /* positions of its sequence in memory */
	uint32_t n_moved; /* how often they were moved since its last token */
	struct shifts shifts;
	uint64_t prompt_end; /* position behind its prompt */
	uint64_t computed, cached;
	uint8_t has_outputs;
	uint64_t tokens, first_token, last_token;
	uint64_t guessed, first_guess, last_guess; /* where no token is ever seen */
	uint64_t prefill_steps, decode_steps;
	uint64_t earlier_token; /* last one of its stream before its first step */
	struct tally sums[LMM_PHASE_COUNT];
	struct mark marks[MARKS];
	struct tally since[LMM_PHASE_COUNT]; /* of its stream when it began */
	uint64_t booked;		     /* unaccounted intervals up to here are in `idle` */
	uint32_t n_leads;
	struct span leads[LMM_I_LEADS]; /* unaccounted intervals before its first step */
	struct recent recent;		/* the newest of them */
	struct lmm_hist gaps;		/* between tokens */
	uint64_t gaps_apart;		/* those of steps that lmmeter slowed down */
	struct lmm_hist idle;
};

struct done {
	uint32_t process, context_id;
	uint16_t seq;
	uint8_t is_complete, is_joined;
	uint64_t start, end;
	uint64_t computed, cached, tokens, first_token, last_token, prefill_steps, decode_steps;
	uint64_t shifts, refused;
	struct tally sums[LMM_PHASE_COUNT];
};

/* ---- all of it ---------------------------------------------------------------------------------- */

struct session {
	uint32_t id, lmmeter, command_name, command_line, host_os, host_cpu;
	uint32_t host_cpus;
	uint64_t host_memory_bytes, start_ticks, start_realtime_ns;
	uint8_t clock, threads_all, embedded, is_set;
};

struct reason {
	uint32_t text;
};

/* Of windows in which kernels were recorded one by one, and of calls that hand work to devices. */
struct windows {
	uint64_t n, steps, open_ticks;
	uint64_t slowed_ticks; /* their steps took longer by, without stalls */
	uint64_t records, expected, unmatched, dropped, garbage;
	uint64_t stalls[2], stall_ticks[2], stall_max[2]; /* to open, to close */
	uint64_t check_steps, union_ns, pass_ns;
	uint64_t calls, call_ticks, waits, wait_ticks;
};

struct lmm_analysis {
	struct session session;
	struct lmm_clock_fit fit;
	struct text text;

	uint64_t newest; /* largest tick seen */
	uint64_t serial; /* counts uses and facts */
	uint64_t end_ticks;
	uint64_t collector_cpu_ns, no_ring_lost;
	uint64_t dropped_events;
	uint64_t n_nodes; /* of all graphs */
	/* of streams that are no longer kept, and events of none */
	uint64_t past_stored, past_invalid, past_operators, past_emitted, past_lost;
	uint64_t warm_requests;
	uint64_t requests_total, output_tokens;
	uint64_t spans_floor, spans_past;
	struct lmm_hist ttft, tpot, itl, duration;

	struct base *bases;
	uint16_t *base_slots;
	struct key *keys;
	uint16_t *key_slots;
	struct process *processes;
	struct model *models;
	struct load *loads;
	struct device_name *device_names;
	struct queue *queues;
	struct named *named;
	struct device_clock *device_clocks;
	struct stream **streams;
	struct flight *flights;
	uint64_t *flights_used; /* a bit for each place that is taken */
	struct ledger *main;
	struct ledger *warm;
	struct context *contexts;
	struct fact *facts; /* a heap */
	struct step *steps;
	struct tokenize *tokenizes; /* in order of arrival */
	struct idle *idles;
	struct request *requests;
	struct done *done;
	struct span spans[LMM_I_SPANS]; /* when requests ran: disjoint, in order */
	struct reason reasons[LMM_I_REASONS];
	struct sensors *sensors;
	struct moments *moments;
	struct token_watch tokens;

	uint32_t n_bases, n_keys, n_processes, n_models, n_loads, n_device_names, n_queues,
		n_device_clocks, n_named;
	struct lmm_hist device_errors; /* of placing device stamps, session ticks */
	uint64_t device_early; /* commands that seem to have started before they were handed over */
	uint64_t device_unavailable, device_failed, device_disordered;
	struct windows windows;
	uint64_t gaps_apart;  /* of requests that are done, */
	struct shifts shifts; /* likewise */
	struct refusals refusals;
	/* in timed steps: ticks of brackets of phase h, and how many of them were the device's for phase d */
	uint64_t away_of[LMM_PHASE_COUNT];
	uint64_t away_to[LMM_PHASE_COUNT][LMM_PHASE_COUNT];
	uint32_t n_contexts, n_facts, facts_max, n_tokenizes, n_idles, n_requests, n_done, n_spans,
		n_reasons;
	uint32_t next_context; /* serial of the newest one */
	uint32_t cpu;	       /* text: device of operators */
	uint32_t clock_error_ns;
	int32_t exit_status;
	uint8_t has_end;
	uint8_t past_has_loss;
	uint8_t failed; /* sticky -ENOMEM */
};

/* ---- text.c ------------------------------------------------------------------------------------- */

uint32_t lmm__text_add(struct text *x, const char *s); /* 0 if it does not fit */
void lmm__text_free(struct text *x);
int lmm__text_rehash(struct text *x); /* after data was loaded; -1: not well-formed or no memory */
int lmm__text_is_valid(const struct text *x, uint32_t id);

static inline const char *lmm__text(const struct text *x, uint32_t id)
{
	return id < x->n ? x->data + id : "";
}

uint16_t lmm__base(struct lmm_analysis *a, const struct base *b);
uint16_t lmm__key(struct lmm_analysis *a, const struct key *k);
void lmm__names_rehash(struct lmm_analysis *a);

/* ---- named.c ------------------------------------------------------------------------------------ */

void lmm__name_put(struct lmm_analysis *a, const struct lmm_name *from);
void lmm__named_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);

/* ---- ledger.c ----------------------------------------------------------------------------------- */

struct ledger *lmm__ledger_create(void);
void lmm__ledger_destroy(struct ledger *l);
int lmm__ledger_merge(struct ledger *into, const struct ledger *from);
int lmm__ledger_grow_kernels(struct ledger *l, uint32_t n);
int lmm__ledger_grow_bins(struct ledger *l, uint32_t n);
int lmm__ledger_grow_layers(struct ledger *l, uint32_t n);
void lmm__ledger_bin(struct ledger *l, uint64_t position, uint64_t ticks);
void lmm__hist_add(struct lmm_hist *h, uint64_t v);

static inline void lmm__split_add(struct split *s, uint64_t v, int is_first)
{
	lmm_hist_add(is_first ? &s->first : &s->steady, v);
}

static inline uint64_t lmm__split_sum(const struct split *s)
{
	return s->steady.sum + s->first.sum;
}

static inline uint64_t lmm__split_count(const struct split *s)
{
	return s->steady.count + s->first.count;
}

/* ---- graph.c ------------------------------------------------------------------------------------ */

const char *lmm__weight_type(const struct lmm_node *n); /* "" if it uses no weight */
int lmm__graph_put(struct lmm_analysis *a, uint32_t process, const struct lmm_graph *from);
struct graph *lmm__graph_find(struct lmm_analysis *a, uint32_t process, uint32_t id);
struct graph *lmm__graph_peek(struct lmm_analysis *a, uint32_t process,
			      uint32_t id); /* is no use of it */
struct graph *lmm__graph_new(struct lmm_analysis *a, uint32_t process, uint32_t id, uint32_t n);
void lmm__graph_free(struct graph *g);
uint32_t lmm__process_slot(const struct lmm_analysis *a, uint32_t index);

/* ---- stage 1: stream.c, operators.c, device.c --------------------------------------------------- */

int lmm__events(struct lmm_analysis *a, const struct lmm_events *batch);
struct stream *lmm__stream(struct lmm_analysis *a, uint32_t index); /* NULL: not known */
int lmm__stream_put(struct lmm_analysis *a, const struct lmm_stream *from);
void lmm__stream_loss(struct lmm_analysis *a, const struct lmm_loss *l);
void lmm__stream_event(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
void lmm__load_flush(struct lmm_analysis *a, struct stream *s, uint64_t bytes, uint64_t faults);

/* Takes the operators that ev begins with; returns how many. */
uint32_t lmm__ops(struct lmm_analysis *a, struct stream *s, const struct lmm_event *ev, uint32_t n);
void lmm__graph_begin(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
void lmm__graph_end(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
void lmm__epoch(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
void lmm__ops_lost(struct stream *s);
/* After anything that changes where a context's sums go, or that frees a graph. */
void lmm__runs_resettle(struct lmm_analysis *a);
void lmm__runs_forget(struct lmm_analysis *a, const struct graph *g);

/* An embedding operator ran from t0 to t1 within the stream's innermost phase. */
void lmm__embedding(struct lmm_analysis *a, struct stream *s, uint64_t t0, uint64_t t1);

/*
 * busy.c: returns how much of [t0, t1) was not busy before. What lies no further than `near` behind an interval of the same
 * phase and step counts as its continuation: that the device stood still in between cannot be told.
 */
uint64_t lmm__busy_add(struct lmm_analysis *a, uint32_t process, const struct busy *from,
		       uint64_t near);
/*
 * What of [t0, t1) devices of the process worked for others than phase and step: at most LMM_I_PARTS parts.
 * Returns their number.
 */
unsigned lmm__busy_parts(const struct lmm_analysis *a, uint32_t process, const struct busy *bracket,
			 struct busy_part *parts);

/* device_gap.c */
/* How long the device only had to begin this command, which it had been handed before: that time is the command's. */
uint64_t lmm__device_gap(struct queue *q, const struct flight *f, unsigned kind,
			 const struct busy *b, uint64_t error, struct ledger *l);

/* The first place from `at` on that is taken; LMM_I_FLIGHT: none. */
uint32_t lmm__flight_next(const struct lmm_analysis *a, uint32_t at);
void lmm__flight_use(struct lmm_analysis *a, uint32_t at, int is_used);
void lmm__device_lost(struct lmm_analysis *a, uint32_t process);
/* COMMAND, COMMAND_UNTIMED, COMPLETION, DEVICE_CLOCK, DEVICE_GRAPH, HARVEST. */
void lmm__device_event(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
/* Of the step something is true that makes it another kind of step. */
void lmm__step_mark(struct lmm_analysis *a, const struct stream *s, uint64_t t, uint32_t step,
		    unsigned kind, uint64_t ticks);

/* The context of a step that the stream has begun, not too long ago; 0: not known. */
static inline uint32_t lmm__stream_context(const struct stream *s, uint32_t step)
{
	if (s->step == step)
		return s->step_context;
	return step != LMM_STEP_NONE && s->passed[step % LMM_I_PASSED].step == step
		       ? s->passed[step % LMM_I_PASSED].context
		       : 0;
}

/* window.c */
void lmm__window_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
void lmm__calls_take(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e);
/* n: NULL for what belongs to no node, and so to no layer. */
void lmm__layer_add(struct ledger *l, const struct graph_node *n, unsigned phase, uint32_t step,
		    uint64_t ticks);
unsigned lmm__role_part(unsigned role);

/* ---- context.c ---------------------------------------------------------------------------------- */

struct context *lmm__context_get(struct lmm_analysis *a, uint32_t process, uint32_t id, uint64_t t);
struct context *lmm__context(struct lmm_analysis *a, uint32_t serial); /* NULL: gone */
void lmm__context_hint(struct lmm_analysis *a, struct stream *s, const struct lmm_event *e,
		       uint32_t *serial);
void lmm__context_decide(struct lmm_analysis *a, struct context *c);
/* What it did before t was warm-up. */
void lmm__context_warm(struct lmm_analysis *a, struct context *c, uint64_t t);
void lmm__context_free(struct lmm_analysis *a, struct context *c);
struct ledger *lmm__ledger_now(struct lmm_analysis *a, uint32_t serial);
struct ledger *lmm__ledger_at(struct lmm_analysis *a, uint32_t serial, uint64_t t);

/* ---- stage 2: fact.c, sequence.c, request.c, close.c -------------------------------------------------------- */

void lmm__fact_push(struct lmm_analysis *a, struct fact *f);
void lmm__facts_flush(struct lmm_analysis *a);
void lmm__facts_until(struct lmm_analysis *a, uint64_t t);	   /* those that end by then */
void lmm__fact_take(struct lmm_analysis *a, const struct fact *f); /* in order of time */

void lmm__request_close(struct lmm_analysis *a, struct request *r, int is_complete);
void lmm__requests_close(struct lmm_analysis *a, uint32_t context); /* all open ones of it */
void lmm__requests_decided(struct lmm_analysis *a, const struct context *c);
void lmm__requests_warm(struct lmm_analysis *a, const struct context *c, uint64_t t);
struct request *lmm__request_find(struct lmm_analysis *a, uint32_t context, uint16_t seq);
struct request *lmm__request_only(struct lmm_analysis *a,
				  uint32_t context); /* NULL: none or several */
void lmm__request_set_mark(struct lmm_analysis *a, struct request *r, unsigned kind, uint64_t t);
/* Where the program itself said that it begins; NULL: it did not. */
struct tokenize *lmm__request_begin(const struct lmm_analysis *a, const struct request *r);
/* It ends with whatever of it came last, not with its last detokenize. */
void lmm__request_end_last(struct lmm_analysis *a, struct request *r);
uint64_t lmm__tokens_chosen(struct lmm_analysis *a, const struct request *r);
void lmm__guesses_forget(struct lmm_analysis *a, uint32_t context);
struct step *lmm__step_find(struct lmm_analysis *a, uint32_t process, uint32_t id);
void lmm__step_name(struct lmm_analysis *a, struct step *st, const struct fact *f);
void lmm__step_flush(struct lmm_analysis *a, struct step *st);
void lmm__steps_flush(struct lmm_analysis *a, const struct context *c);
void lmm__step_take(struct lmm_analysis *a, const struct fact *f);
void lmm__seq_take(struct lmm_analysis *a, const struct fact *f);
void lmm__request_gap(struct request *r, const struct step *st, uint64_t ticks);
void lmm__request_guess(struct lmm_analysis *a, struct request *r);
/* Where the request ends as far as is known; NULL: nothing of it has ended yet. */
const struct mark *lmm__request_mark(const struct request *r);

/* Closes and decides everything: for a private copy whose result is wanted. */
/* Takes all that waits for an earlier record: none will come. */
void lmm__settle(struct lmm_analysis *a);
void lmm__finish(struct lmm_analysis *a); /* and closes what is open */
/* Tokens that count for good. */
uint64_t lmm__tokens_settled(struct lmm_analysis *a);
int lmm__references_check(struct lmm_analysis *a); /* of what was loaded: 0 or LMM_E_CORRUPT */
void lmm__analysis_clear(struct lmm_analysis *a);  /* frees what it holds, not itself */

static inline uint64_t lmm__minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
