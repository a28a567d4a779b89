/* SPDX-License-Identifier: Apache-2.0 */
/* A model of four layers whose tokens are a fixed function of what went before. */
#include "fake_llama.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_ggml.h"

#define N_LAYER	    4
#define N_EMBD	    64
#define N_VOCAB	    1000
#define CHAIN_MAX   8
#define SEQ_MAX	    64
#define GRAPH_BYTES (1u << 20)

struct llama_vocab {
	int n;
};

struct llama_model {
	struct llama_vocab vocab;
	struct ggml_context *ctx;
	struct ggml_tensor *embd, *norm, *output;
	struct ggml_tensor *w[N_LAYER][8];
};

struct llama_memory_i {
	llama_pos next[SEQ_MAX];
	uint64_t hash[SEQ_MAX];
};

struct llama_context {
	struct llama_model *model;
	struct llama_context_params params;
	struct llama_memory_i memory;
	char *graph_mem;
	struct ggml_context *ctx;
	struct ggml_cgraph *graph;
	int graph_tokens;
	struct ggml_tensor *result;
	float *logits;
	uint64_t *row_hash; /* what the token of an output row depends on */
};

struct llama_sampler {
	const char *name;
	/* as in the real one: the public function calls this, and a chain's calls the public function again */
	void (*apply)(struct llama_sampler *sampler, struct llama_token_data_array *candidates);
	void (*accept)(struct llama_sampler *sampler, llama_token token);
	uint64_t ns;
	struct llama_sampler *part[CHAIN_MAX];
	int n_parts;
};

struct llama_model_params llama_model_default_params(void)
{
	struct llama_model_params p = { 0 };

	return p;
}

struct llama_context_params llama_context_default_params(void)
{
	struct llama_context_params p = { .n_ctx = 4096,
					  .n_batch = 2048,
					  .n_ubatch = 512,
					  .n_seq_max = 1,
					  .n_threads = 1,
					  .n_threads_batch = 1 };

	return p;
}

static struct ggml_tensor *weight(struct llama_model *m, const char *name, int64_t ne0, int64_t ne1)
{
	struct ggml_tensor *t =
		ggml_new_tensor_2d(m->ctx, ne1 > 1 ? GGML_TYPE_Q4_1 : GGML_TYPE_F32, ne0, ne1);

	return ggml_set_name(t, name);
}

static void layer_weights(struct llama_model *m, int il)
{
	static const char *const names[8] = { "attn_norm",   "attn_q",	 "attn_k", "attn_v",
					      "attn_output", "ffn_norm", "ffn_up", "ffn_down" };
	char name[64];

	for (int i = 0; i < 8; i++) {
		int norm = i == 0 || i == 5;

		snprintf(name, sizeof(name), "blk.%d.%s.weight", il, names[i]);
		m->w[il][i] = weight(m, name, N_EMBD, norm ? 1 : N_EMBD);
	}
}

struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params)
{
	struct ggml_init_params ip = { .mem_size = GRAPH_BYTES };
	struct llama_model *m = calloc(1, sizeof(*m));

	(void)params;
	if (!m || !path)
		return NULL;
	m->vocab.n = N_VOCAB;
	m->ctx = ggml_init(ip);
	if (!m->ctx) {
		free(m);
		return NULL;
	}
	m->embd = weight(m, "token_embd.weight", N_EMBD, N_VOCAB);
	m->norm = weight(m, "output_norm.weight", N_EMBD, 1);
	m->output = weight(m, "output.weight", N_EMBD, N_VOCAB);
	for (int i = 0; i < N_LAYER; i++)
		layer_weights(m, i);
	fake_spin_ns(fake_duration("FAKE_LOAD_NS", 1000000));
	return m;
}

void llama_model_free(struct llama_model *model)
{
	if (!model)
		return;
	ggml_free(model->ctx);
	free(model);
}

