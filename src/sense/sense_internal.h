/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#ifndef LMM_SENSE_SENSE_INTERNAL_H
#define LMM_SENSE_SENSE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "sense/sense.h"

#define LMM_I_SENSORS	 256
#define LMM_I_PATH_BYTES 512
#define LMM_I_NAME_BYTES 64
#define LMM_I_TEXT_BYTES 256
#define LMM_I_FILES	 3

/* What is missing is said by family, not by file. */
enum family {
	FAMILY_FREQUENCY,
	FAMILY_GOVERNOR,
	FAMILY_TEMPERATURE,
	FAMILY_THROTTLING,
	FAMILY_MEMORY,
	FAMILY_GPU,
	FAMILY_POWER, /* any of the four below will do */
	FAMILY_RAPL,
	FAMILY_RAILS,
	FAMILY_BATTERY,
	FAMILY_NVML,
	FAMILY_PROCESS,
	FAMILY_COUNT
};

struct sensor {
	struct lmm_sensor item;
	char name[LMM_I_NAME_BYTES];
	char source[LMM_I_PATH_BYTES];
	char states[LMM_I_TEXT_BYTES];
	/* 0, or a negative errno: it says nothing now */
	int (*read)(struct lmm_sense *s, struct sensor *x, int64_t *value);
	int fd[LMM_I_FILES]; /* -1: none */
	int64_t factor;	     /* what the file says × this = what is stored */
	int64_t min, max;    /* of what is stored; anything else is garbage */
	const char *key;     /* the number stands behind this word */
	uint64_t wrap;	     /* sums start again behind this value; 0: not known */
	uint64_t last, sum;
	uint8_t has_last;
	uint8_t is_slow;
	uint8_t family;
	uint8_t device; /* of NVML */
	uint8_t what;	/* likewise */
	uint8_t has_value;
	int64_t value;
};

struct tally {
	unsigned seen;
	int error; /* of the first that could not be read; 0: none */
	char source[LMM_I_PATH_BYTES];
};

struct nvml;
struct process;

struct lmm_sense {
	char root[LMM_I_PATH_BYTES];
	struct sensor sensor[LMM_I_SENSORS]; /* those that are read come first */
	unsigned n, n_read;
	struct tally tally[FAMILY_COUNT];
	struct lmm_sample samples[LMM_I_SENSORS];
	uint64_t rounds;
	uint64_t cpu_ns, wall_ns; /* of a round, moving means */
	struct nvml *nvml;
	struct process *process; /* NULL: none is to be watched */
};

/* ---- file.c ------------------------------------------------------------------------------------- */

/* A whole number with an optional unit behind it ("37 %", "812 MHz"). 0, -EINVAL or -ERANGE. */
int lmm__parse_number(const char *text, int64_t *value);
/* Reads from the beginning, NUL-terminated, without blanks at its end. Bytes or a negative errno; -ENODATA: empty. */
int lmm__read_text(int fd, char *text, size_t bytes);
int lmm__read_number(int fd, int64_t *value);
/* Paths begin with /sys or /proc. An fd or a negative errno. */
int lmm__open(const struct lmm_sense *s, const char *path);
int lmm__text_of(const struct lmm_sense *s, const char *path, char *text, size_t bytes);
int lmm__number_of(const struct lmm_sense *s, const char *path, int64_t *value);
LMM_PRINTF(3, 4) int lmm__path(char *path, size_t bytes, const char *format, ...);

/*
 * Calls fn for at most `max` entries of a folder whose names begin with `prefix`, in order of the numbers in them. path: the entry's.
 * 0, or why the folder could not be read.
 */
int lmm__each(struct lmm_sense *s, const char *folder, const char *prefix, unsigned max,
	      void (*fn)(struct lmm_sense *s, const char *path, const char *name));

/* ---- sense.c ------------------------------------------------------------------------------------ */

/*
 * A new sensor in three steps: a place for it, its files, and a first reading, which makes it one of the list. NULL or negative:
 * it is none; its family remembers why.
 */
struct sensor *lmm__begin(struct lmm_sense *s, enum family family, enum lmm_sensor_kind kind,
			  const char *source);
int lmm__file(struct lmm_sense *s, struct sensor *x, unsigned i, const char *path);
int lmm__commit(struct lmm_sense *s, struct sensor *x);
/* All of them, for a number in a file, which is `factor` times as much as is stored. */
struct sensor *lmm__add(struct lmm_sense *s, enum family family, enum lmm_sensor_kind kind,
			const char *path, int64_t factor);
LMM_PRINTF(3, 4)
void lmm__name(struct sensor *x, enum lmm_component component, const char *format, ...);
void lmm__missing(struct lmm_sense *s, enum family family, const char *path, int error);
/* The sum goes on with a counter's raw value. */
void lmm__count_on(struct sensor *x, uint64_t raw);

/* 1 + number of the sensor that reads this file, 0: none does. */
uint32_t lmm__reader_of(const struct lmm_sense *s, const char *path);
/* A sensor of that kind and component is there already. */
int lmm__has(const struct lmm_sense *s, enum lmm_sensor_kind kind, enum lmm_component component);

/* ---- families ----------------------------------------------------------------------------------- */

void lmm__find_cpu(struct lmm_sense *s);
void lmm__find_thermal(struct lmm_sense *s);
void lmm__find_memory(struct lmm_sense *s);
void lmm__find_power(struct lmm_sense *s);
void lmm__find_gpu(struct lmm_sense *s);
void lmm__find_nvml(struct lmm_sense *s, const char *library);
void lmm__nvml_close(struct nvml *n);
int lmm__find_process(struct lmm_sense *s); /* 0 or -ENOMEM */
void lmm__process_close(struct process *p); /* accepts NULL */

#endif
