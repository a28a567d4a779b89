/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that notices if it is disturbed: `canary WHAT` does one thing over and over, on its only thread, and exits with 1 as soon
 * as something is not as it was. It ends with 0 when standard input is closed, which it looks for now and then.
 *
 *	spin	keeps values in all registers that it can name and compares them
 *	poll, ppoll, select, epoll, read, sleep, futex	waits so, and takes no EINTR for an answer
 *	signals	spins, while a timer sends it a signal a thousand times a second, whose handlers run on a stack of their own
 *
 * It is an engine as far as others can see: it has a function that engines have.
 */
#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int llama_decode(void *ctx);

int llama_decode(void *ctx)
{
	return ctx != NULL;
}

static void fail(const char *what)
{
	fprintf(stderr, "canary: %s\n", what);
	_exit(1);
}

static int is_over(void)
{
	struct pollfd p = { 0, POLLIN, 0 };

	return poll(&p, 1, 0) > 0;
}

/* 16 vector registers, 8 others and the red zone, compared after a while. */
__attribute__((target("avx2"))) static uint64_t spin_avx(uint64_t seed)
{
	uint64_t bad = 0, rounds = 400000;

	__asm__ volatile("vmovq %[seed], %%xmm0\n\t"
			 "vpbroadcastq %%xmm0, %%ymm0\n\t"
			 "vpaddq %%ymm0, %%ymm0, %%ymm1\n\t"
			 "vpaddq %%ymm1, %%ymm0, %%ymm2\n\t"
			 "vpaddq %%ymm2, %%ymm0, %%ymm15\n\t"
			 "vmovdqa %%ymm15, %%ymm8\n\t"
			 "mov %[seed], %%r8\n\t"
			 "lea 1(%%r8), %%r9\n\t"
			 "lea 2(%%r8), %%r10\n\t"
			 "lea 3(%%r8), %%r11\n\t"
			 "mov %%r8, -8(%%rsp)\n\t"
			 "mov %%r9, -128(%%rsp)\n\t"
			 "1:\n\t"
			 "vpaddq %%ymm1, %%ymm0, %%ymm3\n\t"
			 "vpcmpeqq %%ymm2, %%ymm3, %%ymm4\n\t"
			 "vpaddq %%ymm3, %%ymm0, %%ymm5\n\t"
			 "vpcmpeqq %%ymm15, %%ymm5, %%ymm6\n\t"
			 "vpand %%ymm6, %%ymm4, %%ymm4\n\t"
			 "vpcmpeqq %%ymm8, %%ymm15, %%ymm6\n\t"
			 "vpand %%ymm6, %%ymm4, %%ymm4\n\t"
			 "vmovq %%r8, %%xmm7\n\t"
			 "vpbroadcastq %%xmm7, %%ymm7\n\t"
			 "vpcmpeqq %%ymm7, %%ymm0, %%ymm6\n\t"
			 "vpand %%ymm6, %%ymm4, %%ymm4\n\t"
			 "vpmovmskb %%ymm4, %%eax\n\t"
			 "cmp $-1, %%eax\n\t"
			 "jne 2f\n\t"
			 "cmp %[seed], %%r8\n\t"
			 "jne 2f\n\t"
			 "lea 1(%%r8), %%rax\n\t"
			 "cmp %%rax, %%r9\n\t"
			 "jne 2f\n\t"
			 "lea 3(%%r8), %%rax\n\t"
			 "cmp %%rax, %%r11\n\t"
			 "jne 2f\n\t"
			 "cmp -8(%%rsp), %%r8\n\t"
			 "jne 2f\n\t"
			 "cmp -128(%%rsp), %%r9\n\t"
			 "jne 2f\n\t"
			 "dec %[rounds]\n\t"
			 "jnz 1b\n\t"
			 "jmp 3f\n\t"
			 "2:\n\t"
			 "mov $1, %[bad]\n\t"
			 "3:\n\t"
			 "vzeroupper\n\t"
			 : [bad] "+r"(bad), [rounds] "+r"(rounds)
			 : [seed] "r"(seed)
			 : "rax", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm15", "memory", "cc");
	return bad;
}

static void spin(void)
{
	for (uint64_t seed = 0x123456789abcdefULL;; seed += 977) {
		if (spin_avx(seed))
			fail("a register changed");
		if ((seed & 7) == 0 && is_over())
			return;
	}
}

static atomic_int n_signals;
static char signal_stack[65536];

static void on_signal(int sig)
{
	char here;

	(void)sig;
	if (&here < signal_stack || &here >= signal_stack + sizeof(signal_stack))
		fail("a handler is not on its stack");
	atomic_fetch_add(&n_signals, 1);
}

static void signals(void)
{
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct itimerval t = { { 0, 1000 }, { 0, 1000 } };

	sigaltstack(&stack, NULL);
	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	for (uint64_t seed = 1;; seed += 977) {
		int before = atomic_load(&n_signals);
		sigset_t mask;

		if (spin_avx(seed) || spin_avx(seed + 1) || spin_avx(seed + 2))
			fail("a register changed");
		pthread_sigmask(SIG_BLOCK, NULL, &mask);
		if (sigismember(&mask, SIGALRM))
			fail("a signal is blocked");
		for (int i = 0; atomic_load(&n_signals) == before; i++) {
			if (i == 2000 && spin_avx(seed))
				fail("a register changed");
			if (i == 100000000)
				fail("no signal comes");
		}
		if (is_over())
			return;
	}
}

/* One wait of a tenth of a second at the most; what it returned. */
static long wait_once(const char *how, const int pipe_fds[2], int epoll)
{
	struct pollfd p = { pipe_fds[0], POLLIN, 0 };
	struct timespec t = { 0, 100000000 };
	struct timeval v = { 0, 100000 };
	struct epoll_event e;
	uint32_t word = 0;
	fd_set set;
	char c;

	if (strcmp(how, "poll") == 0)
		return poll(&p, 1, 100);
	if (strcmp(how, "ppoll") == 0)
		return ppoll(&p, 1, &t, NULL);
	if (strcmp(how, "epoll") == 0)
		return epoll_wait(epoll, &e, 1, 100);
	if (strcmp(how, "sleep") == 0)
		return nanosleep(&t, NULL);
	if (strcmp(how, "select") == 0) {
		FD_ZERO(&set);
		FD_SET(pipe_fds[0], &set);
		return select(pipe_fds[0] + 1, &set, NULL, NULL, &v);
	}
	if (strcmp(how, "futex") == 0)
		return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, ~0u) <
					       0 &&
				       errno == EAGAIN
			       ? nanosleep(&t, NULL)
			       : -1;
	return read(0, &c, 1);
}

static void wait_so(const char *how)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fds[2], epoll = epoll_create1(0);

	if (pipe(fds) || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &e))
		fail("no pipe");
	for (;;) {
		long n = wait_once(how, fds, epoll);

		if (n < 0)
			fail(strerror(errno));
		if (strcmp(how, "read") == 0 || is_over())
			return;
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "spin";

	if (!__builtin_cpu_supports("avx2"))
		return 77;
	puts("ready");
	fflush(stdout);
	if (strcmp(what, "spin") == 0) {
		spin();
	} else if (strcmp(what, "signals") == 0) {
		signals();
	} else {
		wait_so(what);
	}
	return 0;
}
