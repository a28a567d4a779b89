/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "probe/devices/opencl/repeat.h"
#include "probe/devices/opencl/scratch.h"
#include "wire/repeat.h"

#define COLD_LAUNCHES	 48u   /* of a step that get fillers: these take long */
#define COLD_RUNS	 96u   /* and so many fillers at most, but one each */
#define EMPTY_RUNS	 2000u /* of a step: one takes next to nothing */
#define FILLER_MIN_BYTES (8u << 20)
#define FILLER_MAX_BYTES (64u << 20)
#define FILLER_PARTS                                                                               \
	16u /* one after the other, so that a filler's own lines are gone when its turn comes again */
#define LINE_BYTES 64u

bool lmm_cl_is_repeating;

struct turn {
	enum lmm_repeat_mode mode;
	unsigned times;
};

static struct {
	char name[128], path[512];
	uint32_t seed;
	unsigned factor;
} asked;

/* What follows is touched with the lock held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	uint32_t step;	   /* of the engine */
	uint64_t begin_ns; /* 0: no turn is under way */
	unsigned block;
	struct turn turn;
	uint32_t number;   /* of the kernel that is recorded; 0 */
	unsigned launches; /* of the chosen kernels, in this step */
	unsigned before;   /* the same of the step before */
	unsigned further;  /* runs that were added */
	unsigned steps;	   /* decode steps so far */
} now = { .step = LMM_STEP_NONE };

static struct {
	bool is_tried, is_there;
	cl_kernel empty, filler;
	cl_mem memory;
	size_t lines; /* of one part */
	unsigned part;
} tools;

/* ---- the log ------------------------------------------------------------------------------------ */

static void say(const char *format, ...) LMM_PRINTF(1, 2);

static void say(const char *format, ...)
{
	char line[256], path[sizeof(asked.path) + 16];
	va_list args;
	int n, fd;

	(void)snprintf(path, sizeof(path), "%s.%d", asked.path, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line up */
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0 && (size_t)n < sizeof(line) && write(fd, line, (size_t)n) < 0)
		lmm_cl_is_repeating = false;
	close(fd);
}

/* ---- whose turn it is --------------------------------------------------------------------------- */

/* NAME:SEED:FACTOR:FILE */
__attribute__((constructor)) static void read_asked(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): a constructor: there is one thread yet */
	const char *v = getenv(LMM_ENV_REPEAT), *colon = v ? strchr(v, ':') : NULL;
	size_t n = colon ? (size_t)(colon - v) : 0;
	char *end;

	if (n == 0 || n >= sizeof(asked.name))
		return;
	memcpy(asked.name, v, n);
	asked.seed = (uint32_t)strtoul(colon + 1, &end, 10);
	asked.factor = *end == ':' ? (unsigned)strtoul(end + 1, &end, 10) : 0;
	if (asked.factor < 1 || asked.factor > LMM_REPEAT_FACTOR_MAX)
		return;
	if (*end != ':' || end[1] != '/' || strlen(end + 1) >= sizeof(asked.path))
		return;
	memcpy(asked.path, end + 1, strlen(end + 1) + 1);
	lmm_cl_is_repeating = true;
}

/* The n-th: a place in a block that is shuffled anew each time. */
static struct turn turn_of(unsigned n)
{
	static const struct turn turns[] = {
#define TURN(mode, times) { LMM_REPEAT_##mode, times },
		LMM_REPEAT_BLOCK(TURN)
#undef TURN
	};
	uint64_t h = lmm_hash_u64(LMM_HASH_SEED ^ asked.seed, n / LMM_REPEAT_TURNS + 1);
	unsigned order[LMM_REPEAT_TURNS];

	_Static_assert(LMM_ARRAY_SIZE(turns) == LMM_REPEAT_TURNS, "as the header says");
	for (unsigned i = 0; i < LMM_REPEAT_TURNS; i++)
		order[i] = i;
	for (unsigned i = LMM_REPEAT_TURNS - 1; i > 0; i--) {
		unsigned k, x = order[i];

		h = lmm_hash_u64(h, i);
		k = (unsigned)(h % (i + 1));
		order[i] = order[k];
		order[k] = x;
	}
	return turns[order[n % LMM_REPEAT_TURNS]];
}

