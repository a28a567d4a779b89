/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with NVTX ranges, whose headers look for an injection as NVTX 3's do: by NVTX_INJECTION64_PATH alone, at the first call.
 * usage: nvtxplay N [phases]: with phases, N steps with ranges named as vLLM, TensorRT-LLM and others name theirs
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

typedef void function(void);

struct callbacks {
	size_t bytes;
	int (*module_functions)(int module, function ****table, unsigned *n);
};

struct attributes {
	uint16_t version, bytes;
	uint32_t category;
	int32_t color_type;
	uint32_t color;
	int32_t payload_type, reserved;
	uint64_t payload;
	int32_t message_type;
	const void *message;
};

/* NvtxCallbackModule CORE has 16, CORE2 16 functions; number 0 is none. */
static function *core[16], *core2[16];
static function **core_table[16], **core2_table[16];

static int module_functions(int module, function ****table, unsigned *n)
{
	if (module != 1 && module != 5)
		return 0;
	*table = module == 1 ? core_table : core2_table;
	*n = 16;
	return 1;
}

static const void *table_of(uint32_t what)
{
	static const struct callbacks callbacks = { sizeof(callbacks), module_functions };

	return what == 1 ? &callbacks : NULL;
}

static void initialize(void)
{
	const char *path = getenv("NVTX_INJECTION64_PATH");
	void *h = path ? dlopen(path, RTLD_LAZY) : NULL;
	int (*injection)(const void *(*)(uint32_t)) = NULL;

	for (int i = 0; i < 16; i++) {
		core_table[i] = &core[i];
		core2_table[i] = &core2[i];
	}
	if (h)
		*(void **)&injection = dlsym(h, "InitializeInjectionNvtx2");
	printf("injection %d\n", injection ? injection(table_of) : -1);
}

static void push(const char *text)
{
	if (core[9])
		((int (*)(const char *))core[9])(text);
}

static void push_wide(const wchar_t *text)
{
	if (core[10])
		((int (*)(const wchar_t *))core[10])(text);
}

static void pop(void)
{
	if (core[11])
		((int (*)(void))core[11])();
}

static uint64_t start(const char *text)
{
	return core[5] ? ((uint64_t(*)(const char *))core[5])(text) : 0;
}

static uint64_t start_wide(const wchar_t *text)
{
	return core[6] ? ((uint64_t(*)(const wchar_t *))core[6])(text) : 0;
}

static void *end(void *id)
{
	if (core[7])
		((void (*)(uint64_t))core[7])(*(uint64_t *)id);
	return NULL;
}

static void wide(void *domain)
{
	static const wchar_t text[] = L"wide message";
	struct attributes a = {
		.version = 3, .bytes = sizeof(a), .message_type = 2, .message = text
	};
	uint64_t id;

	push_wide(L"gr\u00f6\u00dfe \u2211 \U0001d6fc");
	pop();
	/* 63 bytes are kept, and no part of a character */
	push_wide(L"01234567890123456789012345678901234567890123456789012345678901\u00fc");
	pop();
	id = start_wide(L"wide request");
	end(&id);
	if (core2[11])
		a.message = ((void *(*)(void *, const wchar_t *))core2[11])(domain, text);
	a.message_type = core2[11] ? 3 : 2;
	for (int i = 0; i < 2; i++) {
		if (core2[4])
			((int (*)(void *, const struct attributes *))core2[4])(domain, &a);
		if (core2[5])
			((int (*)(void *))core2[5])(domain);
		a.message = text;
		a.message_type = 2;
	}
}

static void domain_range(void *domain, void *string, const char *text)
{
	struct attributes a = { .version = 3,
				.bytes = sizeof(a),
				.message_type = string ? 3 : 1,
				.message = string ? string : text };

	if (core2[4])
		((int (*)(void *, const struct attributes *))core2[4])(domain, &a);
	if (core2[5])
		((int (*)(void *))core2[5])(domain);
}

static void range(const char *text, unsigned us)
{
	push(text);
	usleep(us);
	pop();
}

/* A prompt, then a token each: the step's range, a layer's in it, and the choice behind it. */
static int phases(unsigned n)
{
	static const char *const steps[] = { "execute_context_%u(5)_generation_%u(2)",
					     "[Executor] _forward_step 7: %u ctx reqs, %u gen reqs",
					     "executeStep: %u ctx reqs, %u gen reqs" };
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		range("embedding", 100);
		snprintf(name, sizeof(name), steps[i % 3], i == 0, i);
		push(name);
		range("gpu_model_runner: forward", 1000);
		range("decode", 100); /* within a step it is none */
		pop();
		range(i % 2 ? "gpu_model_runner: sample" : "_sample_async", 200);
	}
	puts("done");
	return 0;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
	void *domain = NULL, *string = NULL;
	char name[32];

	initialize();
	if (argc > 2)
		return phases(n);
	if (core2[12])
		domain = ((void *(*)(const char *))core2[12])("engine");
	if (core2[10])
		string = ((void *(*)(void *, const char *))core2[10])(domain, "registered");
	for (unsigned i = 0; i < n; i++) {
		pthread_t other;
		uint64_t id;

		/* the same place in memory, another text */
		snprintf(name, sizeof(name), "layer %u", i % 2);
		push("forward");
		push(name);
		pop();
		pop();
		domain_range(domain, string, NULL);
		domain_range(domain, NULL, "plain");
		id = start("request");
		if (pthread_create(&other, NULL, end, &id) == 0)
			pthread_join(other, NULL);
		wide(domain);
		pop(); /* one too many */
	}
	puts("done");
	return 0;
}