struct llama_context *llama_init_from_model(struct llama_model *model,
					    struct llama_context_params params)
{
	struct llama_context *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->model = model;
	ctx->params = params;
	ctx->graph_mem = calloc(1, GRAPH_BYTES);
	ctx->logits = calloc((size_t)SEQ_MAX * N_VOCAB, sizeof(float));
	ctx->row_hash = calloc(8192, sizeof(*ctx->row_hash));
	if (!ctx->graph_mem || !ctx->logits || !ctx->row_hash)
		abort();
	fake_backend_set_n_threads(params.n_threads);
	fake_spin_ns(fake_duration("FAKE_INIT_NS", 500000));
	return ctx;
}

void llama_free(struct llama_context *ctx)
{
	if (!ctx)
		return;
	ggml_free(ctx->ctx);
	free(ctx->graph_mem);
	free(ctx->logits);
	free(ctx->row_hash);
	free(ctx);
}

const struct llama_vocab *llama_model_get_vocab(const struct llama_model *model)
{
	return &model->vocab;
}

const struct llama_model *llama_get_model(const struct llama_context *ctx)
{
	return ctx->model;
}

int32_t llama_vocab_n_tokens(const struct llama_vocab *vocab)
{
	return vocab->n;
}

int32_t llama_model_n_layer(const struct llama_model *model)
{
	(void)model;
	return N_LAYER;
}

int32_t llama_model_n_embd(const struct llama_model *model)
{
	(void)model;
	return N_EMBD;
}

uint64_t llama_model_size(const struct llama_model *model)
{
	(void)model;
	return 123456;
}

uint64_t llama_model_n_params(const struct llama_model *model)
{
	(void)model;
	return 234567;
}

int32_t llama_model_desc(const struct llama_model *model, char *buf, size_t bytes)
{
	(void)model;
	return snprintf(buf, bytes, "fake 4L Q4_1");
}

int32_t llama_model_meta_val_str(const struct llama_model *model, const char *key, char *buf,
				 size_t bytes)
{
	(void)model;
	if (!strcmp(key, "general.name"))
		return snprintf(buf, bytes, "Fake Model");
	if (!strcmp(key, "general.architecture"))
		return snprintf(buf, bytes, "fake");
	if (bytes)
		buf[0] = 0;
	return -1;
}

uint32_t llama_n_ctx(const struct llama_context *ctx)
{
	return ctx->params.n_ctx;
}

uint32_t llama_n_ubatch(const struct llama_context *ctx)
{
	return ctx->params.n_ubatch;
}

struct llama_batch llama_batch_init(int32_t n_tokens, int32_t embd, int32_t n_seq_max)
{
	struct llama_batch b = { 0 };
	size_t n = (size_t)n_tokens;

	(void)embd;
	b.token = calloc(n, sizeof(*b.token));
	b.pos = calloc(n, sizeof(*b.pos));
	b.n_seq_id = calloc(n, sizeof(*b.n_seq_id));
	b.seq_id = calloc(n + 1, sizeof(*b.seq_id));
	b.logits = calloc(n, 1);
	if (!b.token || !b.pos || !b.n_seq_id || !b.seq_id || !b.logits)
		abort();
	for (size_t i = 0; i < n; i++)
		b.seq_id[i] = calloc((size_t)n_seq_max, sizeof(**b.seq_id));
	return b;
}

struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t n_tokens)
{
	struct llama_batch b = { .n_tokens = n_tokens, .token = tokens };

	return b;
}

void llama_batch_free(struct llama_batch batch)
{
	for (int i = 0; batch.seq_id && batch.seq_id[i]; i++)
		free(batch.seq_id[i]);
	free(batch.seq_id);
	free(batch.token);
	free(batch.pos);
	free(batch.n_seq_id);
	free(batch.logits);
}

static struct ggml_tensor *node(struct llama_context *c, enum ggml_op op, struct ggml_tensor *a,
				struct ggml_tensor *b, const char *name, int il)
{
	struct ggml_tensor *t = fake_op(c->ctx, op, a, b);
	char full[64];

	if (il >= 0)
		snprintf(full, sizeof(full), "%s-%d", name, il);
	else
		snprintf(full, sizeof(full), "%s", name);
	ggml_set_name(t, full);
	ggml_build_forward_expand(c->graph, t);
	return t;
}

static struct ggml_tensor *layer_nodes(struct llama_context *c, struct ggml_tensor *x, int il)
{
	struct ggml_tensor *const *w = c->model->w[il];
	struct ggml_tensor *n, *q, *k, *v, *kq, *o, *r;