static unsigned at_least(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* How often a turn repeats, behind each of so many launches as the step before had. */
static unsigned times_of(const struct turn *turn)
{
	unsigned launches = at_least(now.before, 1), filled;

	switch (turn->mode) {
	case LMM_REPEAT_FILL:
	case LMM_REPEAT_COLD:
	case LMM_REPEAT_COLD_TIMED:
		filled = launches < COLD_LAUNCHES ? launches : COLD_LAUNCHES;
		return at_least(1, turn->times * asked.factor * filled <= COLD_RUNS
					   ? turn->times * asked.factor
					   : COLD_RUNS / filled);
	case LMM_REPEAT_EMPTY:
	case LMM_REPEAT_EMPTY_TIMED:
		return at_least(turn->times, EMPTY_RUNS / launches);
	default:
		return turn->times * asked.factor;
	}
}

static void turn_end(void)
{
	static const char *const names[] = { LMM_REPEAT_MODE_NAMES };

	_Static_assert(LMM_ARRAY_SIZE(names) == LMM_REPEAT_MODES, "one name each");
	if (now.begin_ns && now.launches) {
		say("step %llu %s %u %u %u\n", (unsigned long long)now.begin_ns,
		    names[now.turn.mode], now.turn.times, now.block, now.further);
	}
	now.begin_ns = 0;
}

/* The first decode step finds out what the kernel writes; the turns begin behind it. */
static void step_begin(const struct lmm_thread *th)
{
	turn_end();
	now.step = th->step;
	now.before = now.launches ? now.launches : now.before;
	now.launches = now.further = now.number = 0;
	now.turn = (struct turn){ LMM_REPEAT_NONE, 0 };
	if (th->call_phase != LMM_PHASE_DECODE)
		return;
	if (now.steps > 0 && lmm_cl_scratch_is_known()) {
		now.turn = turn_of(now.steps - 1);
		now.turn.times = times_of(&now.turn);
		now.block = (now.steps - 1) / LMM_REPEAT_TURNS;
		now.begin_ns = lmm_mono_ns();
		now.steps++;
	} else {
		now.steps = 1;
	}
}

/* ---- filler and empty kernel -------------------------------------------------------------------- */

static int build(cl_context context, cl_device_id device)
{
	static const char *text =
		"__kernel void lmmeter_empty(void) {}\n"
		"__kernel void lmmeter_filler(__global uint *lines) { lines[get_global_id(0) * 16] += 1; }\n";
	cl_ulong cache = 0;
	cl_program program;
	size_t bytes;

	lmm_cl.clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cache), &cache,
			       NULL);
	bytes = cache * 2 < FILLER_MIN_BYTES   ? FILLER_MIN_BYTES
		: cache * 2 > FILLER_MAX_BYTES ? FILLER_MAX_BYTES
					       : (size_t)cache * 2;
	tools.lines = bytes / LINE_BYTES;
	program = lmm_cl.clCreateProgramWithSource(context, 1, &text, NULL, NULL);
	if (!program || lmm_cl.clBuildProgram(program, 1, &device, "", NULL, NULL))
		return -1;
	tools.empty = lmm_cl.clCreateKernel(program, "lmmeter_empty", NULL);
	tools.filler = lmm_cl.clCreateKernel(program, "lmmeter_filler", NULL);
	tools.memory =
		lmm_cl.clCreateBuffer(context, CL_MEM_READ_WRITE, bytes * FILLER_PARTS, NULL, NULL);
	return tools.empty && tools.filler && tools.memory &&
			       !lmm_cl.clSetKernelArg(tools.filler, 0, sizeof(cl_mem),
						      &tools.memory)
		       ? 0
		       : -1;
}

static void tools_get(cl_command_queue queue)
{
	cl_context context = NULL;
	cl_device_id device = NULL;

	if (tools.is_tried)
		return;
	tools.is_tried = true;
	lmm_cl.clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(cl_context), &context, NULL);
	lmm_cl.clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(cl_device_id), &device, NULL);
	tools.is_there = lmm_cl.clBuildProgram && build(context, device) == 0;
	if (!tools.is_there)
		say("fault neither filler nor empty kernel can be made on this device\n");
}

/* ---- further runs ------------------------------------------------------------------------------- */

static void run(const struct lmm_cl_launch *l, uint32_t number)
{
	struct lmm_cl_command c;
	cl_event *event;
	cl_int rc;

	if (number == 0) {
		rc = lmm_cl.clEnqueueNDRangeKernel(l->queue, l->kernel, l->dimensions, l->offset,
						   l->global, l->local, 0, NULL, NULL);
	} else {
		event = lmm_cl_command_begin(&c, l->queue, 0, NULL);
		rc = lmm_cl.clEnqueueNDRangeKernel(l->queue, l->kernel, l->dimensions, l->offset,
						   l->global, l->local, 0, NULL, event);
		lmm_cl_command_end(&c, rc, NULL, number, 0);
	}
	if (rc != CL_SUCCESS)
		say("fault a further run failed with %d\n", rc);
}

