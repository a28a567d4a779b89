/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/frame.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define RED_ZONE 128u /* below the stack pointer a function may keep what is its own */

/* What the kernel puts in the words of the save area that processors leave to it (struct _fpx_sw_bytes), and behind its end. */
#define SW_OFFSET     464u
#define HEADER_OFFSET 512u
#define HEADER_END    576u
#define MAGIC1	      0x46505853u
#define MAGIC2	      0x46505845u
#define TILE_DATA     ((uint64_t)1 << 18) /* AMX's, which a thread has only once it has used it */

#define UC_FP_XSTATE	     1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u
#define NO_SUCH_MODE	     0x55 /* of an alternate stack: the kernel then leaves the one that is there */

/* Numbers that only the kernel and its tracers see. */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516

struct frame_head {
	uint64_t back;
	ucontext_t context;
};

struct fx_sw {
	uint32_t magic1, extended_bytes;
	uint64_t features;
	uint32_t bytes;
	uint32_t padding[7];
};

_Static_assert(sizeof(struct fx_sw) == 48, "struct _fpx_sw_bytes");

static uint64_t align_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

/* Up to where these features reach in the save area. */
static uint32_t area_bytes(uint64_t features)
{
	uint32_t end = HEADER_END;

	for (uint32_t i = 2; i < 63; i++) {
		uint32_t bytes, offset, c, d;

		if (!(features >> i & 1))
			continue;
		__cpuid_count(0xd, i, bytes, offset, c, d);
		end = offset + bytes > end ? offset + bytes : end;
	}
	return end;
}

/* The save area as a signal frame has it. Its bytes with the mark behind them; 0: this is none. */
static size_t area_make(unsigned char *to, const struct lmm_thread_state *s)
{
	const uint32_t magic2 = MAGIC2;
	struct fx_sw sw = { .magic1 = MAGIC1 };
	uint64_t used;

	if (s->xstate_bytes < HEADER_END)
		return 0;
	/* the kernel tells the features of the process in the same place */
	memcpy(&sw.features, s->xstate + SW_OFFSET, sizeof(sw.features));
	memcpy(&used, s->xstate + HEADER_OFFSET, sizeof(used));
	if (!(used & TILE_DATA))
		sw.features &= ~TILE_DATA;
	sw.bytes = area_bytes(sw.features);
	sw.extended_bytes = sw.bytes + (uint32_t)sizeof(magic2);
	if (sw.bytes > s->xstate_bytes)
		return 0;
	memcpy(to, s->xstate, sw.bytes);
	memcpy(to + SW_OFFSET, &sw, sizeof(sw));
	memcpy(to + sw.bytes, &magic2, sizeof(magic2));
	return sw.extended_bytes;
}

static void context_fill(ucontext_t *u, const struct lmm_thread_state *s, uint64_t area)
{
	const struct user_regs_struct *r = &s->regs;
	greg_t *g = u->uc_mcontext.gregs;

	u->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	u->uc_stack.ss_flags = NO_SUCH_MODE;
	g[REG_R8] = (greg_t)r->r8;
	g[REG_R9] = (greg_t)r->r9;
	g[REG_R10] = (greg_t)r->r10;
	g[REG_R11] = (greg_t)r->r11;
	g[REG_R12] = (greg_t)r->r12;
	g[REG_R13] = (greg_t)r->r13;
	g[REG_R14] = (greg_t)r->r14;
	g[REG_R15] = (greg_t)r->r15;
	g[REG_RDI] = (greg_t)r->rdi;
	g[REG_RSI] = (greg_t)r->rsi;
	g[REG_RBP] = (greg_t)r->rbp;
	g[REG_RBX] = (greg_t)r->rbx;
	g[REG_RDX] = (greg_t)r->rdx;
	g[REG_RAX] = (greg_t)r->rax;
	g[REG_RCX] = (greg_t)r->rcx;
	g[REG_RSP] = (greg_t)r->rsp;
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->eflags;
	g[REG_CSGSFS] = (greg_t)((r->cs & 0xffff) | (r->gs & 0xffff) << 16 |
				 (r->fs & 0xffff) << 32 | (r->ss & 0xffff) << 48);
	memcpy(&u->uc_mcontext.fpregs, &area, sizeof(area));
	memcpy(&u->uc_sigmask, &s->signal_mask, sizeof(s->signal_mask));
}

int lmm_frame_make(struct lmm_frame *f, const struct lmm_thread_state *s,
		   const struct lmm_call *call)
{
	static unsigned char area[LMM_XSTATE_BYTES + 64];
	size_t text_bytes = strlen(call->text) + 1, area_n = area_make(area, s);
	uint64_t area_at = align_down(s->regs.rsp - RED_ZONE - area_n, 64);
	uint64_t text_at = align_down(area_at - text_bytes, 16);
	struct frame_head head;

	if (!area_n)
		return -EINVAL;
	/* as behind a call instruction: 16 bytes' alignment and the return address */
	f->at = align_down(text_at - sizeof(head), 16) - 8;
	f->n = (size_t)(area_at + area_n - f->at);
	if (f->n > sizeof(f->bytes))
		return -E2BIG;
	memset(&head, 0, sizeof(head));
	head.back = call->sigreturn;
	context_fill(&head.context, s, area_at);
	memset(f->bytes, 0, f->n);
	memcpy(f->bytes, &head, sizeof(head));
	memcpy(f->bytes + (text_at - f->at), call->text, text_bytes);
	memcpy(f->bytes + (area_at - f->at), area, area_n);
	f->regs = s->regs;
	f->regs.rip = call->function;
	f->regs.rsp = f->at;
	f->regs.rdi = text_at;
	f->regs.rsi = (uint64_t)(int64_t)call->number;
	f->regs.rax = 0;
	f->regs.orig_rax = (unsigned long long)-1;    /* no system call is to be begun again */
	f->regs.eflags &= ~(unsigned long long)0x500; /* direction and single step */
	return 0;
}

static int begins_again(const struct user_regs_struct *regs)
{
	switch (-(long long)regs->rax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
	case ERESTART_RESTARTBLOCK: /* with a relative time: that begins again, too */
		return 1;
	case EINTR:
		/* these alone do not begin again by themselves when a tracer stops them */
		return regs->orig_rax == SYS_epoll_wait || regs->orig_rax == SYS_epoll_pwait ||
		       regs->orig_rax == SYS_epoll_pwait2;
	default:
		return 0;
	}
}

int lmm_restart_call(struct user_regs_struct *regs)
{
	if ((long long)regs->orig_rax < 0 || !begins_again(regs))
		return 0;
	regs->rax = regs->orig_rax;
	regs->rip -= 2; /* the instruction */
	regs->orig_rax = (unsigned long long)-1;
	return 1;
}
