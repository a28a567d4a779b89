/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What graphs consist of, noted while they are captured: a launch of the graph alone does not tell. Locks are taken where graphs are
 * made, updated and destroyed, not where they are launched. What is let go lives on for a while, as a window may still look at it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "probe/devices/cuda/cuda.h"
#include "probe/devices/cuda/hooks.h"
#include "probe/devices/cuda/window.h"

#define MADE_MAX  64u /* captured, and not destroyed yet */
#define EXECS_MAX 256u
#define NODES_MAX 65536u
#define RETIRED	  64u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	cuda_graph handle;
	struct lmm_cu_graph *graph;
} made[MADE_MAX];
static struct {
	_Atomic(cuda_exec) handle;
	_Atomic(struct lmm_cu_graph *) graph;
} execs[EXECS_MAX];
/* The oldest first. A call of a window can name one until it is waited for no more. */
static struct lmm_cu_graph *first_retired, *last_retired;
static unsigned n_retired;
static unsigned next_made;
static _Atomic uint64_t unknown; /* of a graph that is not: recording << 32 | number */
static bool is_over;		 /* there were more executable graphs than we take */
static _Atomic int n_capturing;

bool lmm_cu_is_capturing(void)
{
	return atomic_load_explicit(&n_capturing, memory_order_relaxed) > 0;
}

/* ---- while it is captured ----------------------------------------------------------------------- */

static struct lmm_cu_node *node_add(struct lmm_cu_graph *g)
{
	if (g->n == g->room) {
		uint32_t room = g->room ? g->room * 2 : 512;
		struct lmm_cu_node *nodes =
			room <= NODES_MAX ? realloc(g->nodes, room * sizeof(*nodes)) : NULL;

		if (!nodes) {
			g->is_incomplete = true;
			return NULL;
		}
		g->nodes = nodes;
		g->room = room;
	}
	return &g->nodes[g->n++];
}

bool lmm_cu_is_captured(struct lmm_thread *th, cuda_stream stream, uint32_t kernel, unsigned kind)
{
	struct lmm_cu_graph *g = lmm_cu_self.capture;
	struct lmm_cu_node *x;
	int is, saved = errno;

	if (!g)
		return false;
	/* other streams take part once they wait for an event of this one */
	is = stream == lmm_cu_self.capture_stream;
	if (!is && lmm_cu.cuStreamIsCapturing && lmm_cu.cuStreamIsCapturing(stream, &is))
		is = 0;
	x = is ? node_add(g) : NULL;
	errno = saved;
	if (x) {
		x->kernel = kernel;
		x->kind = (uint8_t)kind;
		x->graph = th->graph;
		x->node = lmm_device_node(th);
	}
	return is != 0;
}

static void graph_free(struct lmm_cu_graph *g)
{
	int saved = errno;

	if (g)
		free(g->nodes);
	free(g);
	errno = saved;
}

static bool is_forgotten(const struct lmm_cu_graph *g)
{
	return !lmm_cu_window_holds() || lmm_cu_log_turns() - g->turn > LMM_CU_CARRIED_MAX + 1;
}

/* With the lock held. */
static void retire(struct lmm_cu_graph *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < EXECS_MAX; i++) {
		if (atomic_load(&execs[i].graph) == g)
			return; /* several are made of one */
	}
	for (unsigned i = 0; i < MADE_MAX; i++) {
		if (made[i].graph == g)
			return;
	}
	g->next = NULL;
	g->turn = lmm_cu_log_turns();
	if (last_retired) {
		last_retired->next = g;
	} else {
		first_retired = g;
	}
	last_retired = g;
	n_retired++;
	while (n_retired > RETIRED && is_forgotten(first_retired)) {
		struct lmm_cu_graph *oldest = first_retired;

		first_retired = oldest->next;
		n_retired--;
		graph_free(oldest);
	}
}

static void capture_begin(cuda_stream stream)
{
	int saved = errno;
	struct lmm_cu_graph *g = calloc(1, sizeof(*g));

	errno = saved;
	/* a second one at a time is not followed; the same comes twice of a runtime whose driver's calls are hooked as well */
	if (lmm_cu_self.capture) {
		lmm_cu_self.capture->is_incomplete |= stream != lmm_cu_self.capture_stream;
		graph_free(g);
		return;
	}
	if (!g)
		return;
	g->recording = lmm_recording();
	lmm_cu_self.capture = g;
	lmm_cu_self.capture_stream = stream;
	atomic_fetch_add(&n_capturing, 1);
}

