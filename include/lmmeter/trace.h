/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmmeter/trace.h: read a .lmt trace.
 *
 * A trace is a sequence of items: what the session was, which processes and threads took part, what the
 * engine's graphs look like, and batches of time-stamped events of one thread ("stream"). The same items
 * flow from the collector to the file, to the analysis and to the exporters, so whoever understands this
 * header understands all of lmmeter.
 *
 *	struct lmm_trace *tr;
 *	const struct lmm_item *it;
 *	int rc = lmm_trace_open("run.lmt", &tr);
 *	while (rc == 0 && (rc = lmm_trace_next(tr, &it)) > 0)
 *		if (it->kind == LMM_ITEM_EVENTS)
 *			use(it->events.stream, it->events.ev, it->events.n);
 *	lmm_trace_close(tr);
 *
 * Thread-safety: one lmm_trace must be used by one thread at a time; two are independent. No function
 * prints, exits or installs signal handlers. Every function that returns int returns 0 (or a count) for
 * success and a negative errno or LMM_E* for failure; lmm_strerror() explains either.
 * All integers in memory and in the file are little-endian; big-endian hosts are not supported.
 */
#ifndef LMMETER_TRACE_H
#define LMMETER_TRACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(LMM_API)
/* the includer has decided, e.g. to hide what it links statically */
#elif defined(__GNUC__)
#define LMM_API __attribute__((visibility("default")))
#else
#define LMM_API
#endif

/* ---- errors beyond errno ------------------------------------------------------------------------ */

enum {
	LMM_E_NOT_LMT = -10001,	  /* the file does not begin with the .lmt signature */
	LMM_E_VERSION = -10002,	  /* written by a newer, incompatible lmmeter */
	LMM_E_CORRUPT = -10003,	  /* a checksum or a bound failed */
	LMM_E_CODEC = -10004,	  /* coded in a way that this build cannot read */
	LMM_E_ENDIAN = -10005,	  /* big-endian host */
	LMM_E_LIMIT = -10006,	  /* a stated limit of the format is exceeded */
	LMM_E_NO_ENGINE = -10007, /* no engine was seen */
};

/* A static, never NULL text for 0, a negative errno or an LMM_E* code. Thread-safe. */
LMM_API const char *lmm_strerror(int err);

/* ---- vocabulary --------------------------------------------------------------------------------- */

/* A part of a step that users know by name. Numbers are stored in files: append only. */
enum lmm_phase {
	LMM_PHASE_NONE = 0,
	LMM_PHASE_MODEL_LOAD = 1,
	LMM_PHASE_CONTEXT_INIT = 2,
	LMM_PHASE_WAITING =
		3, /* a request waits for its turn; made by the analysis, never recorded */
	LMM_PHASE_TOKENIZE = 4,
	LMM_PHASE_EMBEDDING = 5, /* made by the analysis from the kernels of role EMBEDDING */
	LMM_PHASE_PREFILL = 6,
	LMM_PHASE_DECODE = 7,
	LMM_PHASE_COPY_TO_CPU = 8,
	LMM_PHASE_SOFTMAX = 9,
	LMM_PHASE_SAMPLING = 10,
	LMM_PHASE_DETOKENIZE = 11,
	LMM_PHASE_DRAFT = 12,  /* speculative decoding: the draft model's steps */
	LMM_PHASE_VERIFY = 13, /* speculative decoding: the target model's check of a draft */
	LMM_PHASE_UNACCOUNTED = 14,
	LMM_PHASE_COUNT
};

/* What a graph node is there for. Stored in files: append only. */
enum lmm_role {
	LMM_ROLE_OTHER = 0,
	LMM_ROLE_ATTENTION = 1,
	LMM_ROLE_MLP = 2,
	LMM_ROLE_NORM = 3,
	LMM_ROLE_EMBEDDING = 4,
	LMM_ROLE_LM_HEAD = 5,
	LMM_ROLE_COUNT
};

/* "prefill", "copy_to_cpu", …; "?" for a number this build does not know. Static, thread-safe. */
LMM_API const char *lmm_phase_name(unsigned phase);
LMM_API const char *lmm_role_name(unsigned role);

/* ---- events ------------------------------------------------------------------------------------- */

