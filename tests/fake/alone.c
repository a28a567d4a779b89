/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded, it puts blocks of 256 to 512 bytes each at the beginning of a page with no memory in front of it: who looks
 * there dies of it, or has to do without. Frees are remembered; when there is no more room libc serves.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE	 4096ul
#define PAIR	 (2 * PAGE) /* no memory, and the block */
#define SLOTS	 16384ul
#define SMALLEST 256u
#define LARGEST	 512u

void *__libc_malloc(size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *region;
static uint32_t used, n_free, freed[SLOTS];

static int is_ours(const void *block)
{
	return region && (const char *)block >= region &&
	       (const char *)block < region + SLOTS * PAIR;
}

/* NULL: no room. */
static void *take(void)
{
	char *block = NULL;
	uint32_t slot;

	pthread_mutex_lock(&lock);
	if (!region) {
		region = mmap(NULL, SLOTS * PAIR, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (region == MAP_FAILED)
			region = NULL;
	}
	if (region && (n_free || used < SLOTS)) {
		slot = n_free ? freed[--n_free] : used++;
		block = region + slot * PAIR + PAGE;
		if (mprotect(block, PAGE, PROT_READ | PROT_WRITE))
			block = NULL;
	}
	pthread_mutex_unlock(&lock);
	return block;
}

void *malloc(size_t bytes)
{
	void *block = bytes >= SMALLEST && bytes <= LARGEST ? take() : NULL;

	return block ? block : __libc_malloc(bytes);
}

void free(void *block)
{
	if (!is_ours(block)) {
		__libc_free(block);
		return;
	}
	pthread_mutex_lock(&lock);
	freed[n_free++] = (uint32_t)(((char *)block - region) / PAIR);
	pthread_mutex_unlock(&lock);
}

void *realloc(void *block, size_t bytes)
{
	void *other;

	if (!is_ours(block))
		return __libc_realloc(block, bytes);
	other = __libc_malloc(bytes);
	if (other) {
		memcpy(other, block, bytes < LARGEST ? bytes : LARGEST);
		free(block);
	}
	return other;
}
