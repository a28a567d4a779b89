/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVTX ranges (vLLM, TensorRT-LLM, PyTorch, …) as spans, and as phases where their names say so. Each linked object that has NVTX's headers
 * in it asks for an injection once and hands over its table of functions; `lmmeter run` names this library in NVTX_INJECTION64_PATH,
 * unless the user names another. Own declarations, of NVTX 3. What is not set in the table costs the program nothing.
 */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "base/hash.h"
#include "lmmeter/mark.h"
#include "probe/engines/mark.h"
#include "probe/engines/nvtx_phases.h"
#include "probe/probe.h"

#define SITES	   512u /* names told apart; a power of two */
#define NAME_BYTES 64
#define OPEN_MAX   256u /* ranges that are begun and not ended on any thread */

typedef void nvtx_function(void);

/* NvtxExportTableCallbacks */
struct nvtx_callbacks {
	size_t bytes;
	int (*module_functions)(int module, nvtx_function ****table, unsigned *n);
};

/* nvtxEventAttributes_v2 */
struct nvtx_attributes {
	uint16_t version, bytes;
	uint32_t category;
	int32_t color_type;
	uint32_t color;
	int32_t payload_type, reserved;
	uint64_t payload;
	int32_t message_type;
	union {
		const char *text;
		const wchar_t *wide;
		void *registered;
	} message;
};

_Static_assert(offsetof(struct nvtx_attributes, message) == 40, "as NVTX has it");

enum { NVTX_CALLBACKS = 1 };
enum { NVTX_MODULE_CORE = 1, NVTX_MODULE_CORE2 = 5 };
enum { NVTX_TEXT = 1, NVTX_WIDE = 2, NVTX_REGISTERED = 3 };

