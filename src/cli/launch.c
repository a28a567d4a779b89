/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/session.h"

static int join(char *out, size_t bytes, const char *dir, const char *name)
{
	int n = snprintf(out, bytes, "%s/%s", dir, name);

	if (n > 0 && (size_t)n < bytes && access(out, R_OK) == 0)
		return 0;
	out[0] = 0;
	return -ENOENT;
}

static int libs_in(const char *dir, const char *sibling, struct lmm_libs *libs)
{
	char path[4096], real[4096];
	int n = snprintf(path, sizeof(path), "%s%s", dir, sibling);

	if (n <= 0 || (size_t)n >= sizeof(path) || !realpath(path, real))
		return -ENOENT;
	if (join(libs->probe, sizeof(libs->probe), real, "liblmmeter.so"))
		return -ENOENT;
	join(libs->audit, sizeof(libs->audit), real, "liblmmeter-audit.so");
	join(libs->inject, sizeof(libs->inject), real, "liblmmeter-inject.so");
	join(libs->threads, sizeof(libs->threads), real, "liblmmeter-threads.so");
	join(libs->opencl, sizeof(libs->opencl), real, "liblmmeter-opencl.so");
	join(libs->vulkan, sizeof(libs->vulkan), real, "vulkan/VkLayer_lmmeter.json");
	if (libs->vulkan[0])
		*strrchr(libs->vulkan, '/') = 0;
	join(libs->cuda, sizeof(libs->cuda), real, "liblmmeter-cuda.so");
	return 0;
}

int lmm_libs_find(struct lmm_libs *libs)
{
	static const char *const siblings[] = { "/../lib/lmmeter", "/../lib64/lmmeter",
						LMM_LIB_SIBLING, "/../probe" };
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *forced = getenv("LMMETER_LIB_DIR");
	char exe[4096];
	char *slash;
	ssize_t n;

	memset(libs, 0, sizeof(*libs));
	if (forced)
		return libs_in(forced, "", libs);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0)
		return -ENOENT;
	exe[n] = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	for (size_t i = 0; i < sizeof(siblings) / sizeof(siblings[0]); i++) {
		if (libs_in(exe, siblings[i], libs) == 0)
			return 0;
	}
	return -ENOENT;
}

/*
 * ld.so cuts LD_PRELOAD at blanks and colons: a library under such a path is reached through a link in the session's
 * folder, whose path has none.
 */
static const char *preloadable(const char *lib, const char *session_dir, const char *name,
			       char *link, size_t bytes)
{
	int n;

	if (!strpbrk(lib, " :\t\n"))
		return lib;
	n = snprintf(link, bytes, "%s/%s", session_dir, name);
	if (n <= 0 || (size_t)n >= bytes || (symlink(lib, link) && errno != EEXIST))
		return lib;
	return link;
}

/* Ours goes behind what the user set, so that the user's own come first, as without us. */
static int append_variable(const char *variable, const char *value)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *old = getenv(variable);
	char *joined;
	size_t bytes;
	int rc;

	if (!old || !old[0]) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
		return setenv(variable, value, 1);
	}
	bytes = strlen(old) + strlen(value) + 2;
	joined = malloc(bytes);
	if (!joined)
		return -1;
	snprintf(joined, bytes, "%s:%s", old, value);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	rc = setenv(variable, joined, 1);
	free(joined);
	return rc;
}

static int append_library(const struct lmm_launch *l, const char *variable, const char *lib,
			  const char *name)
{
	char link[4096];

	return append_variable(variable,
			       preloadable(lib, l->session_dir, name, link, sizeof(link)));
}

/* Read by the Vulkan loader alone. It looks into the second folder only where the first variable is not set. */
static int set_vulkan(const char *folder)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *only = getenv("VK_LAYER_PATH");
	int rc = append_variable(only && only[0] ? "VK_LAYER_PATH" : "VK_ADD_LAYER_PATH", folder);

	return rc ? rc : append_variable("VK_INSTANCE_LAYERS", LMM_VULKAN_LAYER);
}