/*
 * What happened. Types below LMM_EV_WIDE use only the first 16 bytes of struct lmm_event (a and b are 0).
 * Stored in files and in shared memory: append only.
 */
enum lmm_event_type {
	LMM_EV_NONE = 0,
	/* An operator starts on this thread; id: its node index in the graph that runs (LMM_NODE_UNKNOWN if
	 * it could not be resolved). It ends where the next OP, OP_FUSED or GRAPH_END of the stream begins. */
	LMM_EV_OP = 1,
	/* The same, and the engine runs the next node of the graph fused into it. */
	LMM_EV_OP_FUSED = 2,
	/* phase, seq, id: step. Phases of one stream nest; the innermost is the one that counts. */
	LMM_EV_PHASE_BEGIN = 3,
	LMM_EV_PHASE_END = 4,
	/* id: graph. */
	LMM_EV_GRAPH_END = 5,
	/* A token of sequence seq was chosen in step id. */
	LMM_EV_TOKEN = 6,
	/* The thread arrives at the barrier behind (or inside) its operator; only with --threads all. */
	LMM_EV_BARRIER = 7,

	LMM_EV_WIDE = 0x40,
	/* id: graph; a: address of node 0 (shared memory only, 0 in files); b: step | epoch << 32. */
	LMM_EV_GRAPH_BEGIN = 0x40,
	/* A forward pass begins. id: step; phase: PREFILL, DECODE, DRAFT or VERIFY; a: tokens | outputs << 32;
	 * b: context (a small number) | engine call << 32 (passes of one call share it). */
	LMM_EV_STEP = 0x41,
	/* One sequence's part of step id. a: tokens | outputs << 32; b: first position, or LMM_POS_ABSENT. */
	LMM_EV_SEQ = 0x42,
	/* The stream was in no phase from t to a (both stamps read for this). id: step that went before. */
	LMM_EV_UNACCOUNTED = 0x43,
	/* A number that belongs to the phase just ended; phase; id: step; a: value (tokens for TOKENIZE,
	 * bytes for COPY_TO_CPU and MODEL_LOAD); b: for MODEL_LOAD minor | major << 32 page faults. */
	LMM_EV_COUNT = 0x44,
	/* Something that helps to tell requests apart: phase: enum lmm_hint; seq; a: context; b: detail. */
	LMM_EV_HINT = 0x45,
	/* A device command was handed over. t: before the call; id: command number (unique in its queue);
	 * seq: queue; phase; a: kernel | node << 32 (of the graph that DEVICE_GRAPH named last on this stream);
	 * b: step | bytes or work items, saturated, << 32. */
	LMM_EV_COMMAND = 0x46,
	/* That command has ended. t: device start; id: command number; seq: queue; a: device duration;
	 * b: queued→submit | submit→start << 32, all in device ticks, saturated; phase: enum lmm_completion. */
	LMM_EV_COMPLETION = 0x47,
	/* This ring now belongs to another thread. a: thread id. (Shared memory only; a new stream in files.) */
	LMM_EV_THREAD = 0x48,
	/* Events were lost here because the ring was full. a: how many since the last such event. */
	LMM_EV_LOST = 0x49,
	/* A worker thread joins a graph run. id: graph; a, b: as in GRAPH_BEGIN of the same epoch. */
	LMM_EV_EPOCH = 0x4a,
	/* A device command was handed over whose time is not asked for, to stay inside the budget (or because nothing
	 * can tell it): as COMMAND, but id is 0 (1: the program repeated what it had done before, and all of that was recorded at
	 * once) and no COMPLETION follows. */
	LMM_EV_COMMAND_UNTIMED = 0x4b,
	/* Commands of this stream that follow work for nodes of graph id. b: step. With phase 1: they were handed over within a command
	 * buffer, which is kernel id (0: they were not); a: 1 with the first of each time it was. */
	LMM_EV_DEVICE_GRAPH = 0x4c,
	/* One instant on both clocks: t - (b >> 32) on the session's, a on that of device id, in its own ticks; the former
	 * may be off by b & 0xffffffff ticks to either side. Stands before the COMPLETIONs that it helps to place. */
	LMM_EV_DEVICE_CLOCK = 0x4d,
	/* The recording itself read the times of id commands, in the traced process, from a to t. */
	LMM_EV_HARVEST = 0x4e,
	/* A device's driver made something ready for the first time, from a to t: compiled a program (b 0) or took kernel b's
	 * first launch, in which many compile. phase; id: step. */
	LMM_EV_FIRST_USE = 0x4f,
	/* A span that the program itself named has ended at t. id: its NAME; a: how long it took; phase: spans of this thread
	 * that were open around it; b: step that went before (LMM_STEP_NONE: none). */
	LMM_EV_SPAN = 0x50,
	/* The recording of kernels in windows, which slows the program while one is open; phase: enum lmm_window. */
	LMM_EV_WINDOW = 0x51,
	/* What handing commands to a device cost this thread in step id, since the last such event: a: ticks | calls << 32; b: ticks in which
	 * it waited for the device | waits << 32, saturated; phase: the step's. */
	LMM_EV_CALLS = 0x52,
	/* What was handed over is pattern id, n of COMMAND_UNTIMED at once. t, phase, seq: of each; a: n; b: step. (Shared memory
	 * only; in files they stand one by one.) */
	LMM_EV_PATTERN = 0x53,
	LMM_EV_TYPE_END
};