static void capture_end(cuda_graph handle)
{
	struct lmm_cu_graph *g = lmm_cu_self.capture, *old;

	if (!g)
		return;
	lmm_cu_self.capture = NULL;
	atomic_fetch_sub(&n_capturing, 1);
	if (!handle || g->is_incomplete) {
		graph_free(g);
		return;
	}
	pthread_mutex_lock(&lock);
	old = made[next_made].graph;
	made[next_made].handle = handle;
	made[next_made].graph = g;
	next_made = (next_made + 1) % MADE_MAX;
	retire(old);
	pthread_mutex_unlock(&lock);
}

/* ---- afterwards --------------------------------------------------------------------------------- */

/* The newest of that handle. With the lock held. */
static struct lmm_cu_graph *made_find(cuda_graph handle, bool is_gone)
{
	struct lmm_cu_graph *g = NULL;

	for (unsigned i = 1; i <= MADE_MAX; i++) {
		unsigned at = (next_made + MADE_MAX - i) % MADE_MAX;

		if (!made[at].graph || made[at].handle != handle)
			continue;
		g = made[at].graph;
		if (is_gone)
			made[at].graph = NULL;
		break;
	}
	return g;
}

/* With the lock held: the executable graph is now this one; NULL: unknown, or gone. */
static void exec_set(cuda_exec handle, struct lmm_cu_graph *g)
{
	struct lmm_cu_graph *old = NULL;
	unsigned at = EXECS_MAX;

	for (unsigned i = 0; i < EXECS_MAX; i++) {
		cuda_exec h = atomic_load(&execs[i].handle);

		if (h == handle) {
			at = i;
			break;
		}
		if (!h && at == EXECS_MAX)
			at = i;
	}
	if (at == EXECS_MAX) {
		is_over |= g != NULL;
		return;
	}
	old = atomic_load(&execs[at].graph);
	/* pairs with the acquire in lmm_cu_graph_of() */
	atomic_store_explicit(&execs[at].graph, g, memory_order_release);
	atomic_store_explicit(&execs[at].handle, g ? handle : NULL, memory_order_release);
	if (old != g)
		retire(old);
}

static void exec_made(cuda_exec exec, cuda_graph graph)
{
	static _Atomic uint32_t said; /* in which session */
	bool is_said;

	pthread_mutex_lock(&lock);
	exec_set(exec, made_find(graph, false));
	is_said = !is_over || atomic_exchange(&said, lmm_device_session()) == lmm_device_session();
	pthread_mutex_unlock(&lock);
	if (!is_said) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "more than %u executable CUDA graphs: launches of further ones "
				   "are told as of one that is not known",
				   EXECS_MAX);
	}
}

struct lmm_cu_graph *lmm_cu_graph_of(cuda_exec exec)
{
	for (unsigned i = 0; i < EXECS_MAX; i++) {
		if (atomic_load_explicit(&execs[i].handle, memory_order_acquire) == exec)
			return atomic_load_explicit(&execs[i].graph, memory_order_acquire);
	}
	return NULL;
}

LMM_NOINLINE static uint32_t number_make(struct lmm_cu_graph *g)
{
	uint64_t h = LMM_HASH_SEED;
	char name[64];

	for (uint32_t i = 0; i < g->n; i++)
		h = lmm_hash_u64(h, g->nodes[i].kernel);
	(void)snprintf(name, sizeof(name), "CUDA graph of %u", g->n);
	return lmm_device_kernel_number(name, h, LMM_KERNEL_COMMAND_BUFFER, NULL);
}

/* Of all that are not known. */
static uint32_t number_unknown(uint32_t now)
{
	uint64_t k = atomic_load_explicit(&unknown, memory_order_relaxed);

	if (lmm_likely(k >> 32 == now))
		return (uint32_t)k;
	k = lmm_device_kernel_number("CUDA graph", 0, LMM_KERNEL_COMMAND_BUFFER, NULL);
	atomic_store_explicit(&unknown, (uint64_t)now << 32 | k, memory_order_relaxed);
	return (uint32_t)k;
}

uint32_t lmm_cu_graph_number(struct lmm_cu_graph *g)
{
	uint32_t now = lmm_recording();

	if (!g)
		return number_unknown(now);
	if (lmm_unlikely(!g->number || g->recording != now)) {
		g->number = number_make(g);
		g->recording = now;
	}
	return g->number;
}

void lmm_cu_graphs_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	atomic_store(&n_capturing, 0);
	atomic_store(&unknown, 0);
}

/* ---- the program's calls ------------------------------------------------------------------------ */

/* They are followed while nobody records, too: what was captured then is launched later. */
#define ENTER_ALWAYS(symbol)                                                                       \
	LMM_REAL(symbol);                                                                          \
	if (lmm_unlikely(!fn))                                                                     \
		return CUDA_ERROR_INVALID_VALUE;                                                   \
	if (LMM_FOREIGN(symbol) || !lmm_session_is_joined())                                       \
	return fn