/* What the door needs. What is preloaded before liblmmeter.so must not be found behind it as the real thing. */
static int set_doors(const struct lmm_launch *l)
{
	const struct lmm_libs *libs = l->libs;
	int rc = 0;

	if (l->threads_all && libs->threads[0])
		rc = append_library(l, "LD_PRELOAD", libs->threads, "liblmmeter-threads.so");
	if (rc == 0 && l->door == LMM_DOOR_PRELOAD && libs->opencl[0])
		rc = append_library(l, "LD_PRELOAD", libs->opencl, "liblmmeter-opencl.so");
	if (rc == 0 && libs->cuda[0])
		rc = append_library(l, "LD_PRELOAD", libs->cuda, "liblmmeter-cuda.so");
	if (rc == 0)
		rc = append_library(l, "LD_PRELOAD", libs->probe, "liblmmeter.so");
	/* read by the OpenCL loader alone; the last one is the next to the application */
	if (rc == 0 && l->door == LMM_DOOR_AUTO)
		rc = append_library(l, "OPENCL_LAYERS", libs->probe, "liblmmeter.so");
	if (rc == 0 && libs->vulkan[0] && !strchr(libs->vulkan, ':'))
		rc = set_vulkan(libs->vulkan);
	if (rc == 0 && l->door != LMM_DOOR_PRELOAD && libs->audit[0])
		rc = append_library(l, "LD_AUDIT", libs->audit, "liblmmeter-audit.so");
	return rc;
}

/* NVTX looks for whom to tell of ranges in a variable alone; a tool that the user has named there stays. */
static int set_nvtx(const struct lmm_launch *l)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	return setenv("NVTX_INJECTION64_PATH", l->libs->probe, 0);
}

static int set_environment(const struct lmm_launch *l)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): lmmeter has one thread */
	int rc = l->session_dir ? setenv(LMM_ENV_SESSION, l->session_dir, 1)
				: unsetenv(LMM_ENV_SESSION);
	/* NOLINTEND(concurrency-mt-unsafe) */

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	unsetenv(LMM_ENV_OUT);
	if (rc == 0) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
		rc = l->session_dir ? unsetenv(LMM_ENV_DORMANT) : setenv(LMM_ENV_DORMANT, "1", 1);
	}
	if (rc == 0 && l->wants_instrument) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
		rc = setenv(LMM_ENV_INSTRUMENT, "1", 1);
	}
	if (rc == 0 && l->expands_command_buffers) {
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
		rc = setenv(LMM_ENV_EXPAND, "1", 1);
	}
	if (rc == 0)
		rc = set_nvtx(l);
	return rc ? rc : set_doors(l);
}

static void run_child(const struct lmm_launch *l, char **argv, int tell)
{
	int error;

	for (int i = 0; l->fds && i < 3; i++) {
		if (l->fds[i] >= 0)
			dup2(l->fds[i], i);
	}
	if (set_environment(l) == 0) {
		pthread_sigmask(SIG_SETMASK, &l->mask, NULL);
		execvp(argv[0], argv);
	}
	error = errno;
	if (write(tell, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

int lmm_launch(const struct lmm_launch *l, char **argv, pid_t *pid)
{
	int tell[2], error = 0;
	ssize_t n;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	*pid = fork();
	if (*pid == 0)
		run_child(l, argv, tell[1]);
	close(tell[1]);
	if (*pid < 0) {
		error = errno;
		close(tell[0]);
		return -error;
	}
	do {
		n = read(tell[0], &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	close(tell[0]);
	if (n == (ssize_t)sizeof(error)) {
		waitpid(*pid, NULL, 0);
		return -error;
	}
	return 0;
}

int lmm_launch_dormant(const struct lmm_launch *l, char **argv)
{
	struct lmm_launch asleep = *l;

	asleep.session_dir = NULL;
	if (strpbrk(l->libs->probe, " :\t\n"))
		return -EINVAL;
	if (set_environment(&asleep))
		return -ENOMEM;
	execvp(argv[0], argv);
	return -errno;
}