enum lmm_window {
	LMM_WINDOW_STEP =
		0, /* step id takes longer than it would: a window is open, or opens or closes in it */
	LMM_WINDOW_STALL =
		1, /* lmmeter held the thread up from a to t; b: 0 to open, 1 to close; id: step */
	LMM_WINDOW_RECORDS =
		2, /* id: steps; a: records | those that were expected << 32; b: records of no known call */
	LMM_WINDOW_LOSS =
		3, /* a: records that found no room; b: those with senseless stamps, dropped */
	LMM_WINDOW_CHECK =
		4, /* in the same steps: a: union of the records, b: by events around them; both ns */
	LMM_WINDOW_END =
		5, /* it was open from a to t, for id steps, which took b longer without the stalls */
	LMM_WINDOW_COUNT
};

/* What is known of a command's time. */
enum lmm_completion {
	LMM_COMPLETION_OK = 0,
	LMM_COMPLETION_UNAVAILABLE = 1, /* the driver gives no times for it */
	LMM_COMPLETION_DISORDERED =
		2, /* zeros, or not queued <= submitted <= started <= ended; never mended */
	LMM_COMPLETION_FAILED = 3, /* the command ended with an error */
};

/* What a device kernel is. Stored in files: append only. */
enum lmm_kernel_kind {
	LMM_KERNEL_PROGRAM = 0, /* a kernel of a program */
	LMM_KERNEL_READ = 1,	/* device to host */
	LMM_KERNEL_WRITE = 2,
	LMM_KERNEL_COPY = 3,
	LMM_KERNEL_FILL = 4,
	LMM_KERNEL_MAP = 5,
	LMM_KERNEL_UNMAP = 6,
	LMM_KERNEL_MARKER =
		7, /* marker or barrier: it does no work, its time is not the device's */
	LMM_KERNEL_MIGRATE = 8,
	LMM_KERNEL_COMMAND_BUFFER = 9, /* a whole submission of recorded kernels */
	LMM_KERNEL_PASS =
		10, /* no command of the program: all that a step handed to a queue in one phase, timed as a whole */
	LMM_KERNEL_KIND_COUNT
};

/* "read", …, "kernel" for PROGRAM; "?" likewise. */
LMM_API const char *lmm_kernel_kind_name(unsigned kind);

enum lmm_hint {
	LMM_HINT_MEMORY_CLEAR = 1, /* the context's KV memory was emptied */
	LMM_HINT_SEQ_RM = 2,	   /* sequence seq lost the positions from b on */
	LMM_HINT_PERF_RESET = 3,   /* the engine declared what went before a warm-up */
	LMM_HINT_WARMUP_ON = 4,
	LMM_HINT_WARMUP_OFF = 5,
	LMM_HINT_CONTEXT_NEW = 6, /* a: context */
	LMM_HINT_CONTEXT_FREE = 7,
	LMM_HINT_RECORDING_ON = 8, /* recording was switched on in mid-life */
	LMM_HINT_RECORDING_OFF = 9,
	LMM_HINT_REQUEST_BEGIN = 10, /* a request that the program calls seq arrives */
	LMM_HINT_REQUEST_END = 11,   /* it is over */
	LMM_HINT_SEQ_SHIFT =
		12, /* the newest positions of seq moved down by b, to where others were dropped */
	LMM_HINT_NO_ROOM =
		13, /* the context had no room for the tokens of the call whose first step is b */
};

