/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ggml's graphs, seen from outside: where the fields of a tensor lie is found by asking ggml's own exported functions, never
 * written down here. A graph is described once per content; afterwards a run names it by number and by the address of its
 * first node (all nodes come from one arena, so the others lie at fixed distances from it).
 */
#include "probe/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SRC_MAX 10
#define GRAPH_MAX                                                                                  \
	1024 /* remembered contents; then all are forgotten and described again as they come */

struct init_params { /* of ggml_init(), the same since it exists */
	size_t mem_size;
	void *mem_buffer;
	bool no_alloc;
};

static struct {
	int ready; /* 0: not looked at; 1: usable; -1: not */
	const char *(*op_desc)(const void *tensor);
	const char *(*get_name)(const void *tensor);
	const char *(*type_name)(int type);
	size_t (*nbytes)(const void *tensor);
	int (*graph_n_nodes)(void *graph);
	void *(*graph_node)(void *graph, int i);
	void **(*graph_nodes)(void *graph);
	size_t op, ne, src; /* offsets in bytes */
} ggml;

static pthread_mutex_t ggml_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uint64_t hash;
	uint32_t graph;
	uint32_t n_tokens;
} seen[GRAPH_MAX * 2];
static uint32_t n_seen;
static uint32_t seen_recording;
/* Counts reallocations of graphs; odd start so that "never" (0) differs. */
static _Atomic uint32_t changes = 1;

/* Last graph of this thread, for engines that run the same one again and again. */
struct last_graph {
	const void *cgraph;
	const void *base;
	uint64_t sample;
	uint32_t n_nodes, graph, n_tokens, changes, recording;
};
static _Thread_local struct last_graph last __attribute__((tls_model("initial-exec")));

void lmm_ggml_graph_changed(void)
{
	atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
}

void lmm_ggml_after_fork(void)
{
	pthread_mutex_init(&ggml_lock, NULL);
	memset(seen, 0, sizeof(seen));
	memset(&last, 0, sizeof(last));
	n_seen = 0;
}

/* ---- layout ------------------------------------------------------------------------------------- */

static const void *word_at(const void *tensor, size_t offset)
{
	const void *p;

	memcpy(&p, (const char *)tensor + offset, sizeof(p));
	return p;
}

/* Where b follows a among the pointers of a tensor; 0 if nowhere. */
static size_t find_pair(const void *tensor, size_t bytes, const void *a, const void *b)
{
	for (size_t o = 8; o + 16 <= bytes; o += 8) {
		if (word_at(tensor, o) == a && word_at(tensor, o + 8) == b)
			return o;
	}
	return 0;
}

static size_t find_shape(const void *tensor, size_t bytes, const int64_t ne[4])
{
	for (size_t o = 8; o + 32 <= bytes; o += 8) {
		if (memcmp((const char *)tensor + o, ne, 32) == 0)
			return o;
	}
	return 0;
}

/* The op is the int that is equal in two additions and differs in a multiplication, before the sources. */
static size_t find_op(const void *add1, const void *add2, const void *mul, size_t src)
{
	for (size_t o = 8; o < src; o += 4) {
		int a, b, c;

		memcpy(&a, (const char *)add1 + o, 4);
		memcpy(&b, (const char *)add2 + o, 4);
		memcpy(&c, (const char *)mul + o, 4);
		if (a == b && a != c && a > 0 && a < 1024)
			return o;
	}
	return 0;
}

struct makers {
	void *(*init)(struct init_params params);
	void (*release)(void *ctx);
	size_t (*tensor_overhead)(void);
	void *(*new_tensor_2d)(void *ctx, int type, int64_t ne0, int64_t ne1);
	void *(*add)(void *ctx, void *a, void *b);
	void *(*mul)(void *ctx, void *a, void *b);
};

static int layout_from_samples(const struct makers *m, void *ctx, size_t tensor_bytes)
{
	const int64_t shape[4] = { 7, 3, 1, 1 };
	void *a = m->new_tensor_2d(ctx, 0, 7, 3);
	void *b = m->new_tensor_2d(ctx, 0, 7, 3);
	void *half = m->new_tensor_2d(ctx, 1, 7, 3);
	void *sum, *sum2, *product;
	int type = -1;

	if (!a || !b || !half)
		return -1;
	sum = m->add(ctx, a, b);
	sum2 = m->add(ctx, b, a);
	product = m->mul(ctx, a, b);
	if (!sum || !sum2 || !product)
		return -1;
	ggml.src = find_pair(sum, tensor_bytes, a, b);
	ggml.ne = find_shape(a, tensor_bytes, shape);
	ggml.op = ggml.src ? find_op(sum, sum2, product, ggml.src) : 0;
	memcpy(&type, half, sizeof(type)); /* the type is the first word of a tensor */
	if (!ggml.src || !ggml.ne || !ggml.op || type != 1)
		return -1;
	return strcmp(ggml.op_desc(sum), "ADD") == 0 && ggml.nbytes(a) == 84 ? 0 : -1;
}

