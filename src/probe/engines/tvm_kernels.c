/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine keeps its virtual machine to itself, but some builtins are given it, as an address. It is a C++ object with virtual
 * functions whose base, the object that the C interface knows, has none: that one lies a word behind. Asked by name, it has a
 * function that takes an instrument. The machine keeps that as long as it lives: there is no way to take it back.
 *
 * An instrument is called with (function, name, true, nothing, arguments …), and once more with false and the result.
 */
#include "probe/engines/tvm_kernels.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define AHEAD	    4 /* arguments in front of the call's own */
#define KERNELS_MAX 512u
#define NAME_MAX_   96
#define NAMES_MAX   2048u /* of a machine */
#define LAYERS_MIN  32u
#define PAGE	    4096u

enum { BOOL = 2, MODULE = 73 };

/* ---- the graph ---------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char names[KERNELS_MAX][NAME_MAX_] = { "LAYER", "VM" };
static _Atomic uint32_t n_kernels = 2;
static struct lmm_tvm_graph graph;
static uint32_t graph_recording;

/* Events name a node by its address; nothing is ever there. */
static char nodes[KERNELS_MAX * LMM_TVM_SLOTS];

void lmm_tvm_kernels_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

const void *lmm_tvm_node(uint32_t kernel, uint32_t slot)
{
	return &nodes[kernel * LMM_TVM_SLOTS + slot];
}

/* A string's address stands for it: they must stay where they are. */
static char slots[LMM_TVM_SLOTS][16]; /* of a layer as a whole */
/* What a function in it uses: says the layer, and whether it is the attention's, the rest's, or a norm. */
static char weights[LMM_TVM_SLOTS][16], norms[LMM_TVM_SLOTS][16];

static void slots_name(void)
{
	for (unsigned i = 0; i < LMM_TVM_OUTPUT; i++) {
		(void)snprintf(slots[i], sizeof(slots[i]), i % 2 ? "layer_rest-%u" : "attn-%u",
			       i / 2);
		(void)snprintf(weights[i], sizeof(weights[i]), "blk.%u.%s", i / 2,
			       i % 2 ? "rest" : "attn");
		(void)snprintf(norms[i], sizeof(norms[i]), "blk.%u.norm", i / 2);
	}
	memcpy(&slots[(size_t)LMM_TVM_OUTPUT], "layer_rest", sizeof("layer_rest"));
}

/* Of a tensor nothing is known but what it is called. */
static void tensor_put(struct lmm_buf *b, struct lmm_desc_strings *strings, const char *name)
{
	lmm_desc_put_string(b, strings, name);
	lmm_desc_put_string(b, strings, "");
	for (unsigned i = 0; i < 5; i++)
		lmm_buf_put_varint(b, 0); /* extents, bytes */
}

static void node_put(struct lmm_buf *b, struct lmm_desc_strings *strings, uint32_t kernel,
		     uint32_t slot)
{
	bool has_weight = kernel && slot != LMM_TVM_OUTPUT;

	lmm_buf_put_zigzag(b, (int64_t)kernel * LMM_TVM_SLOTS + slot);
	lmm_desc_put_string(b, strings, names[kernel]);
	tensor_put(b, strings, kernel ? names[kernel] : slots[slot]);
	lmm_buf_put_varint(b, 1); /* it is computed */
	lmm_buf_put_varint(b, has_weight);
	if (has_weight) {
		lmm_buf_put_varint(b, 0); /* of no node's making */
		tensor_put(b, strings, strstr(names[kernel], "norm") ? norms[slot] : weights[slot]);
	}
}

/* With the lock held. */
static void graph_describe(void)
{
	struct lmm_buf b = { .max = LMM_DESC_BYTES_MAX };
	struct lmm_desc_strings strings = { 0 };
	uint32_t each = 2 * graph.layers + 1; /* the last one: of no layer */

	slots_name();
	graph.number = lmm_graph_next();
	lmm_buf_put_varint(&b, graph.number);
	lmm_buf_put_varint(&b, 1); /* a pass of tokens, however many: STEP says it */
	lmm_buf_put_varint(&b, LMM_TVM_SLOTS + (graph.kernels - 1) * each);
	for (uint32_t slot = 0; slot < LMM_TVM_SLOTS; slot++)
		node_put(&b, &strings, 0, slot);
	for (uint32_t k = 1; k < graph.kernels; k++) {
		for (uint32_t i = 0; i < each; i++)
			node_put(&b, &strings, k, i + 1 < each ? i : LMM_TVM_OUTPUT);
	}
	lmm_session_describe(LMM_DESC_GRAPH, &b);
	lmm_desc_strings_free(&strings);
	lmm_buf_free(&b);
}

static uint32_t kernels_met(void)
{
	return atomic_load_explicit(&n_kernels, memory_order_acquire);
}

bool lmm_tvm_graph_is_old(const struct lmm_tvm_graph *g)
{
	return g->met != kernels_met();
}

