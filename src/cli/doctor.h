/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be seen of a command on this machine, found out without running it. cmd_doctor.c puts the parts together:
 * doctor_machine.c, doctor_command.c (what the loader would load), doctor_engine.c (what of it can be hooked), doctor_sensors.c, doctor_print.c.
 */
#ifndef LMM_CLI_DOCTOR_H
#define LMM_CLI_DOCTOR_H

#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "cli/elf.h"
#include "cli/launch.h"
#include "collect/folder.h"
#include "collect/host.h"

#define LMM_DOCTOR_PATH	   4096
#define LMM_DOCTOR_OBJECTS 512
#define LMM_DOCTOR_SIGHTS  16
#define LMM_DOCTOR_GAPS	   16
#define LMM_DOCTOR_NOTES   8
#define LMM_DOCTOR_ABSENT  12

struct lmm_doctor_absent {
	char what[32];
	char why[48];
};

struct lmm_doctor_machine {
	struct lmm_host host;
	uint8_t clock; /* enum lmm_clock_kind */
	char clock_reason[160];
	double stamp_ns; /* one stamp of that clock, stored */
	char folder[LMM_FOLDER_PATH_BYTES];
	char file_system[24];
	uint8_t folder_in_memory;
	uint64_t free_bytes;
	int folder_error; /* 0, or why no folder can be made */
	char c_library[64];
	uint8_t c_library_audits; /* it has LD_AUDIT */
	struct lmm_libs libs;
	int libs_error;
	char opencl[4096];	    /* OpenCL's loader; "": there is none */
	uint8_t opencl_has_layers;  /* it lets lmmeter in as a layer */
	char vulkan[4096];	    /* Vulkan's loader; "": there is none */
	uint8_t vulkan_finds_layer; /* it will load lmmeter's layer in `lmmeter run` */
	char cuda[4096];	    /* CUDA's driver; "": there is none */
	int cuda_version;	    /* 13000: 13.0 */
	char cupti[4096];	    /* "": none was found where toolkits have it */
	uint32_t cupti_version;
	char sensors_readable[400]; /* "cpu frequency (8), …"; "": none */
	struct lmm_doctor_absent sensor_absent[LMM_DOCTOR_ABSENT];
	unsigned n_sensors_absent;
};

enum lmm_doctor_kind {
	LMM_DOCTOR_NOT_FOUND,
	LMM_DOCTOR_NOT_EXECUTABLE,
	LMM_DOCTOR_DYNAMIC,
	LMM_DOCTOR_STATIC,
	LMM_DOCTOR_SCRIPT,
	LMM_DOCTOR_FOREIGN, /* for another machine */
	LMM_DOCTOR_DAMAGED,
};

struct lmm_doctor_object {
	char *path;
	struct lmm_elf *elf;  /* NULL: it has nothing to do with an engine */
	uint8_t is_engine;    /* defines symbols of one */
	uint8_t is_cpu;	      /* … of ggml's CPU backend */
	uint8_t loaded_later; /* not linked: a backend that the engine looks for at run time */
};

struct lmm_doctor_command {
	const char *argument;
	char path[LMM_DOCTOR_PATH];
	enum lmm_doctor_kind kind;
	int error; /* DAMAGED: of the ELF reader */
	char script
		[LMM_DOCTOR_PATH]; /* the file itself if it is a script; path is then its interpreter's */
	char loader[LMM_DOCTOR_PATH]; /* "" if none */
	char missing[256];	      /* a library that the loader does not find */
	uint16_t machine;
	uint8_t is_secure; /* setuid and the like: the loader ignores LD_PRELOAD */
	uint8_t loads_later; /* a shell, an interpreter, a wrapper: engines come later, or in children */
	uint8_t libraries_known; /* the loader has listed them */
	uint8_t marks;		 /* LMM_ELF_MARK… of the file and its libraries */
	struct lmm_doctor_object object[LMM_DOCTOR_OBJECTS];
	unsigned n_objects;
};

struct lmm_doctor_sight {
	const char *what;
	int8_t seen; /* 1, 0; -1: cannot be told */
	char why[160];
};

struct lmm_doctor_gap {
	char what[256];
	char mend[256]; /* the one line that mends it; "" if there is none */
};

struct lmm_doctor {
	struct lmm_doctor_machine machine;
	int has_command;
	struct lmm_doctor_command command;
	char engine_name[32]; /* "" if none was found */
	char engine_version[128];
	struct lmm_doctor_sight sight[LMM_DOCTOR_SIGHTS];
	unsigned n_sights;
	int level; /* enum lmm_level; -1: cannot be told before it runs */
	struct lmm_doctor_gap gap[LMM_DOCTOR_GAPS];
	unsigned n_gaps;
	char note[LMM_DOCTOR_NOTES][256];
	unsigned n_notes;
};

void lmm_doctor_machine(struct lmm_doctor *d);
void lmm_doctor_sensors(struct lmm_doctor_machine *m);
void lmm_doctor_cuda(struct lmm_doctor *d);
/* Fills command, and level where an engine can be ruled out. */
void lmm_doctor_command(struct lmm_doctor *d, const char *argument);
/* Fills engine, sights and level from the command's libraries. */
void lmm_doctor_engine(struct lmm_doctor *d);
void lmm_doctor_free(struct lmm_doctor *d);

void lmm_doctor_text(const struct lmm_doctor *d, FILE *out, int color);
void lmm_doctor_json(const struct lmm_doctor *d, FILE *out);
const char *lmm_doctor_kind_name(enum lmm_doctor_kind kind);

/* mend may be NULL. What does not fit any more is left out. */
LMM_PRINTF(3, 4)
void lmm_doctor_gap(struct lmm_doctor *d, const char *mend, const char *format, ...);
LMM_PRINTF(2, 3) void lmm_doctor_note(struct lmm_doctor *d, const char *format, ...);

/*
 * Runs fn in a child with its standard input and error on /dev/null; what it writes to standard output comes back in out
 * (NUL-terminated, cut at bytes - 1). Killed after timeout_ms. 0 if it exited 0; -ETIMEDOUT, -ECHILD (any other end), or why
 * it could not be started.
 */
int lmm_doctor_child(void (*fn)(void *arg), void *arg, int timeout_ms, char *out, size_t bytes);

#endif