struct named_site {
	struct lmm_mark_site site;
	_Atomic uint64_t hash; /* 0: free */
	uint8_t phase;	       /* what its ranges are; LMM_PHASE_NONE: spans */
	char name[NAME_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct named_site sites[SITES];
static _Atomic unsigned n_sites;
static struct named_site other = { .site = LMM_MARK_SITE("(other ranges)") };
/* of texts with numbers in them, which are never the same */
static struct named_site of_phase[LMM_PHASE_COUNT];

static struct {
	_Atomic(struct named_site *) site;
	uint64_t t;
} open_ranges[OPEN_MAX];
static _Atomic uint64_t next_range;

/* ---- names -------------------------------------------------------------------------------------- */

static void of_phase_init(void)
{
	for (unsigned i = 0; i < LMM_PHASE_COUNT; i++) {
		of_phase[i].site.name = lmm_phase_name(i);
		of_phase[i].phase = (uint8_t)i;
	}
}

static LMM_COLD struct named_site *site_make(uint32_t k, uint64_t hash, const char *text)
{
	bool is_numbered;
	unsigned phase = lmm_nvtx_phase(text, &is_numbered);
	struct named_site *s = phase ? &of_phase[phase] : &other;

	if (is_numbered || atomic_load_explicit(&n_sites, memory_order_relaxed) >= SITES / 2)
		return s;
	pthread_mutex_lock(&lock);
	for (;; k = (k + 1) & (SITES - 1)) {
		uint64_t h = atomic_load(&sites[k].hash);

		if (h == hash)
			break;
		if (h)
			continue;
		if (n_sites >= SITES / 2) {
			pthread_mutex_unlock(&lock);
			return s;
		}
		n_sites++;
		(void)strncpy(sites[k].name, text, NAME_BYTES - 1);
		sites[k].site.name = sites[k].name;
		sites[k].phase = (uint8_t)phase;
		/* pairs with the acquire in site_of() */
		atomic_store_explicit(&sites[k].hash, hash, memory_order_release);
		break;
	}
	s = &sites[k];
	pthread_mutex_unlock(&lock);
	return s;
}

/* By what the text says: programs make it anew each time, where another was. */
static struct named_site *site_of(const char *text)
{
	uint64_t hash, h;
	uint32_t k;

	if (!text || !text[0])
		return &other;
	hash = lmm_hash_bytes(LMM_HASH_SEED, text, strnlen(text, NAME_BYTES - 1)) | 1;
	k = (uint32_t)(hash >> 32) & (SITES - 1);
	for (;; k = (k + 1) & (SITES - 1)) {
		h = atomic_load_explicit(&sites[k].hash, memory_order_acquire);
		if (h == hash)
			return &sites[k];
		if (!h)
			return site_make(k, hash, text);
	}
}

/* As UTF-8, which has as many bytes as this. 0: it is no character. */
static unsigned utf8_put(char *to, uint32_t c)
{
	unsigned n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (n == 1) {
		to[0] = (char)c;
		return 1;
	}
	for (unsigned i = n - 1; i; i--, c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(0xf0 << (4 - n) | c);
	return n;
}

static struct named_site *site_of_wide(const wchar_t *text)
{
	char name[NAME_BYTES + 3] = "";
	unsigned at = 0, n = 0;

	for (; text && *text && at < NAME_BYTES; at += n) {
		n = utf8_put(name + at, (uint32_t)*text++);
		if (!n)
			break;
	}
	/* whole characters alone */
	if (at >= NAME_BYTES)
		at -= n;
	name[at] = 0;
	return site_of(name);
}

static struct named_site *site_of_attributes(const struct nvtx_attributes *a)
{
	if (!a || a->bytes < sizeof(*a))
		return &other;
	if (a->message_type == NVTX_TEXT)
		return site_of(a->message.text);
	if (a->message_type == NVTX_WIDE)
		return site_of_wide(a->message.wide);
	if (a->message_type == NVTX_REGISTERED && a->message.registered)
		return a->message.registered;
	return &other;
}

/* ---- ranges of a thread ------------------------------------------------------------------------- */

static int push(struct named_site *s)
{
	if (s->phase) {
		lmm_range_begin(&s->site, s->phase);
	} else {
		lmm_span_begin(&s->site);
	}
	return 0;
}

static int push_text(const char *text)
{
	return lmm_recording() ? push(site_of(text)) : 0;
}

static int push_wide(const wchar_t *text)
{
	return lmm_recording() ? push(site_of_wide(text)) : 0;
}

static int push_ex(const struct nvtx_attributes *a)
{
	return lmm_recording() ? push(site_of_attributes(a)) : 0;
}

static int pop(void)
{
	lmm_span_end();
	return 0;
}

static int domain_push_ex(void *domain, const struct nvtx_attributes *a)
{
	(void)domain;
	return push_ex(a);
}

static int domain_pop(void *domain)
{
	(void)domain;
	return pop();
}

/* ---- ranges that end anywhere ------------------------------------------------------------------- */

static uint64_t range_start(struct named_site *s)
{
	uint64_t id = atomic_fetch_add_explicit(&next_range, 1, memory_order_relaxed);
	uint32_t at = (uint32_t)id & (OPEN_MAX - 1);

	open_ranges[at].t = lmm_now();
	/* pairs with the exchange in range_end(); one that was open for 256 others is let go */
	atomic_store_explicit(&open_ranges[at].site, s, memory_order_release);
	return id + 1;
}

static uint64_t start_text(const char *text)
{
	return lmm_recording() ? range_start(site_of(text)) : 0;
}

static uint64_t start_wide(const wchar_t *text)
{
	return lmm_recording() ? range_start(site_of_wide(text)) : 0;
}

static uint64_t start_ex(const struct nvtx_attributes *a)
{
	return lmm_recording() ? range_start(site_of_attributes(a)) : 0;
}

static uint64_t domain_start_ex(void *domain, const struct nvtx_attributes *a)
{
	(void)domain;
	return start_ex(a);
}

static void range_end(uint64_t id)
{
	uint32_t at = (uint32_t)(id - 1) & (OPEN_MAX - 1);
	uint64_t newest = atomic_load_explicit(&next_range, memory_order_relaxed);
	struct named_site *s;
	uint64_t t;

	if (!id || id > newest || newest - id >= OPEN_MAX)
		return;
	t = open_ranges[at].t;
	s = atomic_exchange_explicit(&open_ranges[at].site, NULL, memory_order_acquire);
	if (s && lmm_recording())
		lmm_span_put(&s->site, t);
}

static void domain_range_end(void *domain, uint64_t id)
{
	(void)domain;
	range_end(id);
}

/* ---- handles ------------------------------------------------------------------------------------ */

static void *domain_create(const char *name)
{
	(void)name;
	return &other; /* not NULL, and all of them one */
}

static void *domain_create_wide(const wchar_t *name)
{
	(void)name;
	return &other;
}

static void *string_register(void *domain, const char *text)
{
	(void)domain;
	return site_of(text);
}

static void *string_register_wide(void *domain, const wchar_t *text)
{
	(void)domain;
	return site_of_wide(text);
}

/* ---- the injection ------------------------------------------------------------------------------ */

struct entry {
	unsigned at;
	nvtx_function *fn;
};

static const struct entry core[] = {
	{ 4, (nvtx_function *)start_ex },   { 5, (nvtx_function *)start_text },
	{ 6, (nvtx_function *)start_wide }, { 7, (nvtx_function *)range_end },
	{ 8, (nvtx_function *)push_ex },    { 9, (nvtx_function *)push_text },
	{ 10, (nvtx_function *)push_wide }, { 11, (nvtx_function *)pop },
};
static const struct entry core2[] = {
	{ 2, (nvtx_function *)domain_start_ex },  { 3, (nvtx_function *)domain_range_end },
	{ 4, (nvtx_function *)domain_push_ex },	  { 5, (nvtx_function *)domain_pop },
	{ 10, (nvtx_function *)string_register }, { 11, (nvtx_function *)string_register_wide },
	{ 12, (nvtx_function *)domain_create },	  { 13, (nvtx_function *)domain_create_wide },
};

static int fill(const struct nvtx_callbacks *callbacks, int module, const struct entry *entries,
		size_t n)
{
	nvtx_function ***table = NULL;
	unsigned size = 0;

	if (!callbacks->module_functions(module, &table, &size) || !table)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (entries[i].at < size && table[entries[i].at])
			*table[entries[i].at] = entries[i].fn;
	}
	return 1;
}

LMM_EXPORT int InitializeInjectionNvtx2(const void *(*table_of)(uint32_t what));

LMM_EXPORT int InitializeInjectionNvtx2(const void *(*table_of)(uint32_t what))
{
	const struct nvtx_callbacks *callbacks = table_of ? table_of(NVTX_CALLBACKS) : NULL;

	if (!callbacks || callbacks->bytes < sizeof(*callbacks) || !callbacks->module_functions)
		return 0;
	of_phase_init();
	lmm_probe_start();
	/* it is asked when the program makes its first range: others of its objects may follow */
	return fill(callbacks, NVTX_MODULE_CORE, core, LMM_ARRAY_SIZE(core)) |
	       fill(callbacks, NVTX_MODULE_CORE2, core2, LMM_ARRAY_SIZE(core2));
}

void lmm_nvtx_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}