/* Each is a node in each layer, twice. */
static uint32_t kernels_that_fit(uint32_t met, uint32_t layers)
{
	uint32_t most = 1 + (LMM_DESC_NODES_MAX - LMM_TVM_SLOTS) / (2 * layers + 1);

	return met < most ? met : most;
}

struct lmm_tvm_graph lmm_tvm_graph_get(uint32_t layers)
{
	struct lmm_tvm_graph got;
	uint32_t most = LAYERS_MIN, met;

	while (most < layers && most < LMM_TVM_LAYERS_MAX)
		most *= 2;
	pthread_mutex_lock(&lock);
	met = kernels_met();
	if (graph_recording != lmm_recording() || graph.met != met || graph.layers < most) {
		graph_recording = lmm_recording();
		graph.layers = most > graph.layers ? most : graph.layers;
		graph.met = met;
		graph.kernels = kernels_that_fit(met, graph.layers);
		graph_describe();
	}
	got = graph;
	pthread_mutex_unlock(&lock);
	return got;
}

/* The kernel's number; one that no graph has if there are too many. */
static uint32_t kernel_of(const char *name)
{
	uint32_t n, k;

	pthread_mutex_lock(&lock);
	n = kernels_met();
	for (k = LMM_TVM_MACHINE_KERNEL + 1; k < n; k++) {
		if (strncmp(names[k], name, NAME_MAX_ - 1) == 0)
			break;
	}
	if (k == n && n == KERNELS_MAX) {
		k = KERNELS_MAX;
	} else if (k == n) {
		strncpy(names[k], name, NAME_MAX_ - 1);
		/* pairs with kernels_met(): the name is there */
		atomic_store_explicit(&n_kernels, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return k;
}

/* ---- the instrument ----------------------------------------------------------------------------- */

/* What one virtual machine calls: names by address, which it keeps. Goes when the machine goes. */
struct machine {
	uint32_t n;
	struct {
		const char *name;
		uint32_t kernel; /* 0: none */
	} of[NAMES_MAX];
};

enum user {
	NOBODY, /* no instrument is set */
	WE,
	OTHERS,
	UNKNOWN,
};

static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	const struct lmm_tvm_any *called; /* with what our instrument was called last */
	void *machine;			  /* seen in this pass */
	uint8_t user;			  /* of its instrument */
} seen;

/* The first time a machine calls something. */
static LMM_COLD uint32_t name_take(struct machine *m, const char *name, uint32_t at)
{
	int saved = errno;

	if (m->n > NAMES_MAX / 4 * 3)
		return 0;
	m->n++;
	m->of[at].name = name;
	/* its builtins are its own work */
	m->of[at].kernel = strncmp(name, "vm.", 3) == 0 ? 0 : kernel_of(name);
	errno = saved;
	return m->of[at].kernel;
}

static uint32_t name_look(struct machine *m, const char *name)
{
	uint32_t at = (uint32_t)(((uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15)) >> 53);

	for (; m->of[at].name; at = (at + 1) % NAMES_MAX) {
		if (m->of[at].name == name)
			return m->of[at].kernel;
	}
	return name_take(m, name, at);
}

/* No result: the call is made. */
static int instrument(void *self, const struct lmm_tvm_any *args, int32_t n,
		      struct lmm_tvm_any *result)
{
	struct lmm_thread *th = lmm_recording() ? lmm_thread_known() : NULL;
	uint32_t kernel;

	(void)result;
	seen.called = args;
	if (n < AHEAD || !th || args[0].type != LMM_TVM_FUNCTION || args[1].type != LMM_TVM_RAW_STR)
		return 0;
	kernel = name_look(self, args[1].v.p);
	if (!kernel)
		return 0;
	if (args[2].v.i) {
		lmm_tvm_kernel_begin(th, kernel);
	} else {
		lmm_tvm_kernel_end(th);
	}
	return 0;
}

/* ---- machines ----------------------------------------------------------------------------------- */

/* What an instrument gets lies in front of the call's own arguments. False with errno: it cannot be read. */
static bool ahead_of(const struct lmm_tvm_any *args, struct lmm_tvm_any ahead[AHEAD])
{
	size_t bytes = AHEAD * sizeof(*ahead);
	struct iovec to = { ahead, bytes }, from = { (void *)(args - AHEAD), bytes };

	if ((uintptr_t)args % PAGE < bytes) /* another page, which need not be there */
		return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)bytes;
	memcpy(ahead, args - AHEAD, bytes);
	return true;
}

/*
 * Whose instrument is called around the call with these arguments. Where there is none they begin a block of memory: in front of
 * it is what its allocator keeps there (glibc the size, where an instrument would get nothing), or another block, or no memory.
 */
static enum user user_of(const struct lmm_tvm_any *args)
{
	struct lmm_tvm_any ahead[AHEAD];
	int saved = errno;
	enum user user = NOBODY;

	if (seen.called == args - AHEAD)
		return WE;
	if (!ahead_of(args, ahead)) {
		user = errno == EFAULT ? NOBODY : UNKNOWN;
	} else if (ahead[0].type == LMM_TVM_FUNCTION && ahead[1].type == LMM_TVM_RAW_STR &&
		   ahead[2].type == BOOL && ahead[2].v.i == 1 && ahead[3].type == 0 &&
		   ahead[3].v.i == 0) {
		user = OTHERS;
	}
	errno = saved;
	return user;
}

