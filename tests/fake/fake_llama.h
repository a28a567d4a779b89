/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for libllama: the names, types and order of calls that a program of its public interface uses. */
#ifndef FAKE_LLAMA_H
#define FAKE_LLAMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int32_t llama_token;
typedef int32_t llama_pos;
typedef int32_t llama_seq_id;

struct llama_model;
struct llama_vocab;
struct llama_context;
struct llama_sampler;
typedef struct llama_memory_i *llama_memory_t;

struct llama_batch {
	int32_t n_tokens;
	llama_token *token;
	float *embd;
	llama_pos *pos;
	int32_t *n_seq_id;
	llama_seq_id **seq_id;
	int8_t *logits;
};

struct llama_model_params {
	void *devices;
	int32_t n_gpu_layers;
	char rest[60];
};

struct llama_context_params {
	uint32_t n_ctx;
	uint32_t n_batch;
	uint32_t n_ubatch;
	uint32_t n_seq_max;
	int32_t n_threads;
	int32_t n_threads_batch;
	char rest[112];
};

struct llama_token_data_array {
	void *data;
	size_t size;
	int64_t selected;
	bool sorted;
};

struct llama_model_params llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);
struct llama_model *llama_model_load_from_file(const char *path, struct llama_model_params params);
void llama_model_free(struct llama_model *model);
struct llama_context *llama_init_from_model(struct llama_model *model,
					    struct llama_context_params params);
void llama_free(struct llama_context *ctx);

const struct llama_vocab *llama_model_get_vocab(const struct llama_model *model);
const struct llama_model *llama_get_model(const struct llama_context *ctx);
int32_t llama_vocab_n_tokens(const struct llama_vocab *vocab);
int32_t llama_model_n_layer(const struct llama_model *model);
int32_t llama_model_n_embd(const struct llama_model *model);
uint64_t llama_model_size(const struct llama_model *model);
uint64_t llama_model_n_params(const struct llama_model *model);
int32_t llama_model_desc(const struct llama_model *model, char *buf, size_t bytes);
int32_t llama_model_meta_val_str(const struct llama_model *model, const char *key, char *buf,
				 size_t bytes);
uint32_t llama_n_ctx(const struct llama_context *ctx);
uint32_t llama_n_ubatch(const struct llama_context *ctx);

struct llama_batch llama_batch_init(int32_t n_tokens, int32_t embd, int32_t n_seq_max);
struct llama_batch llama_batch_get_one(llama_token *tokens, int32_t n_tokens);
void llama_batch_free(struct llama_batch batch);
int32_t llama_decode(struct llama_context *ctx, struct llama_batch batch);
void llama_synchronize(struct llama_context *ctx);
float *llama_get_logits_ith(struct llama_context *ctx, int32_t i);
llama_memory_t llama_get_memory(const struct llama_context *ctx);
void llama_memory_clear(llama_memory_t memory, bool data);
bool llama_memory_seq_rm(llama_memory_t memory, llama_seq_id seq, llama_pos from, llama_pos to);
void llama_memory_seq_add(llama_memory_t memory, llama_seq_id seq, llama_pos from, llama_pos to,
			  llama_pos delta);
void llama_perf_context_reset(struct llama_context *ctx);
void llama_set_warmup(struct llama_context *ctx, bool warmup);

int32_t llama_tokenize(const struct llama_vocab *vocab, const char *text, int32_t len,
		       llama_token *tokens, int32_t max, bool add_special, bool parse_special);
int32_t llama_token_to_piece(const struct llama_vocab *vocab, llama_token token, char *buf,
			     int32_t len, int32_t lstrip, bool special);

struct llama_sampler *llama_sampler_chain_init(bool no_perf);
struct llama_sampler *llama_sampler_init_greedy(void);
struct llama_sampler *llama_sampler_init_top_k(int32_t k);
struct llama_sampler *llama_sampler_init_temp(float t);
struct llama_sampler *llama_sampler_init_dist(uint32_t seed);
void llama_sampler_chain_add(struct llama_sampler *chain, struct llama_sampler *sampler);
const char *llama_sampler_name(const struct llama_sampler *sampler);
void llama_sampler_apply(struct llama_sampler *sampler, struct llama_token_data_array *candidates);
void llama_sampler_accept(struct llama_sampler *sampler, llama_token token);
llama_token llama_sampler_sample(struct llama_sampler *sampler, struct llama_context *ctx,
				 int32_t i);
void llama_sampler_free(struct llama_sampler *sampler);

#endif
