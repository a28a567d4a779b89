/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the user's command with our library in it, and leaves everything else as it was. */
#ifndef LMM_CLI_LAUNCH_H
#define LMM_CLI_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

/* As it stands in its manifest. */
#define LMM_VULKAN_LAYER "VK_LAYER_LMMETER_latency"

enum lmm_door_choice {
	LMM_DOOR_AUTO =
		0, /* preload, audit where the C library has it, OpenCL as a layer of its loader */
	LMM_DOOR_PRELOAD = 1, /* preload alone, OpenCL under its own names */
	LMM_DOOR_AUDIT =
		2, /* as auto, but OpenCL through the audit: for programs that dlsym() it from a driver */
};

/* Where liblmmeter.so and its siblings are. */
struct lmm_libs {
	char probe[4096];
	char audit[4096];   /* "" if it was not built or this system has no LD_AUDIT */
	char inject[4096];  /* what a process that runs is made to open */
	char threads[4096]; /* the barrier hook of --threads all */
	char cuda[4096];    /* CUDA's launches and waits under their own names */
	char opencl
		[4096]; /* OpenCL under its own names, for the preload door; "" if it was not built */
	char vulkan
		[4096]; /* the folder that tells Vulkan's loader of our layer; "" if it is not there */
};

/* Looks in $LMMETER_LIB_DIR, beside the installed lmmeter, and in the build tree. 0 or -ENOENT. */
int lmm_libs_find(struct lmm_libs *libs);

struct lmm_launch {
	const char *session_dir;
	const struct lmm_libs *libs;
	enum lmm_door_choice door;
	int threads_all;
	int expands_command_buffers;
	int wants_instrument;
	sigset_t mask;	/* the signal mask the command gets */
	const int *fds; /* what it gets for its 0, 1 and 2, -1: what we have; NULL: all of ours */
};

/*
 * Forks and executes argv (looked up in PATH). 0 and *pid; else the errno of exec, negative: -ENOENT, -EACCES, …
 */
int lmm_launch(const struct lmm_launch *l, char **argv, pid_t *pid);

/* Becomes argv, with the library asleep in it (l->session_dir is not looked at). Returns only on failure: -errno. */
int lmm_launch_dormant(const struct lmm_launch *l, char **argv);

#endif