static int layout_probe(const void *ra)
{
	struct makers m;
	struct init_params params = { 0 };
	void *ctx;
	int rc;

	*(void **)&m.init = lmm_door_lookup("ggml_init", ra);
	*(void **)&m.release = lmm_door_lookup("ggml_free", ra);
	*(void **)&m.tensor_overhead = lmm_door_lookup("ggml_tensor_overhead", ra);
	*(void **)&m.new_tensor_2d = lmm_door_lookup("ggml_new_tensor_2d", ra);
	*(void **)&m.add = lmm_door_lookup("ggml_add", ra);
	*(void **)&m.mul = lmm_door_lookup("ggml_mul", ra);
	if (!m.init || !m.release || !m.tensor_overhead || !m.new_tensor_2d || !m.add || !m.mul)
		return -1;
	params.mem_size = m.tensor_overhead() * 16 + 4096;
	params.no_alloc = true;
	ctx = m.init(params);
	if (!ctx)
		return -1;
	/* the overhead is the tensor and its header: an upper bound of what may be looked at */
	rc = layout_from_samples(&m, ctx, m.tensor_overhead() - 32);
	m.release(ctx);
	return rc;
}

static int ggml_bind(const void *ra)
{
	*(void **)&ggml.op_desc = lmm_door_lookup("ggml_op_desc", ra);
	*(void **)&ggml.get_name = lmm_door_lookup("ggml_get_name", ra);
	*(void **)&ggml.type_name = lmm_door_lookup("ggml_type_name", ra);
	*(void **)&ggml.nbytes = lmm_door_lookup("ggml_nbytes", ra);
	*(void **)&ggml.graph_n_nodes = lmm_door_lookup("ggml_graph_n_nodes", ra);
	*(void **)&ggml.graph_node = lmm_door_lookup("ggml_graph_node", ra);
	*(void **)&ggml.graph_nodes = lmm_door_lookup("ggml_graph_nodes", ra);
	if (!ggml.op_desc || !ggml.get_name || !ggml.type_name || !ggml.nbytes ||
	    !ggml.graph_n_nodes || (!ggml.graph_nodes && !ggml.graph_node)) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "graphs cannot be read: this engine exports no ggml accessors");
		return -1;
	}
	if (layout_probe(ra)) {
		lmm_session_reason(LMM_LEVEL_PHASES,
				   "graphs cannot be read: the layout of ggml_tensor was not "
				   "recognised");
		return -1;
	}
	return 0;
}

/* ---- contents ----------------------------------------------------------------------------------- */

struct graph_view {
	void *cgraph;
	void **nodes; /* NULL: go through graph_node() */
	uint32_t n;
};

static const void *node_at(const struct graph_view *g, uint32_t i)
{
	return g->nodes ? g->nodes[i] : ggml.graph_node(g->cgraph, (int)i);
}

static int op_of(const void *t)
{
	int op;

	memcpy(&op, (const char *)t + ggml.op, sizeof(op));
	return op;
}

static int type_of(const void *t)
{
	int type;

	memcpy(&type, t, sizeof(type));
	return type;
}

/*
 * A source in the graph's own arena counts by its distance, so that the same graph built elsewhere is the same; a weight
 * counts by its address, which tells models apart.
 */
static uint64_t source_key(const char *base, const void *src)
{
	uint64_t distance = (uint64_t)((uintptr_t)src - (uintptr_t)base);

	return distance + (8u << 20) < (16u << 20) ? distance : (uint64_t)(uintptr_t)src;
}

/* Shapes, types, operators and the wiring, with addresses counted from the first node. Names follow from these. */
static uint64_t graph_hash(const struct graph_view *g)
{
	const char *base = node_at(g, 0);
	uint64_t h = lmm_hash_u64(LMM_HASH_SEED, g->n);

	for (uint32_t i = 0; i < g->n; i++) {
		const char *t = node_at(g, i);
		int64_t ne[4];

		memcpy(ne, t + ggml.ne, sizeof(ne));
		h = lmm_hash_u64(h, (uint64_t)(t - base));
		h = lmm_hash_u64(h, (uint64_t)op_of(t) << 32 | (uint32_t)type_of(t));
		h = lmm_hash_u64(h, (uint64_t)ne[0] ^ (uint64_t)ne[1] << 24);
		h = lmm_hash_u64(h, (uint64_t)ne[2] ^ (uint64_t)ne[3] << 24);
		h = lmm_hash_u64(h, source_key(base, word_at(t, ggml.src)));
	}
	return h;
}

