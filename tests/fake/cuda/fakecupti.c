/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcupti.so.13, as of CUDA 13.0: its records have the sizes and places of CUpti_ActivityKernel10, Memcpy6 and Memset4
 * (script/gpu-check compares them with the real headers). Records go into buffers that the client gives, and come back when these
 * are full or flushed, and what they tell of has ended.
 */
#include "fakecuda.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK			   0
#define ERROR_INVALID_PARAMETER	   1
#define ERROR_INVALID_KIND	   21
#define ERROR_MAX_LIMIT_REACHED	   12
#define ERROR_MULTIPLE_SUBSCRIBERS 39
#define ERROR_NOT_INITIALIZED	   15
#define KINDS			   64
#define KIND_MEMCPY		   1
#define KIND_MEMSET		   2
#define KIND_CONCURRENT_KERNEL	   10
#define KIND_MEMCPY2		   22
#define KERNEL_BYTES		   216
#define MEMCPY_BYTES		   96
#define MEMSET_BYTES		   88
#define MEMCPY2_BYTES		   96
#define DRIVER_DOMAIN		   1
#define CBIDS			   1024
#define LATE			   65536

static const uint32_t kind_of[] = { KIND_CONCURRENT_KERNEL, KIND_MEMCPY, KIND_MEMSET,
				    KIND_MEMCPY2 };

typedef void subscriber_fn(void *user, int domain, uint32_t cbid, const void *data);

