/* SPDX-License-Identifier: Apache-2.0 */
/* Calls laid upon a thread: a program that checks itself (tests/fake/canary.c) is made to open a library again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "inject/frame.h"
#include "inject/inject.h"
#include "inject/target_internal.h"

#define TIMES 15

static void begin_again(void **state)
{
	struct user_regs_struct r = { .rip = 1000,
				      .orig_rax = SYS_poll,
				      .rax = (unsigned long long)-516 };

	(void)state;
	assert_true(lmm_restart_call(&r));
	assert_int_equal(r.rip, 998);
	assert_int_equal(r.rax, SYS_poll);
	assert_true((long long)r.orig_rax == -1);
	/* an EINTR that the program itself shall see, a result, and no call at all */
	r = (struct user_regs_struct){ .rip = 1000,
				       .orig_rax = SYS_poll,
				       .rax = (unsigned long long)-4 };
	assert_false(lmm_restart_call(&r));
	r.rax = 3;
	assert_false(lmm_restart_call(&r));
	r.orig_rax = (unsigned long long)-1;
	r.rax = (unsigned long long)-512;
	assert_false(lmm_restart_call(&r));
	assert_int_equal(r.rip, 1000);
	r.orig_rax = SYS_epoll_wait;
	r.rax = (unsigned long long)-4;
	assert_true(lmm_restart_call(&r));
}

static void frame_is_a_signals(void **state)
{
	static struct lmm_thread_state s;
	static struct lmm_frame f;
	const struct lmm_call call = { 0x1111, "/some/library.so", 2, 0x2222 };
	uint64_t word;

	(void)state;
	s.regs.rsp = 0x7fff12345678;
	s.xstate_bytes = 2696;
	s.xstate[464] = 7; /* x87, SSE, AVX */
	assert_int_equal(lmm_frame_make(&f, &s, &call), 0);
	assert_int_equal(f.at % 16, 8); /* as behind a call instruction */
	assert_int_equal(f.regs.rsp, f.at);
	assert_true(f.at + f.n <= s.regs.rsp - 128);
	memcpy(&word, f.bytes, sizeof(word));
	assert_int_equal(word, 0x2222);
	assert_string_equal((const char *)f.bytes + (f.regs.rdi - f.at), "/some/library.so");
	assert_int_equal(f.regs.rip, 0x1111);
	assert_int_equal(f.regs.rsi, 2);
	s.xstate_bytes = 100;
	assert_true(lmm_frame_make(&f, &s, &call) < 0);
}

static void refusals(void **state)
{
	(void)state;
	assert_non_null(strstr(lmm_refusal(1), "sysctl kernel.yama.ptrace_scope=0"));
	assert_non_null(strstr(lmm_refusal(2), "administrator"));
	assert_non_null(strstr(lmm_refusal(3), "next start"));
	assert_non_null(strstr(lmm_refusal(-1), "SYS_PTRACE"));
	assert_non_null(strstr(lmm_refusal(0), "SYS_PTRACE"));
}

struct canary {
	pid_t pid;
	int in; /* closed: it shall end */
};

static struct canary canary_start(const char *what)
{
	int in[2], out[2];
	struct canary c;
	char ready;

	assert_int_equal(pipe(in) | pipe(out), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl(CANARY, CANARY, what, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1];
	if (read(out[0], &ready, 1) != 1)
		skip(); /* no AVX2 here */
	close(out[0]);
	return c;
}

static void canary_end(struct canary c)
{
	int status = -1;

	close(c.in);
	waitpid(c.pid, &status, 0);
	assert_int_equal(status, 0);
}

/* A library that every system has, and that nobody here has loaded: the first call loads it, the others only count. */
static const char *library(void)
{
	static const char *const paths[] = { "/lib/x86_64-linux-gnu/libresolv.so.2",
					     "/lib64/libresolv.so.2", "/usr/lib/libresolv.so.2" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (access(paths[i], R_OK) == 0)
			return paths[i];
	}
	return CANARY;
}

static int has_loaded(pid_t pid)
{
	char path[64], line[512];
	int loaded = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		loaded |= strstr(line, "libresolv") != NULL;
	fclose(maps);
	return loaded;
}

static void disturb(void **state)
{
	const char *what = *state;
	struct canary c = canary_start(what);
	struct lmm_injection how;
	uint64_t longest_ns = 0;

	for (int i = 0; i < TIMES; i++) {
		int rc = lmm_inject(c.pid, library(), &how);

		if (rc)
			print_message("%s: %s\n", what, how.why);
		assert_int_equal(rc, 0);
		assert_int_equal(how.tid, c.pid);
		longest_ns = how.stopped_ns > longest_ns ? how.stopped_ns : longest_ns;
		usleep((useconds_t)(i * 137 % 3000));
	}
	assert_true(has_loaded(c.pid));
	print_message("%s: %s, %.2f ms at the most, %u stops in vain\n", what, how.where,
		      (double)longest_ns / 1e6, how.threads_seen);
	canary_end(c);
}

#define DISTURB(what)                                                                              \
	{                                                                                          \
		"disturb " what, disturb, NULL, NULL, (void *)(what)                               \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_again),
		cmocka_unit_test(frame_is_a_signals),
		cmocka_unit_test(refusals),
		DISTURB("spin"),
		DISTURB("signals"),
		DISTURB("poll"),
		DISTURB("ppoll"),
		DISTURB("select"),
		DISTURB("epoll"),
		DISTURB("read"),
		DISTURB("sleep"),
		DISTURB("futex"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
