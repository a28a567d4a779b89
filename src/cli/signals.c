/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <time.h>

void lmm_signals_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void lmm_signals_block(sigset_t *old)
{
	sigset_t set;

	lmm_signals_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, old);
}

int lmm_signals_ask_for_end(void)
{
	sigset_t meant, pending;

	lmm_signals_set(&meant);
	sigdelset(&meant, SIGCHLD);
	if (sigpending(&pending))
		return 0;
	for (int sig = 1; sig < NSIG; sig++) {
		if (sigismember(&meant, sig) == 1 && sigismember(&pending, sig) == 1)
			return 1;
	}
	return 0;
}

int lmm_signals_wait(int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };
	siginfo_t info;
	sigset_t set;
	int sig;

	lmm_signals_set(&set);
	sig = sigtimedwait(&set, &info, &ts);
	return sig > 0 ? sig : 0;
}