/* CUpti_CallbackData */
struct callback {
	int site;
	const char *function_name;
	const void *params;
	void *result;
	const char *symbol_name;
	CUcontext context;
	uint32_t context_uid;
	uint64_t *data;
	uint32_t correlation;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static subscriber_fn *subscriber;
static void *subscriber_data;
static uint8_t enabled[CBIDS];
static uint8_t kinds[KINDS];
static void (*request)(uint8_t **buffer, size_t *bytes, size_t *records);
static void (*complete)(CUcontext c, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid);
static uint64_t (*timestamp)(void);
static uint8_t *buffer;
static size_t buffer_bytes, valid;
static uint64_t last_end; /* of what is in it */
static size_t dropped;
static struct fake_work late[LATE]; /* not written yet */
static unsigned n_late;
static unsigned long n_records;
static unsigned n_attached;
static int is_attached, was_refused;

/* ---- records ------------------------------------------------------------------------------------ */

static void put(uint8_t *at, size_t offset, const void *value, size_t bytes)
{
	memcpy(at + offset, value, bytes);
}

static void put_u32(uint8_t *at, size_t offset, uint32_t v)
{
	put(at, offset, &v, sizeof(v));
}

static void put_u64(uint8_t *at, size_t offset, uint64_t v)
{
	put(at, offset, &v, sizeof(v));
}

static void put_kernel(uint8_t *at, const struct fake_work *w)
{
	put_u32(at, 0, KIND_CONCURRENT_KERNEL);
	put_u64(at, 16, w->start);
	put_u64(at, 24, w->end);
	put_u64(at, 32, w->end);
	put_u32(at, 40, w->device);
	put_u32(at, 44, 1);
	put_u32(at, 48, w->stream);
	put_u32(at, 92, w->correlation);
	put_u64(at, 104, (uint64_t)(uintptr_t)w->name);
	put_u64(at, 144, w->node);
	put_u32(at, 156, w->graph);
}

/* Copies and memsets have these at the same places; a copy between devices has four words more in the middle. */
static void put_transfer(uint8_t *at, const struct fake_work *w)
{
	int is_peer = w->kind == FAKE_PEER;

	put_u32(at, 0, kind_of[w->kind]);
	if (w->kind != FAKE_SET)
		at[4] = w->copy_kind;
	put_u64(at, 8, w->bytes);
	put_u64(at, 16, w->start);
	put_u64(at, 24, w->end);
	put_u32(at, 32, w->device);
	put_u32(at, 40, w->stream);
	put_u32(at, is_peer ? 60 : 44, w->correlation);
	put_u64(at, is_peer ? 72 : 64, w->node);
	put_u32(at, is_peer ? 80 : 72, w->graph);
}

static size_t bytes_of(uint32_t kind)
{
	if (kind == KIND_CONCURRENT_KERNEL)
		return KERNEL_BYTES;
	if (kind == KIND_MEMCPY2)
		return MEMCPY2_BYTES;
	return kind == KIND_MEMCPY ? MEMCPY_BYTES : MEMSET_BYTES;
}

static void buffer_return(void)
{
	uint8_t *b = buffer;

	buffer = NULL;
	fake_sleep_until(last_end);
	if (b)
		complete((CUcontext)1, 0, b, buffer_bytes, valid);
	valid = 0;
}

static int is_every(const char *word)
{
	long n = fake_script_number(word, 0);

	return n > 0 && n_records % (unsigned long)n == 0;
}

static void spoil(struct fake_work *w)
{
	if (is_every("zero"))
		w->start = w->end = 0;
	if (is_every("garbage"))
		w->start = UINT64_MAX - 5;
}

/* With the lock held. */
static void write_record(const struct fake_work *work)
{
	uint32_t kind = kind_of[work->kind];
	struct fake_work w = *work;
	size_t bytes = bytes_of(kind), most = 0;

	n_records++;
	if (is_every("skip"))
		return;
	if (buffer && valid + bytes > buffer_bytes)
		buffer_return();
	if (!buffer)
		request(&buffer, &buffer_bytes, &most);
	if (!buffer || is_every("drop")) {
		dropped++;
		return;
	}
	last_end = w.end > last_end ? w.end : last_end;
	spoil(&w);
	memset(buffer + valid, 0, bytes);
	if (kind == KIND_CONCURRENT_KERNEL) {
		put_kernel(buffer + valid, &w);
	} else {
		put_transfer(buffer + valid, &w);
	}
	valid += bytes;
}

/* With the lock held: of what has ended. */
static void late_write(void)
{
	uint64_t now = fake_now();
	unsigned left = 0;

	for (unsigned i = 0; i < n_late; i++) {
		if (late[i].end <= now) {
			write_record(&late[i]);
		} else {
			late[left++] = late[i];
		}
	}
	n_late = left;
}

static void record(const struct fake_work *w)
{
	pthread_mutex_lock(&lock);
	if (kinds[kind_of[w->kind]] && request) {
		if (!fake_script_number("late", 0)) {
			write_record(w);
		} else if (n_late < LATE) {
			late[n_late++] = *w;
		}
	}
	pthread_mutex_unlock(&lock);
}

/* ---- callbacks ---------------------------------------------------------------------------------- */

static int is_silent(uint32_t cbid)
{
	int is_wait = cbid == 17 || cbid == 121 || cbid == 126 || cbid == 440;

	return fake_script_number("silent", 0) >= (is_wait ? 1 : cbid == 16 ? 2 : 3);
}

static void api(int site, uint32_t cbid, uint32_t correlation)
{
	struct callback data = { .site = site, .correlation = correlation };

	if (subscriber && cbid < CBIDS && enabled[cbid] && !is_silent(cbid))
		subscriber(subscriber_data, DRIVER_DOMAIN, cbid, &data);
}

/* Any call brings the whole of it in, as the real one's 10 %. */
static void attach(void)
{
	if (is_attached)
		return;
	is_attached = getpid();
	n_attached++;
	fake_correlation = 0;
	fake_profiler.api = api;
	fake_profiler.record = record;
	fake_log("attach %llu\n", (unsigned long long)fake_now());
}

/* The real one crashes the process that ends with it inside. */
__attribute__((destructor)) static void end(void)
{
	if (is_attached == getpid() && strcmp(fake_script("crash", 0), "no") != 0) {
		fprintf(stderr, "CUPTI is attached at exit\n");
		abort();
	}
}

/* ---- the interface ------------------------------------------------------------------------------ */

FAKE_EXPORT int cuptiGetVersion(uint32_t *version);
FAKE_EXPORT int cuptiGetResultString(int rc, const char **text);
FAKE_EXPORT int cuptiSubscribe(void **handle, subscriber_fn *fn, void *user);
FAKE_EXPORT int cuptiUnsubscribe(void *handle);
FAKE_EXPORT int cuptiEnableCallback(uint32_t on, void *handle, int domain, uint32_t cbid);
FAKE_EXPORT int cuptiActivityRegisterTimestampCallback(uint64_t (*fn)(void));
FAKE_EXPORT int cuptiActivityRegisterCallbacks(void (*req)(uint8_t **, size_t *, size_t *),
					       void (*done)(CUcontext, uint32_t, uint8_t *, size_t,
							    size_t));
FAKE_EXPORT int cuptiActivityEnable(unsigned kind);
FAKE_EXPORT int cuptiActivityDisable(unsigned kind);
FAKE_EXPORT int cuptiActivityFlushAll(uint32_t flag);
FAKE_EXPORT int cuptiActivityGetNextRecord(uint8_t *b, size_t bytes, uint8_t **at);
FAKE_EXPORT int cuptiActivityGetNumDroppedRecords(CUcontext c, uint32_t stream, size_t *n);
FAKE_EXPORT int cuptiFinalize(void);

int cuptiGetVersion(uint32_t *version)
{
	errno = EIO;
	*version = (uint32_t)fake_script_number("version", 130000);
	return OK;
}

int cuptiGetResultString(int rc, const char **text)
{
	*text = rc == ERROR_MULTIPLE_SUBSCRIBERS ? "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED"
						 : "CUPTI_ERROR_UNKNOWN";
	return OK;
}

int cuptiSubscribe(void **handle, subscriber_fn *fn, void *user)
{
	int rc = (int)fake_script_number("subscribe", OK);
	long other = fake_script_number("other", 0);

	errno = EIO;
	if (rc == OK && other > 0 && n_attached + 1 >= (unsigned)other)
		rc = ERROR_MULTIPLE_SUBSCRIBERS;
	fake_log("subscribe %d\n", rc);
	if (rc) {
		was_refused = 1;
		return rc;
	}
	if (subscriber)
		return ERROR_MAX_LIMIT_REACHED;
	attach();
	subscriber = fn;
	subscriber_data = user;
	*handle = &subscriber;
	return OK;
}

int cuptiUnsubscribe(void *handle)
{
	errno = EIO;
	if (handle != &subscriber)
		return ERROR_INVALID_PARAMETER;
	subscriber = NULL;
	return OK;
}

int cuptiEnableCallback(uint32_t on, void *handle, int domain, uint32_t cbid)
{
	errno = EIO;
	if (handle != &subscriber || domain != DRIVER_DOMAIN || cbid >= CBIDS)
		return ERROR_INVALID_PARAMETER;
	enabled[cbid] = on != 0;
	return OK;
}

int cuptiActivityRegisterTimestampCallback(uint64_t (*fn)(void))
{
	if (was_refused)
		fake_log("meddled\n"); /* with what is the other profiler's */
	attach();
	timestamp = fn;
	return OK;
}

int cuptiActivityRegisterCallbacks(void (*req)(uint8_t **, size_t *, size_t *),
				   void (*done)(CUcontext, uint32_t, uint8_t *, size_t, size_t))
{
	if (was_refused)
		fake_log("meddled\n");
	attach();
	request = req;
	complete = done;
	return OK;
}

int cuptiActivityEnable(unsigned kind)
{
	int rc = (int)fake_script_number("enable", OK);

	errno = EIO;
	if (kind >= KINDS)
		return ERROR_INVALID_KIND;
	if (rc) {
		fake_log("enable %d\n", rc);
		return rc;
	}
	if (!timestamp || !complete)
		return ERROR_NOT_INITIALIZED;
	if (kind == KIND_CONCURRENT_KERNEL)
		fake_sleep_until(fake_now() + (uint64_t)fake_script_number("attach_us", 0) * 1000);
	fake_log("enable %u %llu\n", kind, (unsigned long long)timestamp());
	kinds[kind] = 1;
	return OK;
}

int cuptiActivityDisable(unsigned kind)
{
	errno = EIO;
	if (kind >= KINDS)
		return ERROR_INVALID_KIND;
	kinds[kind] = 0;
	return OK;
}

int cuptiActivityFlushAll(uint32_t flag)
{
	errno = EIO;
	(void)flag;
	pthread_mutex_lock(&lock);
	late_write();
	buffer_return();
	pthread_mutex_unlock(&lock);
	return OK;
}

int cuptiActivityGetNextRecord(uint8_t *b, size_t bytes, uint8_t **at)
{
	uint8_t *next = b;

	errno = EIO;
	if (*at) {
		uint32_t kind;

		memcpy(&kind, *at, sizeof(kind));
		next = *at + bytes_of(kind);
	}
	if (next >= b + bytes)
		return ERROR_MAX_LIMIT_REACHED;
	*at = next;
	return OK;
}

int cuptiActivityGetNumDroppedRecords(CUcontext c, uint32_t stream, size_t *n)
{
	errno = EIO;
	(void)c;
	(void)stream;
	*n = dropped;
	dropped = 0;
	return OK;
}

int cuptiFinalize(void)
{
	int rc = (int)fake_script_number("finalize", OK);

	errno = EIO;
	fake_sleep_until(fake_now() + (uint64_t)fake_script_number("detach_us", 0) * 1000);
	fake_log("finalize %d %llu records=%lu\n", rc, (unsigned long long)fake_now(), n_records);
	if (rc)
		return rc;
	memset(enabled, 0, sizeof(enabled));
	memset(kinds, 0, sizeof(kinds));
	subscriber = NULL;
	request = NULL;
	complete = NULL;
	timestamp = NULL;
	n_late = 0;
	is_attached = 0;
	fake_profiler.api = NULL;
	fake_profiler.record = NULL;
	return OK;
}
