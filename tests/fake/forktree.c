/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A preload library that turns one process into a tree: before main() the process forks, the child runs COMMAND again by
 * exec, and the parent waits for it and goes on. Every process of the tree must be recorded as a stream of its own.
 *
 * TEST_FORK_TREE=N: how deep; every process takes one off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void child(int depth, char **argv)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", depth - 1);
	if (setenv("TEST_FORK_TREE", number, 1) == 0)
		execve("/proc/self/exe", argv, environ);
	_exit(127);
}

__attribute__((constructor)) static void grow(int argc, char **argv)
{
	const char *depth = getenv("TEST_FORK_TREE");
	int n = depth ? (int)strtol(depth, NULL, 10) : 0;
	pid_t pid;

	(void)argc;
	if (n <= 0)
		return;
	/* two children per process: one that execs, one that is nothing but a fork */
	pid = fork();
	if (pid == 0)
		child(n, argv);
	if (fork() == 0)
		_exit(0);
	while (wait(NULL) > 0)
		;
}