#define BEGIN(symbol)                                                                              \
	LMM_CU_HOOK(symbol, (cuda_stream stream, int mode))                                        \
	{                                                                                          \
		cuda_result rc;                                                                    \
                                                                                                   \
		ENTER_ALWAYS(symbol)(stream, mode);                                                \
		lmm_cu_bind((const void *)fn);                                                     \
		rc = fn(stream, mode);                                                             \
		if (rc == 0)                                                                       \
			capture_begin(stream);                                                     \
		return rc;                                                                         \
	}
BEGIN(cudaStreamBeginCapture)
BEGIN(cudaStreamBeginCapture_ptsz)
BEGIN(cuStreamBeginCapture_v2)
BEGIN(cuStreamBeginCapture_v2_ptsz)

#define END(symbol)                                                                                \
	LMM_CU_HOOK(symbol, (cuda_stream stream, cuda_graph * graph))                              \
	{                                                                                          \
		cuda_result rc;                                                                    \
                                                                                                   \
		LMM_REAL(symbol);                                                                  \
		if (lmm_unlikely(!fn))                                                             \
			return CUDA_ERROR_INVALID_VALUE;                                           \
		/* what was begun ends, though nobody records any more */                          \
		if (LMM_FOREIGN(symbol) || (!lmm_session_is_joined() && !lmm_cu_self.capture))     \
			return fn(stream, graph);                                                  \
		rc = fn(stream, graph);                                                            \
		if (stream == lmm_cu_self.capture_stream)                                          \
			capture_end(rc == 0 && graph ? *graph : NULL);                             \
		return rc;                                                                         \
	}
END(cudaStreamEndCapture)
END(cudaStreamEndCapture_ptsz)
END(cuStreamEndCapture)
END(cuStreamEndCapture_ptsz)

/* CUDA 11's has two arguments more, 12's and 13's a word of flags: whatever the registers hold is passed on. */
#define INSTANTIATE(symbol)                                                                        \
	LMM_CU_HOOK(symbol,                                                                        \
		    (cuda_exec * exec, cuda_graph graph, unsigned long long a, void *b, size_t c)) \
	{                                                                                          \
		cuda_result rc;                                                                    \
                                                                                                   \
		ENTER_ALWAYS(symbol)(exec, graph, a, b, c);                                        \
		rc = fn(exec, graph, a, b, c);                                                     \
		if (rc == 0 && exec)                                                               \
			exec_made(*exec, graph);                                                   \
		return rc;                                                                         \
	}
INSTANTIATE(cudaGraphInstantiate)
INSTANTIATE(cudaGraphInstantiateWithFlags)
INSTANTIATE(cuGraphInstantiateWithFlags)
INSTANTIATE(cuGraphInstantiateWithParams)
INSTANTIATE(cuGraphInstantiateWithParams_ptsz)

/* CUDA 11's has a fourth. */
#define UPDATE(symbol)                                                                             \
	LMM_CU_HOOK(symbol, (cuda_exec exec, cuda_graph graph, void *a, void *b))                  \
	{                                                                                          \
		cuda_result rc;                                                                    \
                                                                                                   \
		ENTER_ALWAYS(symbol)(exec, graph, a, b);                                           \
		rc = fn(exec, graph, a, b);                                                        \
		if (rc == 0)                                                                       \
			exec_made(exec, graph);                                                    \
		return rc;                                                                         \
	}
UPDATE(cudaGraphExecUpdate)
UPDATE(cuGraphExecUpdate)
UPDATE(cuGraphExecUpdate_v2)

static void graph_gone(cuda_graph graph)
{
	pthread_mutex_lock(&lock);
	retire(made_find(graph, true));
	pthread_mutex_unlock(&lock);
}

static void exec_gone(cuda_exec exec)
{
	pthread_mutex_lock(&lock);
	exec_set(exec, NULL);
	pthread_mutex_unlock(&lock);
}

#define DESTROY(symbol, gone)                                                                      \
	LMM_CU_HOOK(symbol, (void *handle))                                                        \
	{                                                                                          \
		ENTER_ALWAYS(symbol)(handle);                                                      \
		gone(handle);                                                                      \
		return fn(handle);                                                                 \
	}
DESTROY(cudaGraphDestroy, graph_gone)
DESTROY(cuGraphDestroy, graph_gone)
DESTROY(cudaGraphExecDestroy, exec_gone)
DESTROY(cuGraphExecDestroy, exec_gone)