#define LMM_SEQ_NONE	 0xffffu     /* no sequence id, or one that does not fit */
#define LMM_NODE_UNKNOWN 0xffffffffu /* an operator whose node is not in the described graph */
#define LMM_STEP_NONE	 0xffffffffu
#define LMM_POS_ABSENT	 ((uint64_t)-1)

/*
 * One event. t is in raw ticks of the session's clock (struct lmm_session.clock); durations are differences
 * of ticks; lmm_trace_ns() gives nanoseconds of CLOCK_MONOTONIC.
 */
struct lmm_event {
	uint64_t t;
	uint8_t type;  /* enum lmm_event_type */
	uint8_t phase; /* enum lmm_phase, or as the type says */
	uint16_t seq;
	uint32_t id;
	uint64_t a;
	uint64_t b;
};

static inline int lmm_event_is_wide(unsigned type)
{
	return type >= LMM_EV_WIDE;
}

/* LOST and THREAD speak of the recording itself: they are not counted as records. */
static inline int lmm_event_is_meta(unsigned type)
{
	return type == LMM_EV_LOST || type == LMM_EV_THREAD;
}

/* ---- sensors ------------------------------------------------------------------------------------ */

/*
 * What a sensor tells, and in which unit its values are stored. Sums begin at 0 with the sensor's first sample and never go
 * back. Stored in files: append only.
 */
enum lmm_sensor_kind {
	LMM_SENSOR_FREQUENCY = 1,   /* hz */
	LMM_SENSOR_GOVERNOR = 2,    /* index into lmm_sensor.states */
	LMM_SENSOR_TEMPERATURE = 3, /* thousandths of a degree Celsius */
	LMM_SENSOR_COOLING = 4, /* how far a cooling device slows its part down; 0: not at all */
	LMM_SENSOR_THROTTLE_COUNT = 5,	 /* sum of events */
	LMM_SENSOR_THROTTLE_TIME = 6,	 /* sum, us */
	LMM_SENSOR_THROTTLE_REASONS = 7, /* bits that hold a clock down, 0: none */
	LMM_SENSOR_ENERGY = 8,		 /* sum, uj */
	LMM_SENSOR_POWER = 9,		 /* uw */
	LMM_SENSOR_STALL = 10,		 /* sum of the time in which tasks waited for memory, us */
	LMM_SENSOR_MEMORY = 11,		 /* bytes available */
	LMM_SENSOR_LOAD = 12,		 /* share of time in which it was busy, thousandths */
	LMM_SENSOR_VOLTAGE = 13,	 /* uv */
	LMM_SENSOR_CURRENT = 14,	 /* ua */
	/* Sum, us: of the traced process's threads that were ready to run and had no core, the one that waited most. */
	LMM_SENSOR_RUN_WAIT = 15,
	LMM_SENSOR_MAJOR_FAULTS = 16, /* sum of its page faults that were read from a disk */
	LMM_SENSOR_MINOR_FAULTS = 17, /* sum of its others */
	LMM_SENSOR_KIND_COUNT
};

/* Which part of the machine. Stored in files: append only. */
enum lmm_component {
	LMM_COMPONENT_OTHER = 0,
	LMM_COMPONENT_CPU = 1,
	LMM_COMPONENT_GPU = 2,
	LMM_COMPONENT_MEMORY = 3,
	LMM_COMPONENT_PACKAGE = 4, /* CPU cores and what is on their chip */
	LMM_COMPONENT_BOARD = 5,   /* all of the machine */
	LMM_COMPONENT_BATTERY = 6, /* all of the machine, while it discharges */
	LMM_COMPONENT_SOC = 7,	   /* the rest of a chip */
	LMM_COMPONENT_CPU_GPU = 8, /* CPU and GPU together */
	LMM_COMPONENT_PROCESS = 9, /* the traced process */
	LMM_COMPONENT_COUNT
};

/* "frequency", …, and "cpu", …; "?" for a number this build does not know. Static, thread-safe. */
LMM_API const char *lmm_sensor_kind_name(unsigned kind);
LMM_API const char *lmm_component_name(unsigned component);

