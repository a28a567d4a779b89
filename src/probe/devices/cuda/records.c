/* SPDX-License-Identifier: Apache-2.0 */
/* CUPTI's buffers and what is kept of its records: they go, and names with them, when CUPTI is detached. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/cuda/window.h"

#define BUFFER_BYTES (1u << 20)
#define POOL	     4u
#define NAMES	     (2 * LMM_DEVICE_KERNELS) /* by address; a power of two */
/* CUPTI's clock and ours are compared by CUPTI: a stamp may lie so far outside of the window */
#define TOLERANCE_NS 1000000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmm_cu_record *records;
static _Atomic uint32_t n_records; /* changed with the lock held */
static struct lmm_cu_losses losses;
static uint64_t opened_ns;
static struct {
	const char *name;
	uint32_t number;
} names[NAMES];
static uint32_t n_names;

/* ---- buffers ------------------------------------------------------------------------------------ */

/* Kept, with their pages: to get them anew for each window would lengthen its stalls. */
static struct {
	void *at;
	bool is_lent;
} pool[POOL];

static void *buffer_get(void)
{
	void *p = NULL;

	pthread_mutex_lock(&pool_lock);
	for (unsigned i = 0; i < POOL && !p; i++) {
		if (pool[i].is_lent)
			continue;
		if (!pool[i].at && !posix_memalign(&pool[i].at, 64, BUFFER_BYTES))
			memset(pool[i].at, 0, BUFFER_BYTES);
		pool[i].is_lent = pool[i].at != NULL;
		p = pool[i].at;
	}
	pthread_mutex_unlock(&pool_lock);
	return p;
}

/* False: it is none of the pool's. */
static bool buffer_put(const void *p)
{
	bool is_ours = false;

	pthread_mutex_lock(&pool_lock);
	for (unsigned i = 0; i < POOL; i++) {
		if (p && pool[i].at == p) {
			pool[i].is_lent = false;
			is_ours = true;
		}
	}
	pthread_mutex_unlock(&pool_lock);
	return is_ours;
}

/* Ahead of a window. */
static void buffers_warm(void)
{
	const void *p = buffer_get();

	if (p)
		buffer_put(p);
}

void lmm_cu_records_request(uint8_t **buffer, size_t *bytes, size_t *records_max)
{
	int saved = errno;
	void *p = buffer_get();

	if (!p && posix_memalign(&p, 64, BUFFER_BYTES))
		p = NULL;
	*records_max = 0;
	*buffer = p;
	*bytes = p ? BUFFER_BYTES : 0;
	errno = saved;
}

/* ---- records ------------------------------------------------------------------------------------ */

int lmm_cu_records_open(uint64_t from_ns)
{
	pthread_mutex_lock(&lock);
	if (!records)
		records = calloc(LMM_CU_ROOM, sizeof(*records));
	n_records = 0;
	losses = (struct lmm_cu_losses){ 0, 0 };
	opened_ns = from_ns;
	memset(names, 0, sizeof(names));
	n_names = 0;
	pthread_mutex_unlock(&lock);
	buffers_warm();
	return records ? 0 : -1;
}

/* With the lock held. */
static uint32_t kernel_number(const char *name)
{
	uint32_t k = (uint32_t)lmm_hash_u64(LMM_HASH_SEED, (uintptr_t)name) & (NAMES - 1);

	if (!name)
		return lmm_cu_kernel_named("?");
	for (; names[k].name; k = (k + 1) & (NAMES - 1)) {
		if (names[k].name == name)
			return names[k].number;
	}
	/* more than are told apart by number */
	if (n_names == NAMES / 2)
		return lmm_device_kernel_other();
	n_names++;
	names[k].name = name;
	names[k].number = lmm_cu_kernel_named(name);
	return names[k].number;
}

static unsigned copy_kind(uint8_t kind)
{
	switch (kind) {
	case 1: /* host to device, to array */
	case 3:
		return LMM_KERNEL_WRITE;
	case 2: /* device to host, from array */
	case 4:
		return LMM_KERNEL_READ;
	default:
		return LMM_KERNEL_COPY;
	}
}

static bool is_sound(const struct lmm_cu_record *r, uint64_t now)
{
	return r->start && r->start <= r->end && r->start + TOLERANCE_NS >= opened_ns &&
	       r->end <= now + TOLERANCE_NS;
}

