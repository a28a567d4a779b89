/* SPDX-License-Identifier: Apache-2.0 */
/* A session's folder: made by whoever collects, in memory of the user's own where there is some. */
#ifndef LMM_COLLECT_FOLDER_H
#define LMM_COLLECT_FOLDER_H

#include <stdint.h>

#include "wire/session.h"

#define LMM_FOLDER_PATH_BYTES 512

struct lmm_folder {
	char path[LMM_FOLDER_PATH_BYTES];
	struct lmm_shm_session *shm;
};

struct lmm_folder_opts {
	uint64_t memory_bytes; /* ceiling of all rings; 0: 64 MiB */
	uint32_t ring_bytes;   /* wanted size of one; 0: 2 MiB */
	uint8_t threads_all;
	uint32_t device_budget_ppm; /* what timing device commands may cost; 0: no limit */
	uint8_t kernel_times;	    /* enum lmm_kernel_times */
	uint8_t is_asleep;	    /* 1: who joins begins to record, not the session */
	const char *base;	    /* where to make it; NULL: the first place that will do */
	const char *out_path;	    /* the .lmt, for a recovery; NULL: none */
};

/*
 * Makes a new folder (0700) with its session file and maps it, recording on. Tried in turn: $LMMETER_DIR, $XDG_RUNTIME_DIR,
 * /dev/shm, $TMPDIR, /tmp; what is there already must be the user's own. 0 or a negative errno (of the last try).
 */
int lmm_folder_create(const struct lmm_folder_opts *opts, struct lmm_folder *out);

/* Where this user's sessions are made if nothing else is asked for; it is there then. 0 or a negative errno. */
int lmm_folder_base(char base[LMM_FOLDER_PATH_BYTES]);

/* Maps the session file of an existing folder of this user. 0, or a negative errno, LMM_E_CORRUPT. */
int lmm_folder_open(const char *path, struct lmm_folder *out);

/* Unmaps; with remove, deletes all files of the session and the folder. */
void lmm_folder_close(struct lmm_folder *f, int remove);

/*
 * The folder whose session writes out_path (absolute) and whose collector is not alive: something to recover from.
 * 0 and path filled, -ENOENT if there is none, -EBUSY if its collector lives, or cannot be judged from here.
 */
int lmm_folder_find(const char *out_path, char path[LMM_FOLDER_PATH_BYTES]);

struct lmm_folder_session {
	char out_path[sizeof(((struct lmm_shm_session *)0)->out_path)]; /* the .lmt */
	int32_t collector_pid;
	uint64_t started;   /* of the collector, in clock ticks since boot: larger is newer */
	int32_t traced_pid; /* the first traced process that is alive; 0: none */
	unsigned alive;	    /* traced processes */
};

/*
 * Sessions of this user that are being recorded to a file, the newest first: that of the traced process or lmmeter with this
 * number, or (pid 0) all. If $LMMETER_DIR is set, only those in it. Returns how many were put into out.
 */
unsigned lmm_folder_recordings(int32_t pid, struct lmm_folder_session *out, unsigned max);

/* Says that this process collects now, or that nobody does. */
void lmm_folder_take_over(struct lmm_folder *f);
void lmm_folder_let_go(struct lmm_folder *f);

/* Traced processes of the session that are alive. */
unsigned lmm_folder_alive(const struct lmm_folder *f);

/*
 * Removes the folders that nobody will come back to: their collector has gone, no traced process is alive, and the file
 * that a recovery would complete does not exist.
 */
void lmm_folder_sweep(void);
/* Only what someone was removing when he was killed. */
void lmm_folder_sweep_gone(void);

#endif
