/* SPDX-License-Identifier: Apache-2.0 */
/* The lock, the clock, objects and their counts. */
#include "fakecl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* So many released objects of a kind lie about before the oldest is used again. */
#define QUARANTINE 256

static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;

static const size_t sizes[KINDS] = {
	[KIND_CONTEXT] = sizeof(struct _cl_context),
	[KIND_QUEUE] = sizeof(struct _cl_command_queue),
	[KIND_MEM] = sizeof(struct _cl_mem),
	[KIND_SAMPLER] = sizeof(struct _cl_sampler),
	[KIND_PROGRAM] = sizeof(struct _cl_program),
	[KIND_KERNEL] = sizeof(struct _cl_kernel),
	[KIND_EVENT] = sizeof(struct _cl_event),
	[KIND_COMMAND_BUFFER] = sizeof(struct _cl_command_buffer_khr),
};

static struct pool {
	struct object *first, *last;
	uint64_t n_free, alive, peak;
} pools[KINDS];

static uint64_t double_release;
uint64_t commands_taken;

void driver_lock(void)
{
	pthread_mutex_lock(&lock);
}

void driver_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void driver_wait(pthread_cond_t *cond)
{
	pthread_cond_wait(cond, &lock);
}

void driver_wait_until(pthread_cond_t *cond, uint64_t until_ns)
{
	struct timespec until = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };

	pthread_cond_timedwait(cond, &lock, &until);
}

bool driver_lost(void)
{
	return script.lost_after && commands_taken >= script.lost_after;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void busy_ns(uint64_t ns)
{
	uint64_t until;

	if (!ns)
		return;
	until = now_ns() + ns;
	while (now_ns() < until)
		;
}

uint64_t device_clock(uint64_t mono_ns)
{
	long double t = (long double)mono_ns * (1.0L + (long double)script.drift_ppm / 1e6L) +
			(long double)script.clock_offset_ns;

	return t < 0 ? 0 : (uint64_t)t;
}

/* ---- objects ---- */

static struct object *pool_take(struct pool *pool, enum kind kind)
{
	struct object *o = pool->first;

	if (pool->n_free <= QUARANTINE)
		return calloc(1, sizes[kind]);
	pool->first = o->next_free;
	pool->n_free--;
	memset(o, 0, sizes[kind]);
	return o;
}

void *object_new(enum kind kind)
{
	struct pool *pool = &pools[kind];
	struct object *o = pool_take(pool, kind);

	if (!o)
		return NULL;
	o->dispatch = &fake_dispatch;
	o->kind = kind;
	o->refs = o->uses = 1;
	if (++pool->alive > pool->peak)
		pool->peak = pool->alive;
	return o;
}

bool object_alive(const void *object, enum kind kind)
{
	const struct object *o = object;

	return o && o->kind == kind && o->refs > 0;
}

void object_use(void *object)
{
	struct object *o = object;

	o->uses++;
}

void object_free(void *object)
{
	struct object *o = object;
	struct pool *pool = &pools[o->kind];

	o->next_free = NULL;
	if (pool->n_free++)
		pool->last->next_free = o;
	else
		pool->first = o;
	pool->last = o;
}

void object_put(void *object)
{
	struct object *o = object;

	if (!o || --o->uses)
		return;
	switch (o->kind) {
	case KIND_QUEUE: /* its thread frees it */
		queue_destroy(object);
		return;
	case KIND_EVENT:
		event_destroy(object);
		break;
	case KIND_MEM:
		mem_destroy(object);
		break;
	case KIND_SAMPLER:
		object_put(((cl_sampler)object)->context);
		break;
	case KIND_PROGRAM:
		program_destroy(object);
		break;
	case KIND_KERNEL:
		kernel_destroy(object);
		break;
	case KIND_COMMAND_BUFFER:
		command_buffer_destroy(object);
		break;
	default:
		break;
	}
	object_free(object);
}

cl_int object_retain(void *object, enum kind kind, cl_int error)
{
	WITH_LOCK;
	if (!object_alive(object, kind))
		return error;
	((struct object *)object)->refs++;
	return CL_SUCCESS;
}

cl_int object_release(void *object, enum kind kind, cl_int error)
{
	struct object *o = object;

	WITH_LOCK;
	if (!object_alive(object, kind)) {
		double_release += o && o->kind == kind;
		return error;
	}
	if (kind == KIND_QUEUE)
		queue_flush(object);
	if (--o->refs)
		return CL_SUCCESS;
	pools[kind].alive--;
	if (kind == KIND_KERNEL)
		((cl_kernel)object)->program->kernels_alive--;
	object_put(object);
	return CL_SUCCESS;
}

uint64_t objects_alive(enum kind kind)
{
	return pools[kind].alive;
}

uint64_t objects_peak(enum kind kind)
{
	return pools[kind].peak;
}

uint64_t objects_double_release(void)
{
	return double_release;
}

/* In a child the parent's objects are nobody's. */
void objects_forget(void)
{
	for (int i = 0; i < KINDS; i++)
		pools[i].alive = pools[i].peak = 0;
	double_release = 0;
	commands_taken = 0;
}

/* ---- answers ---- */

cl_int answer(struct answer a, const void *from, size_t size)
{
	if (a.to && a.room < size)
		return CL_INVALID_VALUE;
	if (a.to && size)
		memcpy(a.to, from, size);
	if (a.size)
		*a.size = size;
	return CL_SUCCESS;
}

cl_int answer_text(struct answer a, const char *text)
{
	return answer(a, text, strlen(text) + 1);
}

cl_int answer_uint(struct answer a, cl_uint value)
{
	return answer(a, &value, sizeof(value));
}

cl_int answer_ulong(struct answer a, cl_ulong value)
{
	return answer(a, &value, sizeof(value));
}

cl_int answer_size(struct answer a, size_t value)
{
	return answer(a, &value, sizeof(value));
}

cl_int answer_pointer(struct answer a, const void *value)
{
	return answer(a, (const void *)&value, sizeof(value));
}
