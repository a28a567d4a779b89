/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine said about itself during a session: part of struct lmm_result. Strings are never NULL. */
#ifndef LMM_ANALYZE_RESULT_SENSORS_H
#define LMM_ANALYZE_RESULT_SENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "lmmeter/trace.h"

/* Values are in `unit`: hz, celsius, mw, uj, percent, ns, bytes, level, events, bits, state, uv, ua. */
struct lmm_result_sensor {
	uint32_t sensor; /* number in the trace */
	uint8_t kind;	 /* enum lmm_sensor_kind */
	uint8_t component;
	uint8_t has_changed; /* GOVERNOR: there were others than state */
	const char *name, *unit, *source;
	double scale;	    /* what samples hold × scale = value in unit */
	const char *absent; /* "": it was sampled; else why not, and the rest is 0 */
	uint64_t samples;
	double min, mean, max; /* mean over time; sums: 0 */
	double newest;	       /* likewise */
	double total;	       /* sums: from the first sample to the last */
	double limit;	       /* largest possible value, 0: not known */
	char state[32];	       /* GOVERNOR: the one at the end */
	double throttled_ns;   /* it slowed its part down */
};

/* Of one source, or of all that are added up. Estimated: docs/sensors.md has the formula. */
struct lmm_result_phase_energy {
	uint8_t phase;
	double total_uj;
	double mean_mw; /* while the phase ran */
};

struct lmm_result_energy_source {
	uint32_t sensor;
	const char *name;
	uint8_t component;
	uint8_t is_counted; /* it is in the sum: none of it is measured by another one as well */
	double total_uj;    /* while it was sampled */
	double sampled_ns;
	struct lmm_result_phase_energy
		phases[LMM_PHASE_COUNT]; /* by number; mean_mw < 0: not known */
};

struct lmm_result_energy {
	uint8_t is_known; /* 0: nothing that tells power or energy was sampled */
	struct lmm_result_energy_source *sources;
	size_t n_sources;
	double total_uj; /* of the sources that are counted */
	double mean_mw;
	struct lmm_result_phase_energy phases[LMM_PHASE_COUNT];
	double requests_uj; /* of all phases from tokenize on */
	/* requests_uj per output token; the phases decode and prefill alone per token of theirs; < 0: not known */
	double output_token_uj, decode_token_uj, prompt_token_uj;
};

struct lmm_result_machine {
	struct lmm_result_sensor *sensors; /* by number */
	size_t n_sensors;
	uint64_t rounds;
	double sampled_ns;   /* from the first round to the last */
	double throttled_ns; /* part of it in which anything was */
	struct lmm_result_energy energy;
};

#endif