/* Sensors are numbered 0 … LMM_SENSORS_MAX - 1 in a trace. */
#define LMM_SENSORS_MAX 1024u

static inline int lmm_sensor_is_sum(unsigned kind)
{
	return kind == LMM_SENSOR_THROTTLE_COUNT || kind == LMM_SENSOR_THROTTLE_TIME ||
	       kind == LMM_SENSOR_ENERGY || kind == LMM_SENSOR_STALL ||
	       kind == LMM_SENSOR_RUN_WAIT || kind == LMM_SENSOR_MAJOR_FAULTS ||
	       kind == LMM_SENSOR_MINOR_FAULTS;
}

/* ---- items -------------------------------------------------------------------------------------- */

enum lmm_item_kind {
	LMM_ITEM_SESSION = 1,
	LMM_ITEM_PROCESS = 2,
	LMM_ITEM_STREAM = 3,
	LMM_ITEM_MODEL = 4,
	LMM_ITEM_GRAPH = 5,
	LMM_ITEM_CLOCK = 6,
	LMM_ITEM_EVENTS = 7,
	LMM_ITEM_REASON = 8,
	LMM_ITEM_KERNEL = 9,	  /* a device kernel object */
	LMM_ITEM_QUEUE = 10,	  /* a device queue */
	LMM_ITEM_CHECKPOINT = 11, /* the analysis after all items before this one */
	LMM_ITEM_LOSS = 12,	  /* the counters of one stream, newest wins */
	LMM_ITEM_DROPPED = 13,	  /* event batches that --max-size took out of the file */
	LMM_ITEM_PROCESS_END = 14,
	LMM_ITEM_END = 15,     /* the recording was closed in good order */
	LMM_ITEM_SENSOR = 16,  /* something of the machine that is sampled, or why it is not */
	LMM_ITEM_SAMPLES = 17, /* what all sensors said at one time */
	LMM_ITEM_NAME = 18,    /* what spans are called */
};

enum lmm_clock_kind {
	LMM_CLOCK_MONOTONIC = 0, /* ticks are ns of CLOCK_MONOTONIC */
	LMM_CLOCK_TSC = 1,	 /* x86 time stamp counter */
	LMM_CLOCK_CNTVCT = 2,	 /* ARM generic timer */
};

/* Strings of all items: UTF-8 as the engine gave them, NUL-terminated, never NULL, owned by the trace and
 * valid until the next lmm_trace_next(). */

struct lmm_session {
	const char *id;		    /* 32 hex digits */
	const char *lmmeter;	    /* version that wrote it */
	const char *command_name;   /* file name of the command */
	const char *command_line;   /* with the values of prompt-carrying options blanked */
	const char *host_os;	    /* "Linux 6.1.0 x86_64" */
	const char *host_cpu;	    /* "AMD EPYC" */
	uint32_t host_cpus;	    /* logical CPUs on line */
	uint64_t host_memory_bytes; /* physical memory */
	uint8_t clock;		    /* enum lmm_clock_kind */
	uint8_t threads_all;	    /* 1: every compute thread records its operators */
	uint8_t embedded;	    /* 1: written from within the traced process */
	uint64_t start_ticks;
	uint64_t start_realtime_ns; /* CLOCK_REALTIME at start_ticks */
};

struct lmm_process {
	uint32_t process; /* index in this trace */
	int32_t pid;
	int32_t parent_pid;
	const char *name;	    /* file name of the executable */
	const char *engine_name;    /* "llama.cpp" */
	const char *engine_version; /* "0.25.1 (b179c95)", "" if the engine does not say */
	const char *door;	    /* "preload", "audit", "mark" */
	uint64_t start_ticks;
	uint32_t op_cost_ps;   /* calibrated cost of recording one operator, ps */
	uint32_t pair_cost_ps; /* calibrated cost of one PHASE_BEGIN/END pair, ps */
	uint8_t joined;	       /* 1: its engine was at work already when recording began in it */
};

struct lmm_stream {
	uint32_t stream; /* index in this trace */
	uint32_t process;
	uint32_t ring; /* ring it was read from */
	int32_t tid;
};