	n = node(c, GGML_OP_RMS_NORM, x, NULL, "norm", il);
	n = node(c, GGML_OP_MUL, n, w[0], "attn_norm", il);
	q = node(c, GGML_OP_MUL_MAT, w[1], n, "Qcur", il);
	q = node(c, GGML_OP_ROPE, q, NULL, "Qcur", il);
	k = node(c, GGML_OP_MUL_MAT, w[2], n, "Kcur", il);
	v = node(c, GGML_OP_MUL_MAT, w[3], n, "Vcur", il);
	r = ggml_reshape_2d(c->ctx, v, v->ne[0], v->ne[1]);
	ggml_set_name(r, "Vcur (reshaped)");
	ggml_build_forward_expand(c->graph, r);
	kq = node(c, GGML_OP_MUL_MAT, k, q, "kq", il);
	kq = node(c, GGML_OP_SOFT_MAX, kq, NULL, "kq_soft_max", il);
	o = node(c, GGML_OP_MUL_MAT, w[4], n, "attn_out", il);
	(void)kq;
	x = node(c, GGML_OP_ADD, o, x, "ffn_inp", il);
	n = node(c, GGML_OP_RMS_NORM, x, NULL, "norm", il);
	n = node(c, GGML_OP_MUL, n, w[5], "ffn_norm", il);
	n = node(c, GGML_OP_MUL_MAT, w[6], n, "ffn_up", il);
	n = node(c, GGML_OP_GLU, n, NULL, "ffn_swiglu", il);
	n = node(c, GGML_OP_MUL_MAT, w[7], n, "ffn_out", il);
	return node(c, GGML_OP_ADD, n, x, "l_out", il);
}

/* A new graph where the number of tokens has changed, else the old one is run again: as llama.cpp does. */
static void graph_prepare(struct llama_context *c, int n_tokens)
{
	struct ggml_init_params ip = { .mem_size = GRAPH_BYTES, .mem_buffer = c->graph_mem };
	struct ggml_tensor *x, *ids;

	if (c->graph && c->graph_tokens == n_tokens && !getenv("FAKE_REBUILD"))
		return;
	ggml_free(c->ctx);
	c->ctx = ggml_init(ip);
	c->graph = ggml_new_graph(c->ctx);
	ids = ggml_set_name(ggml_new_tensor_1d(c->ctx, GGML_TYPE_I32, n_tokens), "inp_tokens");
	x = node(c, GGML_OP_GET_ROWS, c->model->embd, ids, "embd", -1);
	for (int il = 0; il < N_LAYER; il++)
		x = layer_nodes(c, x, il);
	x = node(c, GGML_OP_RMS_NORM, x, NULL, "norm", -1);
	x = node(c, GGML_OP_MUL, x, c->model->norm, "result_norm", -1);
	c->result = node(c, GGML_OP_MUL_MAT, c->model->output, x, "result_output", -1);
	c->graph_tokens = n_tokens;
	ggml_backend_sched_alloc_graph(NULL, c->graph);
}

/* Takes the tokens into the memory; returns the number of output rows. */
static int batch_take(struct llama_context *c, const struct llama_batch *b)
{
	int outputs = 0;

	for (int i = 0; i < b->n_tokens; i++) {
		int seq = b->seq_id ? b->seq_id[i][0] : 0;

		if (seq < 0 || seq >= SEQ_MAX)
			return -1;
		c->memory.next[seq] = b->pos ? b->pos[i] + 1 : c->memory.next[seq] + 1;
		c->memory.hash[seq] =
			(c->memory.hash[seq] ^ (uint64_t)b->token[i]) * 0x100000001b3u + 7;
		c->row_hash[i] = c->memory.hash[seq];
		outputs += b->logits ? b->logits[i] != 0 : i == b->n_tokens - 1;
	}
	return outputs;
}

/* FAKE_ROOM=n: a context holds n tokens of each sequence. */
static bool has_room(const struct llama_batch *batch)
{
	const char *room = getenv("FAKE_ROOM");

	for (int i = 0; room && batch->pos && i < batch->n_tokens; i++) {
		if (batch->pos[i] >= atoi(room))
			return false;
	}
	return true;
}