/* Index of each node by address, for the sources. */
struct node_index {
	const void **key;
	uint32_t *value;
	uint32_t mask;
};

static int index_make(struct node_index *x, const struct graph_view *g)
{
	uint32_t cap = 64;

	while (cap < g->n * 2)
		cap *= 2;
	x->key = calloc(cap, sizeof(*x->key));
	x->value = calloc(cap, sizeof(*x->value));
	x->mask = cap - 1;
	if (!x->key || !x->value)
		return -1;
	for (uint32_t i = 0; i < g->n; i++) {
		const void *t = node_at(g, i);
		uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)t) & x->mask;

		while (x->key[k] && x->key[k] != t)
			k = (k + 1) & x->mask;
		x->key[k] = t;
		x->value[k] = i + 1;
	}
	return 0;
}

static uint32_t index_find(const struct node_index *x, const void *t)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)t) & x->mask;

	while (x->key[k] && x->key[k] != t)
		k = (k + 1) & x->mask;
	return x->key[k] ? x->value[k] : 0;
}

static void put_tensor(struct lmm_buf *b, struct lmm_desc_strings *strings, const void *t)
{
	int64_t ne[4];

	memcpy(ne, (const char *)t + ggml.ne, sizeof(ne));
	lmm_desc_put_string(b, strings, ggml.get_name(t));
	lmm_desc_put_string(b, strings, ggml.type_name(type_of(t)));
	for (int i = 0; i < 4; i++)
		lmm_buf_put_varint(b, (uint64_t)ne[i]);
	lmm_buf_put_varint(b, ggml.nbytes(t));
}

static bool op_runs(const char *op, const void *t)
{
	static const char *const views[] = { "NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE" };
	int64_t ne[4];

	memcpy(ne, (const char *)t + ggml.ne, sizeof(ne));
	for (size_t i = 0; i < LMM_ARRAY_SIZE(views); i++) {
		if (strcmp(op, views[i]) == 0)
			return false;
	}
	return ne[0] > 0 && ne[1] > 0 && ne[2] > 0 && ne[3] > 0;
}

static void put_node(struct lmm_buf *b, struct lmm_desc_strings *strings,
		     const struct node_index *x, const char *base, const char *t)
{
	const char *op = ggml.op_desc(t);
	unsigned n_src = 0;

	lmm_buf_put_zigzag(b, t - base);
	lmm_desc_put_string(b, strings, op);
	put_tensor(b, strings, t);
	lmm_buf_put_varint(b, op_runs(op, t));
	for (unsigned i = 0; i < SRC_MAX; i++) {
		if (word_at(t, ggml.src + (size_t)i * 8))
			n_src = i + 1;
	}
	lmm_buf_put_varint(b, n_src);
	for (unsigned i = 0; i < n_src; i++) {
		const void *s = word_at(t, ggml.src + (size_t)i * 8);
		uint32_t k = s ? index_find(x, s) : 0;

		lmm_buf_put_varint(b, s ? k : UINT32_MAX);
		if (s && !k)
			put_tensor(b, strings, s);
	}
}

/* The batch is as wide as the rows that are taken from the embedding table. */
static uint32_t width_of(const struct graph_view *g)
{
	for (uint32_t i = 0; i < g->n && i < 64; i++) {
		const char *t = node_at(g, i);
		const void *table = word_at(t, ggml.src);
		int64_t ne[4];

		if (!table || strcmp(ggml.op_desc(t), "GET_ROWS") != 0)
			continue;
		if (strncmp(ggml.get_name(table), "token_embd", 10) != 0)
			continue;
		memcpy(ne, t + ggml.ne, sizeof(ne));
		return ne[1] > 0 && ne[1] < UINT32_MAX ? (uint32_t)ne[1] : 0;
	}
	return 0;
}