void lmm_tvm_machine_seen(const struct lmm_tvm_any *args, int32_t n)
{
	enum user user;

	if (!lmm_session_wants_instrument() || n < 1 || args[0].type != LMM_TVM_OPAQUE ||
	    !lmm_recording() || (seen.machine == args[0].v.p && seen.user != UNKNOWN))
		return;
	user = user_of(args);
	if (user == UNKNOWN && seen.machine) /* another call knew */
		return;
	seen.machine = args[0].v.p;
	seen.user = (uint8_t)user;
}

void lmm_tvm_machine_forget(void)
{
	seen.machine = NULL;
	seen.called = NULL;
}

static struct {
	int (*get)(const struct lmm_tvm_bytes *name, void **out);
	int (*call)(void *function, const struct lmm_tvm_any *args, int32_t n,
		    struct lmm_tvm_any *result);
	int (*create)(void *self, lmm_tvm_safe_call call, void (*deleter)(void *self), void **out);
	int (*release)(void *object);
	void (*error)(void **out);
} ffi;

static bool ffi_bind(void)
{
	*(void **)&ffi.get = lmm_door_anyone("TVMFFIFunctionGetGlobal");
	*(void **)&ffi.call = lmm_door_anyone("TVMFFIFunctionCall");
	*(void **)&ffi.create = lmm_door_anyone("TVMFFIFunctionCreate");
	*(void **)&ffi.release = lmm_door_anyone("TVMFFIObjectDecRef");
	*(void **)&ffi.error = lmm_door_anyone("TVMFFIErrorMoveFromRaised");
	return ffi.get && ffi.call && ffi.create && ffi.release && ffi.error;
}

/* True if it did not fail; what it raised is ours, and is forgotten. */
static bool called(void *function, const struct lmm_tvm_any *args, int32_t n,
		   struct lmm_tvm_any *result)
{
	void *error = NULL;

	if (ffi.call(function, args, n, result) == 0)
		return true;
	ffi.error(&error);
	if (error)
		ffi.release(error);
	return false;
}

/* The machine's function that takes an instrument, for the caller to release; NULL: it is no machine as they are known. */
static void *setter_of(void *machine)
{
	static const struct lmm_tvm_bytes name = { "ffi.ModuleGetFunction", 21 };
	void *object = (char *)machine + sizeof(void *), *get = NULL;
	struct lmm_tvm_any args[3] = { { MODULE, 0, { .p = object } },
				       { LMM_TVM_RAW_STR, 0, { .p = (void *)"set_instrument" } },
				       { BOOL, 0, { .i = 0 } } };
	struct lmm_tvm_any setter = { 0 };

	if (!lmm_tvm_cell(object, MODULE) || ffi.get(&name, &get) || !get)
		return NULL;
	if (!called(get, args, 3, &setter))
		setter.type = 0;
	ffi.release(get);
	if (setter.type == LMM_TVM_FUNCTION)
		return setter.v.p;
	if (setter.type >= LMM_TVM_OBJECT)
		ffi.release(setter.v.p);
	return NULL;
}

/* False: it has none of ours. */
static bool instrument_set(void *setter)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct lmm_tvm_any arg = { LMM_TVM_FUNCTION, 0, { 0 } }, result = { 0 };
	void *ours = NULL;
	bool is_set;

	if (!m)
		return false;
	if (ffi.create(m, instrument, free, &ours)) {
		free(m);
		return false;
	}
	arg.v.p = ours;
	is_set = called(setter, &arg, 1, &result);
	ffi.release(ours);
	return is_set;
}

static LMM_COLD void take(void *machine)
{
	static bool is_bound; /* with the lock held */
	bool is_set = false;
	void *setter = NULL;
	int saved = errno;

	pthread_mutex_lock(&lock);
	is_bound = is_bound || ffi_bind();
	is_set = is_bound;
	pthread_mutex_unlock(&lock);
	if (is_set)
		setter = setter_of(machine);
	is_set = false;
	if (setter) {
		is_set = instrument_set(setter);
		ffi.release(setter);
	}
	if (!is_set) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "this TVM's virtual machine takes no instrument: compiled "
				   "functions are not told apart");
	}
	errno = saved;
}

void lmm_tvm_machine_take(void)
{
	void *machine = seen.machine;

	seen.machine = NULL;
	if (!machine || seen.user == WE)
		return;
	if (seen.user == NOBODY && lmm_session_op_every() > 0) {
		take(machine);
	} else if (seen.user == OTHERS) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "the program has an instrument of its own in TVM's virtual "
				   "machine: compiled functions are not told apart");
	} else if (seen.user == UNKNOWN) {
		lmm_session_reason(LMM_LEVEL_KERNELS,
				   "this system lets no process read its own memory "
				   "(process_vm_readv): compiled functions are not told apart");
	}
}
