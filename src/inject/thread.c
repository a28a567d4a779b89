/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/thread.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/clock.h"

#define STACK_ROOM 65536u /* what loading a library may need */

/* ---- stops -------------------------------------------------------------------------------------- */

/* Waits for the thread's next stop; its status, or a negative errno: -EINTR the time is over, -ESRCH it has ended. */
static int wait_stop(int32_t tid)
{
	int status;

	if (waitpid(tid, &status, __WALL) < 0)
		return -errno;
	return WIFSTOPPED(status) ? status : -ESRCH;
}

static int is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* A signal on its way to the thread, which it shall have. */
static int signal_of(int status)
{
	int sig = WSTOPSIG(status);

	return is_event_stop(status) ? 0 : sig;
}

static int is_group_stop(int status)
{
	return is_event_stop(status) && WSTOPSIG(status) != SIGTRAP;
}

static void let_go(int32_t tid, int sig)
{
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)sig);
}

/* Attaches and stops it between two instructions. 0, or a negative errno: then it is let go. */
static int stop(int32_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return -errno;
	for (;;) {
		int status = wait_stop(tid);

		if (status < 0)
			return status;
		if (is_event_stop(status) && !is_group_stop(status))
			return 0;
		if (is_group_stop(status)) {
			let_go(tid, 0);
			return -EAGAIN;
		}
		if (ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)signal_of(status)))
			return -errno;
	}
}

/* ---- where it is -------------------------------------------------------------------------------- */

static int state_read(int32_t tid, struct lmm_thread_state *s)
{
	struct iovec v = { s->xstate, sizeof(s->xstate) };

	if (ptrace(PTRACE_GETREGS, tid, NULL, &s->regs) ||
	    ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &v) ||
	    ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(s->signal_mask), &s->signal_mask))
		return -errno;
	s->xstate_bytes = v.iov_len;
	return 0;
}

/* A signal with a handler is about to interrupt the call by itself, and the program may count on that. */
static int has_signal(int32_t tid, uint64_t blocked)
{
	uint64_t own = (uint64_t)lmm_status_number(tid, "SigPnd", 16, 0);
	uint64_t shared = (uint64_t)lmm_status_number(tid, "ShdPnd", 16, 0);

	return ((own | shared) & ~blocked) != 0;
}

/* The stack that the C library made for it, with room below: not one that a program keeps in its heap. */
static int has_stack(const struct lmm_target *t, const struct user_regs_struct *r)
{
	const struct lmm_region *region = lmm_target_region(t, r->rsp);

	if (!region || !region->is_writable)
		return 0;
	if (region->is_stack)
		return r->rsp - region->lo >= STACK_ROOM;
	return region->is_anonymous && r->rsp < r->fs_base &&
	       lmm_target_region(t, r->fs_base) == region && r->rsp - region->lo >= STACK_ROOM;
}

/* No lock that dlopen() takes is held where code of neither the C library nor an allocator runs. */
static int is_free_code(const struct lmm_target *t, uint64_t rip, char *where, size_t bytes)
{
	const struct lmm_region *r = lmm_target_region(t, rip);
	const struct lmm_object *o;
	const char *name;

	if (!r || !r->is_code || r->object < 0)
		return 0;
	o = &t->objects[r->object];
	if (o->roles & LMM_OBJECT_RUNTIME)
		return 0;
	name = strrchr(o->path, '/');
	(void)snprintf(where, bytes, "running in %.100s", name ? name + 1 : o->path);
	return 1;
}

/*
 * Whether it may be called from where it is; then s->regs are those to go back to. A call that was interrupted but is not to be
 * our place gets what the kernel would not do for it.
 */
static int is_safe(const struct lmm_target *t, int32_t tid, struct lmm_thread_state *s,
		   struct lmm_injection *out)
{
	const struct user_regs_struct was = s->regs;

	if (has_signal(tid, s->signal_mask))
		return 0;
	if (lmm_restart_call(&s->regs)) {
		if (has_stack(t, &s->regs))
			return 1;
		if (was.rax == (unsigned long long)-EINTR)
			ptrace(PTRACE_SETREGS, tid, NULL, &s->regs);
		return 0;
	}
	return (long long)was.orig_rax < 0 && has_stack(t, &s->regs) &&
	       is_free_code(t, s->regs.rip, out->where, sizeof(out->where));
}

/* ---- the call ----------------------------------------------------------------------------------- */

/* The frame first: until the registers lead there it is nothing but bytes below a stack. */
static int call_lay(const struct lmm_target *t, int32_t tid, const struct lmm_thread_state *s,
		    const char *text)
{
	static struct lmm_frame f;
	const struct lmm_call call = { t->dlopen, text, t->dlopen_flags, t->sigreturn };
	uint64_t all = ~(uint64_t)0;
	int rc = lmm_frame_make(&f, s, &call);

	if (rc == 0)
		rc = lmm_target_write(t, f.at, f.bytes, f.n);
	if (rc)
		return rc;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &f.regs))
		return -errno;
	/* Handlers wait until it is back, and so do their signals: the frame has the mask that it had. */
	ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(all), &all);
	return 0;
}

/*
 * It is let go before the call, which then needs nobody: on a busy machine every further stop would cost a turn of the
 * scheduler.
 */
int lmm_thread_call(const struct lmm_target *t, int32_t tid, const char *text,
		    struct lmm_injection *out)
{
	static struct lmm_thread_state s;
	uint64_t start_ns = lmm_mono_ns();
	int rc = stop(tid);

	if (rc)
		return rc;
	rc = state_read(tid, &s);
	if (rc == 0 && !is_safe(t, tid, &s, out))
		rc = -EAGAIN;
	if (rc == 0)
		rc = call_lay(t, tid, &s, text);
	let_go(tid, 0);
	out->tid = tid;
	out->stop_ns = start_ns;
	out->stopped_ns = lmm_mono_ns() - start_ns;
	return rc;
}