static void describe(const struct graph_view *g, uint32_t graph, uint32_t n_tokens)
{
	struct lmm_buf b = { .max = LMM_DESC_BYTES_MAX };
	struct lmm_desc_strings strings = { 0 };
	struct node_index x = { 0 };
	const char *base = node_at(g, 0);

	if (index_make(&x, g) == 0) {
		lmm_buf_put_varint(&b, graph);
		lmm_buf_put_varint(&b, n_tokens);
		lmm_buf_put_varint(&b, g->n);
		for (uint32_t i = 0; i < g->n; i++)
			put_node(&b, &strings, &x, base, node_at(g, i));
		lmm_session_describe(LMM_DESC_GRAPH, &b);
	}
	lmm_desc_strings_free(&strings);
	lmm_buf_free(&b);
	free((void *)x.key);
	free(x.value);
}

/* With the lock held: the number of this content, described if it is new. */
static uint32_t graph_number(const struct graph_view *g, uint64_t hash, uint32_t *n_tokens)
{
	uint32_t k = (uint32_t)hash & (GRAPH_MAX * 2 - 1);

	if (n_seen >= GRAPH_MAX || seen_recording != lmm_recording()) {
		memset(seen, 0, sizeof(seen));
		n_seen = 0;
		seen_recording = lmm_recording();
	}
	for (; seen[k].graph; k = (k + 1) & (GRAPH_MAX * 2 - 1)) {
		if (seen[k].hash == hash) {
			*n_tokens = seen[k].n_tokens;
			return seen[k].graph;
		}
	}
	*n_tokens = width_of(g);
	seen[k].hash = hash;
	seen[k].n_tokens = *n_tokens;
	seen[k].graph = lmm_graph_next();
	n_seen++;
	describe(g, seen[k].graph, *n_tokens);
	return seen[k].graph;
}

/* A few nodes, for programs that use no scheduler and so never tell that they changed a graph. */
static uint64_t graph_sample(const struct graph_view *g)
{
	uint64_t h = LMM_HASH_SEED;

	for (uint32_t k = 0; k < 8; k++) {
		const char *t = node_at(g, (uint32_t)((uint64_t)(g->n - 1) * k / 7));
		uint64_t ne[2];

		memcpy(ne, t + ggml.ne, sizeof(ne));
		h = lmm_hash_u64(h, (uint64_t)(uintptr_t)t ^ (uint64_t)(unsigned)op_of(t) << 48);
		h = lmm_hash_u64(h, ne[0] ^ ne[1] << 32);
	}
	return h;
}

/*
 * Sameness of a graph that nobody said was changed: address, size and a sample of its nodes. When the engine tells of
 * reallocations (all llama.cpp releases do) this is exact; without, a changed graph could in theory pass.
 */
static bool is_last(const struct graph_view *g)
{
	return last.cgraph == g->cgraph && last.n_nodes == g->n && last.base == node_at(g, 0) &&
	       last.recording == lmm_recording() && last.sample == graph_sample(g) &&
	       last.changes == atomic_load_explicit(&changes, memory_order_relaxed);
}

static void remember_last(const struct graph_view *g, uint32_t graph, uint32_t n_tokens)
{
	last.cgraph = g->cgraph;
	last.n_nodes = g->n;
	last.base = node_at(g, 0);
	last.sample = graph_sample(g);
	last.graph = graph;
	last.n_tokens = n_tokens;
	last.recording = lmm_recording();
	last.changes = atomic_load_explicit(&changes, memory_order_relaxed);
}

void lmm_ggml_graph(struct lmm_thread *th, void *cgraph, const void *ra, uint32_t *n_tokens)
{
	struct graph_view g = { .cgraph = cgraph };
	int saved = errno;
	uint32_t width = 0;

	th->graph = 0;
	th->graph_base = NULL;
	th->nodes = NULL;
	if (n_tokens)
		*n_tokens = 0;
	pthread_mutex_lock(&ggml_lock);
	if (ggml.ready == 0)
		ggml.ready = ggml_bind(ra) == 0 ? 1 : -1;
	if (ggml.ready != 1)
		goto out;
	g.n = (uint32_t)ggml.graph_n_nodes(cgraph);
	if (g.n == 0 || g.n > LMM_DESC_NODES_MAX)
		goto out;
	if (ggml.graph_nodes)
		g.nodes = ggml.graph_nodes(cgraph);
	if (!is_last(&g)) {
		uint32_t graph = graph_number(&g, graph_hash(&g), &width);

		remember_last(&g, graph, width);
	}
	th->graph = last.graph;
	th->graph_base = last.base;
	th->nodes = (const void *const *)g.nodes;
	th->n_nodes = g.n;
	th->mark = LMM_NODE_UNKNOWN;
	th->leaps = th->leapt_from = 0;
	th->asked = lmm_asked.n;
	if (n_tokens)
		*n_tokens = last.n_tokens;
out:
	pthread_mutex_unlock(&ggml_lock);
	errno = saved;
}