struct lmm_model {
	uint32_t process;
	const char *name;	 /* general.name */
	const char *description; /* "llama 135M Q4_1" */
	const char *architecture;
	const char *quantization;
	const char *file; /* file name without its folder */
	uint64_t size_bytes;
	uint64_t parameters;
	uint32_t layers;
	uint32_t vocabulary;
	uint32_t embedding;
};

#define LMM_NODE_SRC_MAX 4

struct lmm_tensor_shape {
	const char *type; /* "f32", "q4_1" */
	int64_t ne[4];
};

/* An operator of a graph; described once. Bytes and FLOPs: docs/format.md says how they are counted. */
struct lmm_node {
	const char *name;   /* tensor name, "ffn_gate-3" */
	const char *op;	    /* "MUL_MAT" */
	const char *weight; /* name of the weight it uses, "" if none */
	int32_t layer;	    /* -1: none */
	uint8_t role;	    /* enum lmm_role */
	uint8_t n_src;
	uint8_t runs; /* 0: a view or an empty tensor, which no device executes */
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t flops;
	struct lmm_tensor_shape out;
	struct lmm_tensor_shape src[LMM_NODE_SRC_MAX];
};

struct lmm_graph {
	uint32_t process;
	uint32_t graph; /* unique in its process */
	uint32_t n_nodes;
	uint32_t n_tokens; /* batch width as read off the graph, 0 if it could not be told */
	const struct lmm_node *nodes;
};

/* mono_ns = CLOCK_MONOTONIC at ticks, read with an uncertainty of ±error_ns. */
struct lmm_clock {
	uint64_t ticks;
	uint64_t mono_ns;
	uint32_t error_ns;
};

/*
 * ring_from and ring_to: position in the ring of the first event and behind the last; they let a recovery go on where the
 * file ends. 0, 0 if there is no ring. Of a batch that is stored in parts, only the last one moves ring_to.
 */
struct lmm_events {
	uint32_t stream;
	uint32_t n;
	const struct lmm_event *ev;
	uint64_t ring_from;
	uint64_t ring_to;
};

enum lmm_level {
	LMM_LEVEL_OFF = 0,
	LMM_LEVEL_COUNTS = 1,
	LMM_LEVEL_PHASES = 2,
	LMM_LEVEL_KERNELS = 3,
};

/* Why the level is what it is, or anything else that the user should know, said once per process. */
struct lmm_reason {
	uint32_t process;
	uint8_t level; /* enum lmm_level this reason allows at the most; LMM_LEVEL_KERNELS: only a remark */
	const char *text;
};

struct lmm_kernel {
	uint32_t process;
	uint32_t kernel; /* unique in its process */
	const char *name;
	const char *device;
	uint8_t kind;	       /* enum lmm_kernel_kind */
	uint64_t program_hash; /* kernels of one name in different programs differ in it; 0: none */
};

struct lmm_queue {
	uint32_t process;
	uint16_t queue;
	const char *device;
	uint64_t ticks_per_second; /* of the device clock in COMPLETION events; 0: session clock */
	uint32_t device_number;	   /* in its process; queues of one device share its clock */
	uint8_t out_of_order;	   /* 1: commands of the queue may overlap */
};

struct lmm_checkpoint {
	const void *data;
	size_t size_bytes;
};

struct lmm_loss {
	uint32_t stream;
	uint64_t emitted; /* stored + lost, as the recording thread counted */
	uint64_t lost;
};

/* A name that SPAN events of its process give by number. */
struct lmm_name {
	uint32_t process;
	uint32_t number; /* unique in its process */
	const char *text;
};

/* Sums since the beginning: the newest wins, and a CHECKPOINT that comes later does not take them back. */
struct lmm_dropped {
	uint64_t batches;
	uint64_t events;
};

struct lmm_process_end { /* absent when the process went on */
	uint32_t process;
	uint64_t ticks;
};

struct lmm_sensor {
	uint32_t sensor;   /* index in this trace */
	uint8_t kind;	   /* enum lmm_sensor_kind */
	uint8_t component; /* enum lmm_component */
	const char *name;  /* "policy0", "x86_pkg_temp", "package-0", … */
	const char *
		unit; /* of the stored values, as enum lmm_sensor_kind says: "hz", "millicelsius", "uj", … */
	const char *source; /* file or function that it is read from */
	const char *states; /* GOVERNOR: names, separated by blanks; else "" */
	const char *absent; /* "": it is sampled; else why not, and no sample names it */
	int64_t limit; /* largest value that it can have (FREQUENCY, COOLING, MEMORY), 0: not known */
	uint32_t
		part_of; /* 1 + number of the sensor whose energy or power includes this one's; 0: none */
};

