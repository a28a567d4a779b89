/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An independent count of the operators that the first compute thread runs. Preloaded before lmmeter's library, it counts
 * in a mapping of its own before it calls on and again after it: at every instant, whatever kills the process,
 *
 *	before >= recorded >= after
 *
 * TEST_COUNTER=PREFIX: the file PREFIX.<pid> holds struct counts. Every process makes its own, children of fork() too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "next.h"

struct counts {
	_Atomic uint64_t before; /* operators, first compute thread */
	_Atomic uint64_t after;
	_Atomic uint64_t all_before; /* … every compute thread */
	_Atomic uint64_t all_after;
};

static struct counts nowhere;
static struct counts *counts = &nowhere;

static void counts_open(void)
{
	const char *prefix = getenv("TEST_COUNTER");
	char path[4096];
	void *p;
	int fd, n;

	if (!prefix)
		return;
	n = snprintf(path, sizeof(path), "%s.%ld", prefix, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(struct counts)) == 0) {
		p = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED)
			counts = p;
	}
	close(fd);
}

__attribute__((constructor)) static void start(void)
{
	counts_open();
	pthread_atfork(NULL, NULL, counts_open);
}

static void add(_Atomic uint64_t *word)
{
	atomic_fetch_add_explicit(word, 1, memory_order_seq_cst);
}

static void enter(const int *ith)
{
	add(&counts->all_before);
	if (*ith == 0)
		add(&counts->before);
}

static void leave(const int *ith)
{
	if (*ith == 0)
		add(&counts->after);
	add(&counts->all_after);
}

/* The first member of ggml's compute parameters is the number of the thread. */
bool ggml_cpu_extra_compute_forward(int *params, void *node);
bool ggml_cpu_extra_compute_forward(int *params, void *node)
{
	bool done;

	NEXT(ggml_cpu_extra_compute_forward);
	enter(params);
	done = next(params, node);
	leave(params);
	return done;
}

void ggml_compute_forward_rms_norm_mul_fused(int *params, void *node, void *mul);
void ggml_compute_forward_rms_norm_mul_fused(int *params, void *node, void *mul)
{
	NEXT(ggml_compute_forward_rms_norm_mul_fused);
	enter(params);
	next(params, node, mul);
	leave(params);
}