int32_t llama_decode(struct llama_context *ctx, struct llama_batch batch)
{
	int outputs, done = 0, ubatch = (int)ctx->params.n_ubatch;

	if (batch.n_tokens <= 0 || batch.n_tokens > 8192)
		return -1;
	if (!has_room(&batch))
		return 1;
	outputs = batch_take(ctx, &batch);
	if (outputs < 0 || outputs > SEQ_MAX)
		return -1;
	while (done < batch.n_tokens) {
		int n = batch.n_tokens - done < ubatch ? batch.n_tokens - done : ubatch;

		graph_prepare(ctx, n);
		ggml_backend_sched_graph_compute_async(NULL, ctx->graph);
		done += n;
	}
	if (outputs)
		ggml_backend_tensor_get_async(NULL, ctx->result, ctx->logits, 0,
					      (size_t)outputs * N_VOCAB * sizeof(float));
	return 0;
}

__attribute__((noinline)) void llama_synchronize(struct llama_context *ctx)
{
	(void)ctx;
	ggml_backend_synchronize(NULL);
}

__attribute__((noinline)) float *llama_get_logits_ith(struct llama_context *ctx, int32_t i)
{
	llama_synchronize(ctx);
	(void)i;
	return ctx->logits;
}

llama_memory_t llama_get_memory(const struct llama_context *ctx)
{
	return (llama_memory_t)&ctx->memory;
}

void llama_memory_clear(llama_memory_t memory, bool data)
{
	(void)data;
	memset(memory, 0, sizeof(*memory));
}

bool llama_memory_seq_rm(llama_memory_t memory, llama_seq_id seq, llama_pos from, llama_pos to)
{
	for (int s = 0; s < SEQ_MAX; s++) {
		if (seq >= 0 && s != seq)
			continue;
		if (to >= 0 && to < memory->next[s])
			continue; /* those behind are there */
		if (from <= 0)
			memory->hash[s] = 0;
		if (memory->next[s] > from)
			memory->next[s] = from < 0 ? 0 : from;
	}
	return true;
}

void llama_memory_seq_add(llama_memory_t memory, llama_seq_id seq, llama_pos from, llama_pos to,
			  llama_pos delta)
{
	if (from < memory->next[seq] && memory->next[seq] <= to)
		memory->next[seq] += delta;
}

void llama_perf_context_reset(struct llama_context *ctx)
{
	(void)ctx;
}

void llama_set_warmup(struct llama_context *ctx, bool warmup)
{
	(void)ctx;
	(void)warmup;
}

/* One token per word. */
int32_t llama_tokenize(const struct llama_vocab *vocab, const char *text, int32_t len,
		       llama_token *tokens, int32_t max, bool add_special, bool parse_special)
{
	int32_t n = 0;
	uint32_t h = 0;

	(void)add_special;
	(void)parse_special;
	for (int32_t i = 0; i <= len; i++) {
		if (i < len && text[i] != ' ') {
			h = h * 31 + (unsigned char)text[i];
			continue;
		}
		if (n < max)
			tokens[n] = (llama_token)(h % (uint32_t)vocab->n);
		n++;
		h = 0;
	}
	fake_spin_ns(fake_duration("FAKE_TOKENIZE_NS", 50000));
	return n <= max ? n : -n;
}

int32_t llama_token_to_piece(const struct llama_vocab *vocab, llama_token token, char *buf,
			     int32_t len, int32_t lstrip, bool special)
{
	(void)vocab;
	(void)lstrip;
	(void)special;
	fake_spin_ns(fake_duration("FAKE_PIECE_NS", 3000));
	return snprintf(buf, (size_t)len, " w%d", token);
}

static void one_apply(struct llama_sampler *sampler, struct llama_token_data_array *candidates)
{
	fake_spin_ns(sampler->ns);
	candidates->selected = 0;
}

static void one_accept(struct llama_sampler *sampler, llama_token token)
{
	(void)sampler;
	(void)token;
}

static void chain_apply(struct llama_sampler *chain, struct llama_token_data_array *candidates)
{
	for (int i = 0; i < chain->n_parts; i++)
		llama_sampler_apply(chain->part[i], candidates);
	fake_spin_ns(chain->ns);
}