/* Each device numbers its streams from the same number on. */
static uint32_t stream_of(uint32_t stream, uint32_t device)
{
	return (stream & 0xFFFFFFu) | device << 24;
}

static void take_kernel(const struct cupti_kernel *k, struct lmm_cu_record *r)
{
	*r = (struct lmm_cu_record){ .start = k->start,
				     .end = k->end,
				     .node = k->graph_node,
				     .correlation = k->correlation,
				     .stream = stream_of(k->stream, k->device),
				     .kernel = kernel_number(k->name),
				     .kind = LMM_KERNEL_PROGRAM };
	for (unsigned i = 0; i < 3; i++)
		r->amount = (i ? r->amount : 1) * (uint32_t)k->grid[i] * (uint32_t)k->block[i];
}

static void take_transfer(const struct cupti_transfer *x, struct lmm_cu_record *r)
{
	unsigned kind = x->kind == CUPTI_KIND_MEMSET ? LMM_KERNEL_FILL : copy_kind(x->copy_kind);

	*r = (struct lmm_cu_record){ .start = x->start,
				     .end = x->end,
				     .node = x->graph_node,
				     .amount = x->bytes,
				     .correlation = x->correlation,
				     .stream = stream_of(x->stream, x->device),
				     .kernel = lmm_device_kind_number((enum lmm_kernel_kind)kind),
				     .kind = (uint8_t)kind };
}

static void take_peer_copy(const struct cupti_peer_copy *x, struct lmm_cu_record *r)
{
	*r = (struct lmm_cu_record){ .start = x->start,
				     .end = x->end,
				     .node = x->graph_node,
				     .amount = x->bytes,
				     .correlation = x->correlation,
				     .stream = stream_of(x->stream, x->device),
				     .kernel = lmm_device_kind_number(LMM_KERNEL_COPY),
				     .kind = LMM_KERNEL_COPY };
}

/* With the lock held. */
static void take(const void *record, uint64_t now)
{
	uint32_t kind;
	struct lmm_cu_record r;

	memcpy(&kind, record, sizeof(kind));
	if (kind == CUPTI_KIND_CONCURRENT_KERNEL || kind == CUPTI_KIND_KERNEL) {
		take_kernel(record, &r);
	} else if (kind == CUPTI_KIND_MEMCPY || kind == CUPTI_KIND_MEMSET) {
		take_transfer(record, &r);
	} else if (kind == CUPTI_KIND_PEER_COPY) {
		take_peer_copy(record, &r);
	} else {
		return;
	}
	if (!is_sound(&r, now)) {
		losses.garbage++;
	} else if (n_records == LMM_CU_ROOM) {
		losses.dropped++;
	} else {
		records[n_records] = r;
		n_records++; /* pairs with lmm_cu_records() */
	}
}

void lmm_cu_records_complete(void *context, uint32_t stream, uint8_t *buffer, size_t bytes,
			     size_t valid)
{
	uint64_t now = lmm_mono_ns();
	void *record = NULL;
	size_t dropped = 0;
	int saved = errno;

	pthread_mutex_lock(&lock);
	while (buffer && valid && valid <= bytes && records &&
	       lmm_cupti.cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_OK)
		take(record, now);
	if (lmm_cupti.cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_OK)
		losses.dropped += dropped;
	pthread_mutex_unlock(&lock);
	if (!buffer_put(buffer))
		free(buffer);
	errno = saved;
}

struct lmm_cu_record *lmm_cu_records(uint32_t *n)
{
	*n = atomic_load(&n_records);
	return records;
}

void lmm_cu_records_drop(uint32_t n, uint32_t n_kept)
{
	pthread_mutex_lock(&lock);
	memmove(records + n_kept, records + n, (n_records - n) * sizeof(*records));
	n_records -= n - n_kept;
	pthread_mutex_unlock(&lock);
}

uint32_t lmm_cu_records_n(void)
{
	return atomic_load_explicit(&n_records, memory_order_relaxed);
}

struct lmm_cu_losses lmm_cu_records_losses_take(void)
{
	struct lmm_cu_losses taken;

	pthread_mutex_lock(&lock);
	taken = losses;
	losses = (struct lmm_cu_losses){ 0, 0 };
	pthread_mutex_unlock(&lock);
	return taken;
}