struct lmm_sample {
	uint32_t sensor;
	int64_t value;
};

/* Sensors that said nothing are left out. In ascending order of sensor. */
struct lmm_samples {
	uint64_t ticks;
	uint32_t n;
	const struct lmm_sample *samples;
};

struct lmm_end {
	uint64_t ticks;
	int32_t exit_status;	   /* of the command, as wait(2) gives it; -1 if it is not known */
	uint64_t collector_cpu_ns; /* CPU time of the lmmeter process */
	uint64_t no_ring_lost;	   /* records of threads that got no ring */
};

struct lmm_item {
	enum lmm_item_kind kind;
	union {
		struct lmm_session session;
		struct lmm_process process;
		struct lmm_stream stream;
		struct lmm_model model;
		struct lmm_graph graph;
		struct lmm_clock clock;
		struct lmm_events events;
		struct lmm_reason reason;
		struct lmm_kernel kernel;
		struct lmm_queue queue;
		struct lmm_name name;
		struct lmm_checkpoint checkpoint;
		struct lmm_loss loss;
		struct lmm_dropped dropped;
		struct lmm_process_end process_end;
		struct lmm_end end;
		struct lmm_sensor sensor;
		struct lmm_samples samples;
	};
};

/*
 * Takes items one after the other; the collector, the writer, the analysis and the exporters all speak this.
 * The item and all it points to are valid during the call only. Returns 0 or a negative error.
 */
typedef int (*lmm_sink_fn)(void *ctx, const struct lmm_item *item);

/* ---- reader ------------------------------------------------------------------------------------- */

struct lmm_trace;

/* How the file ended, known after lmm_trace_next() returned 0 or an error. */
enum lmm_trace_state {
	LMM_TRACE_READING = 0,
	LMM_TRACE_COMPLETE = 1, /* closed in good order */
	LMM_TRACE_CUT =
		2, /* ends early: the recording lmmeter was killed, or the file was truncated */
	LMM_TRACE_CORRUPT = 3, /* a chunk failed its checks; reading stopped before it */
};

/*
 * Open path, a regular file. 0: *out must be closed with lmm_trace_close(). Negative errno, LMM_E_NOT_LMT,
 * LMM_E_VERSION, LMM_E_CORRUPT (its header) or LMM_E_ENDIAN otherwise, and *out is NULL. Memory in use is bounded by the
 * largest item, not by the file: 64 MiB for a chunk as stored and as decoded each, and what it decodes to.
 */
LMM_API int lmm_trace_open(const char *path, struct lmm_trace **out);

/* The same from memory, which must outlive the trace. */
LMM_API int lmm_trace_open_memory(const void *data, size_t size_bytes, struct lmm_trace **out);

/*
 * The next item. 1: *item is set and valid until the next call. 0: no more (see lmm_trace_state()).
 * Negative: -ENOMEM, a read error, LMM_E_CODEC or LMM_E_LIMIT. A cut or corrupt file is no error here: what can be read
 * is given, then 0. A file that is still being written gives 0 where it ends for now; calling again later goes on there.
 */
LMM_API int lmm_trace_next(struct lmm_trace *tr, const struct lmm_item **item);

/* How the reading ended, and at which byte. */
LMM_API enum lmm_trace_state lmm_trace_state(const struct lmm_trace *tr, uint64_t *offset_bytes);

/* Back to the first item; what CLOCK items have said is kept. 0 or a negative error. */
LMM_API int lmm_trace_rewind(struct lmm_trace *tr);

/*
 * Nanoseconds of CLOCK_MONOTONIC at a tick, through the CLOCK items read so far: between two of them by a
 * straight line, outside by the nearest pair's. With no item read, ticks are returned as they are.
 */
LMM_API uint64_t lmm_trace_ns(const struct lmm_trace *tr, uint64_t ticks);

/* Accepts NULL. */
LMM_API void lmm_trace_close(struct lmm_trace *tr);

#ifdef __cplusplus
}
#endif

#endif
