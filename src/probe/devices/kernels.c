/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels by name and code, whatever handles an API has for them: numbered for the process, described once per recording. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "probe/devices/device.h"

#define SLOTS (2 * LMM_DEVICE_KERNELS) /* a power of two */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	uint64_t hash;
	uint32_t number;
	uint32_t recording; /* in which it was last described */
	bool is_seen; /* asked for by somebody who wanted to know whether it is the first time */
} kernels[SLOTS];
static unsigned n_kernels;
static bool is_other_seen;
static _Atomic uint32_t other_said; /* recording word when it was */

static _Atomic uint32_t kinds_recording; /* recording word when the kinds were described */

static void describe(uint32_t number, const char *name, enum lmm_kernel_kind kind, uint64_t hash)
{
	struct lmm_buf b = { 0 };
	int saved = errno;

	lmm_buf_put_varint(&b, number);
	lmm_buf_put_str(&b, name);
	lmm_buf_put_str(&b, "");
	lmm_buf_put_varint(&b, kind);
	lmm_buf_put_varint(&b, hash);
	lmm_session_describe(LMM_DESC_KERNEL, &b);
	lmm_buf_free(&b);
	errno = saved;
}

static LMM_NOINLINE void kinds_describe(uint32_t recording)
{
	if (atomic_exchange(&kinds_recording, recording) == recording)
		return;
	for (unsigned k = 1; k < LMM_KERNEL_KIND_COUNT; k++)
		describe(k, lmm_kernel_kind_name(k), (enum lmm_kernel_kind)k, 0);
	describe(LMM_DEVICE_KERNEL_OTHER, "(other)", LMM_KERNEL_PROGRAM, 0);
}

static void kinds_tell(void)
{
	uint32_t now = lmm_recording();

	if (lmm_unlikely(atomic_load_explicit(&kinds_recording, memory_order_relaxed) != now))
		kinds_describe(now);
}

uint32_t lmm_device_kind_number(enum lmm_kernel_kind kind)
{
	kinds_tell();
	return kind;
}

uint32_t lmm_device_kernel_other(void)
{
	kinds_tell();
	return LMM_DEVICE_KERNEL_OTHER;
}

void lmm_device_kernels_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
	/* the child is a process of its own, which has been told nothing */
	for (unsigned k = 0; k < SLOTS; k++)
		kernels[k].recording = 0;
	atomic_store(&kinds_recording, 0);
	atomic_store(&other_said, 0);
}

/* Once per recording. */
static LMM_NOINLINE void other_say(void)
{
	uint32_t now = lmm_recording();

	if (!now || atomic_exchange(&other_said, now) == now)
		return;
	lmm_session_reason(LMM_LEVEL_KERNELS,
			   "more than %u kernels: further ones are not told apart, \"(other)\"",
			   LMM_DEVICE_KERNELS - 1);
}

static bool first_take(bool *is_seen)
{
	bool is_first = !*is_seen;

	*is_seen = true;
	return is_first;
}

/* With the lock held. */
static uint32_t number_of(const char *name, uint64_t code, enum lmm_kernel_kind kind,
			  bool *is_first)
{
	uint64_t hash = lmm_hash_str(code ^ LMM_HASH_SEED ^ kind, name) | 1;
	uint32_t k = (uint32_t)hash & (SLOTS - 1);
	uint32_t now = lmm_session_is_joined() ? lmm_recording_or_last() : 0;

	for (; kernels[k].hash && kernels[k].hash != hash; k = (k + 1) & (SLOTS - 1))
		;
	if (!kernels[k].hash) {
		if (n_kernels >= LMM_DEVICE_KERNELS - 1) {
			if (is_first)
				*is_first = first_take(&is_other_seen);
			other_say();
			return lmm_device_kernel_other();
		}
		kernels[k].hash = hash;
		kernels[k].number = LMM_DEVICE_KERNEL_FIRST + n_kernels++;
	}
	if (now && kernels[k].recording != now) {
		kernels[k].recording = now;
		describe(kernels[k].number, name, kind, code);
	}
	if (is_first)
		*is_first = first_take(&kernels[k].is_seen);
	return kernels[k].number;
}

uint32_t lmm_device_kernel_number(const char *name, uint64_t code_hash, enum lmm_kernel_kind kind,
				  bool *is_first)
{
	uint32_t number;

	pthread_mutex_lock(&lock);
	number = number_of(name, code_hash, kind, is_first);
	pthread_mutex_unlock(&lock);
	return number;
}