static void run_again(const struct lmm_cl_launch *l, uint32_t number)
{
	run(l, number);
	now.further++;
}

static void fill(const struct lmm_cl_launch *l)
{
	size_t first = tools.lines * (tools.part++ % FILLER_PARTS);
	const struct lmm_cl_launch filler = {
		l->queue, tools.filler, 1, &first, &tools.lines, NULL
	};

	run(&filler, 0);
}

static void run_empty(const struct lmm_cl_launch *l, uint32_t number)
{
	static const size_t one = 1;
	const struct lmm_cl_launch empty = { l->queue, tools.empty, 1, NULL, &one, NULL };

	run_again(&empty, number);
}

static unsigned common_divisor(unsigned a, unsigned b)
{
	while (b) {
		unsigned rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Fillers take long, so that only some launches of a step get one: every k-th, k without a divisor in common with their
 * number, as layers launch in a pattern. The same ones in all turns of a block, others in the next.
 */
static bool is_filled(unsigned launch)
{
	unsigned every = (now.before + COLD_LAUNCHES - 1) / COLD_LAUNCHES;

	while (every > 1 && common_divisor(every, now.before) > 1)
		every++;
	return every < 2 || (launch + now.block * 7) % every == 0;
}

/* Of the kernel that a timed turn records; 0: the turn records nothing. */
static uint32_t number_of_turn(void)
{
	char name[sizeof(asked.name) + 32];
	size_t n = strlen(asked.name);

	memcpy(name, asked.name, n);
	switch (now.turn.mode) {
	case LMM_REPEAT_WARM_TIMED:
		(void)snprintf(name + n, sizeof(name) - n, LMM_REPEAT_WARM_SUFFIX "%u)", now.block);
		return lmm_device_kernel_number(name, 0, LMM_KERNEL_PROGRAM, NULL);
	case LMM_REPEAT_COLD_TIMED:
		(void)snprintf(name + n, sizeof(name) - n, LMM_REPEAT_COLD_SUFFIX "%u)", now.block);
		return lmm_device_kernel_number(name, 0, LMM_KERNEL_PROGRAM, NULL);
	case LMM_REPEAT_EMPTY_TIMED:
		return lmm_device_kernel_number(LMM_REPEAT_EMPTY_KERNEL, 0, LMM_KERNEL_PROGRAM,
						NULL);
	default:
		return 0;
	}
}

static void run_turn(const struct lmm_cl_launch *l, unsigned launch)
{
	enum lmm_repeat_mode mode = now.turn.mode;
	bool fills = mode >= LMM_REPEAT_FILL && mode <= LMM_REPEAT_COLD_TIMED;

	if ((fills || mode >= LMM_REPEAT_EMPTY) && !tools.is_there)
		return;
	if (fills && !is_filled(launch))
		return;
	if (!now.number)
		now.number = number_of_turn();
	lmm_cl_scratch_enter(l);
	for (unsigned i = 0; i < now.turn.times; i++) {
		if (fills)
			fill(l);
		if (mode >= LMM_REPEAT_EMPTY) {
			run_empty(l, now.number);
		} else if (mode == LMM_REPEAT_FILL) {
			now.further++;
		} else {
			run_again(l, now.number);
		}
	}
	lmm_cl_scratch_leave(l);
}

/* ---- around a launch ---------------------------------------------------------------------------- */

static bool is_chosen(cl_kernel kernel)
{
	char name[256];

	return lmm_cl_kernel_name(kernel, name, sizeof(name)) == 0 && strcmp(name, asked.name) == 0;
}

void lmm_cl_repeat_before(const struct lmm_cl_launch *l)
{
	const struct lmm_thread *th = lmm_recording() ? lmm_thread_self() : NULL;

	if (!th)
		return;
	pthread_mutex_lock(&lock);
	if (th->step != now.step)
		step_begin(th);
	if (th->call_phase == LMM_PHASE_DECODE && !now.begin_ns && is_chosen(l->kernel)) {
		tools_get(l->queue);
		lmm_cl_scratch_learn(l, say);
		now.launches++;
	}
	pthread_mutex_unlock(&lock);
}

void lmm_cl_repeat_after(const struct lmm_cl_launch *l)
{
	pthread_mutex_lock(&lock);
	if (now.begin_ns && is_chosen(l->kernel))
		run_turn(l, now.launches++);
	pthread_mutex_unlock(&lock);
}