static void chain_accept(struct llama_sampler *chain, llama_token token)
{
	for (int i = 0; i < chain->n_parts; i++)
		llama_sampler_accept(chain->part[i], token);
}

static struct llama_sampler *sampler_new(const char *name, const char *variable, uint64_t ns)
{
	struct llama_sampler *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->name = name;
	s->apply = one_apply;
	s->accept = one_accept;
	s->ns = fake_duration(variable, ns);
	return s;
}

struct llama_sampler *llama_sampler_chain_init(bool no_perf)
{
	struct llama_sampler *s = sampler_new("chain", "FAKE_CHAIN_NS", 1000);

	(void)no_perf;
	s->apply = chain_apply;
	s->accept = chain_accept;
	return s;
}

struct llama_sampler *llama_sampler_init_greedy(void)
{
	return sampler_new("greedy", "FAKE_GREEDY_NS", 5000);
}

struct llama_sampler *llama_sampler_init_top_k(int32_t k)
{
	(void)k;
	return sampler_new("top-k", "FAKE_TOP_K_NS", 20000);
}

struct llama_sampler *llama_sampler_init_temp(float t)
{
	(void)t;
	return sampler_new("temp", "FAKE_TEMP_NS", 2000);
}

struct llama_sampler *llama_sampler_init_dist(uint32_t seed)
{
	(void)seed;
	return sampler_new("dist", "FAKE_DIST_NS", 10000);
}

void llama_sampler_chain_add(struct llama_sampler *chain, struct llama_sampler *sampler)
{
	if (chain->n_parts < CHAIN_MAX)
		chain->part[chain->n_parts++] = sampler;
}

const char *llama_sampler_name(const struct llama_sampler *sampler)
{
	return sampler->name;
}

__attribute__((noinline)) void llama_sampler_apply(struct llama_sampler *sampler,
						   struct llama_token_data_array *candidates)
{
	if (sampler)
		sampler->apply(sampler, candidates);
}

__attribute__((noinline)) void llama_sampler_accept(struct llama_sampler *sampler,
						    llama_token token)
{
	if (sampler)
		sampler->accept(sampler, token);
}

llama_token llama_sampler_sample(struct llama_sampler *sampler, struct llama_context *ctx,
				 int32_t i)
{
	struct llama_token_data_array candidates = { 0 };
	float *logits = llama_get_logits_ith(ctx, i);
	/* -1 is the last row; there is but one sequence then */
	uint64_t hash = i < 0 ? ctx->memory.hash[0] : ctx->row_hash[i];
	llama_token token = (llama_token)((hash >> 20) % N_VOCAB);

	candidates.data = logits;
	candidates.size = N_VOCAB;
	llama_sampler_apply(sampler, &candidates);
	llama_sampler_accept(sampler, token);
	return token;
}

void llama_sampler_free(struct llama_sampler *sampler)
{
	if (!sampler)
		return;
	for (int i = 0; i < sampler->n_parts; i++)
		llama_sampler_free(sampler->part[i]);
	free(sampler);
}

/* The CPU module is a plug-in in a scope of its own, as in distributed builds; FAKE_GLOBAL puts it in everybody's. */
__attribute__((constructor)) static void backend_load(void)
{
	Dl_info info;
	char path[4096];
	const char *slash;

	if (!dladdr((void *)backend_load, &info) || !(slash = strrchr(info.dli_fname, '/')))
		return;
	snprintf(path, sizeof(path), "%.*s/libggml-cpu.so", (int)(slash - info.dli_fname),
		 info.dli_fname);
	if (!dlopen(path, RTLD_NOW | (getenv("FAKE_GLOBAL") ? RTLD_GLOBAL : RTLD_LOCAL))) {
		fprintf(stderr, "fake llama: %s\n", dlerror());
		abort();
	}
	/* one for a device takes its place */
	if (getenv("FAKE_BACKEND") && !dlopen(getenv("FAKE_BACKEND"), RTLD_NOW | RTLD_LOCAL)) {
		fprintf(stderr, "fake llama: %s\n", dlerror());
		abort();
	}
}
