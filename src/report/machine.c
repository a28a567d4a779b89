/* SPDX-License-Identifier: Apache-2.0 */
/* What sensors said, in a few sentences, for text and page. */
#include <stdarg.h>
#include <string.h>

#include "base/compiler.h"
#include "report/format.h"
#include "report/machine.h"

#define LINE_BYTES 512

struct line {
	char text[LINE_BYTES];
	size_t n;
};

LMM_PRINTF(2, 3) static void add(struct line *l, const char *format, ...)
{
	va_list ap;
	int k;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	k = vsnprintf(l->text + l->n, sizeof(l->text) - l->n, format, ap);
	va_end(ap);
	if (k > 0) {
		l->n += (size_t)k;
		l->n = l->n < sizeof(l->text) ? l->n : sizeof(l->text) - 1;
	}
}

static void say(const struct lmm_machine_words *w, const char *label, const struct line *l)
{
	if (l->n)
		w->say(w->ctx, label, l->text);
}

/* The next sensor of that kind (and component, if it is not negative) that was sampled. */
static const struct lmm_result_sensor *next_of(const struct lmm_result_machine *m, size_t *at,
					       unsigned kind, int component)
{
	while (*at < m->n_sensors) {
		const struct lmm_result_sensor *s = &m->sensors[(*at)++];

		if (s->samples && s->kind == kind && (component < 0 || s->component == component))
			return s;
	}
	return NULL;
}

/* ---- clocks ------------------------------------------------------------------------------------- */

static void add_frequency(struct line *l, const struct lmm_result_machine *m, int component)
{
	const struct lmm_result_sensor *s;
	double low = 0, high = 0, mean = 0, limit = 0;
	unsigned n = 0;

	for (size_t i = 0; (s = next_of(m, &i, LMM_SENSOR_FREQUENCY, component));) {
		low = n == 0 || s->min < low ? s->min : low;
		high = s->max > high ? s->max : high;
		limit = s->limit > limit ? s->limit : limit;
		mean += s->mean;
		n++;
	}
	if (n == 0)
		return;
	add(l, "%s", lmm_human_hz(low).s);
	if (high > low)
		add(l, " to %s, mean %s", lmm_human_hz(high).s, lmm_human_hz(mean / n).s);
	if (limit > 0)
		add(l, ", of %s possible", lmm_human_hz(limit).s);
}

static void add_governor(struct line *l, const struct lmm_result_machine *m)
{
	const struct lmm_result_sensor *s, *first = NULL;
	int is_one = 1, has_changed = 0;

	for (size_t i = 0; (s = next_of(m, &i, LMM_SENSOR_GOVERNOR, -1));) {
		first = first ? first : s;
		is_one &= strcmp(first->state, s->state) == 0;
		has_changed |= s->has_changed;
	}
	if (!first || !first->state[0])
		return;
	add(l, "%sgovernor %s%s%s", l->n ? "; " : "", first->state, is_one ? "" : " and others",
	    has_changed ? " at the end, it has changed" : "");
}

static void print_clocks(const struct lmm_machine_words *w)
{
	const struct lmm_result_machine *m = &w->r->machine;
	struct line cpu = { .n = 0 }, gpu = { .n = 0 };
	const struct lmm_result_sensor *s;
	size_t i = 0;

	add_frequency(&cpu, m, LMM_COMPONENT_CPU);
	add_governor(&cpu, m);
	say(w, "CPU clock", &cpu);
	add_frequency(&gpu, m, LMM_COMPONENT_GPU);
	s = next_of(m, &i, LMM_SENSOR_LOAD, LMM_COMPONENT_GPU);
	if (s) {
		add(&gpu, "%sbusy %s of the time, %s at the most", gpu.n ? "; " : "",
		    lmm_human_percent(s->mean).s, lmm_human_percent(s->max).s);
	}
	say(w, "GPU clock", &gpu);
}

/* ---- heat --------------------------------------------------------------------------------------- */

static void print_heat(const struct lmm_machine_words *w)
{
	const struct lmm_result_machine *m = &w->r->machine;
	const struct lmm_result_sensor *s, *hottest = NULL, *worst = NULL;
	struct line l = { .n = 0 };
	int tells = 0;

	for (size_t i = 0; (s = next_of(m, &i, LMM_SENSOR_TEMPERATURE, -1));)
		hottest = !hottest || s->max > hottest->max ? s : hottest;
	for (size_t i = 0; i < m->n_sensors; i++) {
		s = &m->sensors[i];
		tells |= s->samples && s->kind >= LMM_SENSOR_COOLING &&
			 s->kind <= LMM_SENSOR_THROTTLE_REASONS;
		if (s->throttled_ns > 0 && (!worst || s->throttled_ns > worst->throttled_ns))
			worst = s;
	}
	if (hottest) {
		add(&l, "hottest was %s: %s to %s C", hottest->name, lmm_decimal(hottest->min, 1).s,
		    lmm_decimal(hottest->max, 1).s);
	}
	if (tells && !worst)
		add(&l, "%snot throttled", l.n ? "; " : "");
	if (worst) {
		add(&l, "%sthrottled for %s (%s), most of it by %s", l.n ? "; " : "",
		    lmm_human_ns(m->throttled_ns).s,
		    lmm_human_percent(100 * m->throttled_ns / m->sampled_ns).s, worst->name);
	}
	say(w, "heat", &l);
}

/* ---- power -------------------------------------------------------------------------------------- */

static void add_joules(struct line *l, double uj)
{
	if (uj < 1e3) {
		add(l, "%s uJ", lmm_human_rate(uj).s);
	} else if (uj < 1e6) {
		add(l, "%s mJ", lmm_human_rate(uj / 1e3).s);
	} else {
		add(l, "%s J", lmm_human_rate(uj / 1e6).s);
	}
}

static void add_sources(struct line *l, const struct lmm_result_energy *e)
{
	const char *between = " (";

	for (size_t i = 0; i < e->n_sources; i++) {
		if (!e->sources[i].is_counted)
			continue;
		add(l, "%s%s", between, e->sources[i].name);
		between = " + ";
	}
	add(l, ")");
}

static void print_power(const struct lmm_machine_words *w)
{
	const struct lmm_result_energy *e = &w->r->machine.energy;
	struct line l = { .n = 0 };

	if (!e->is_known)
		return;
	add(&l, "%s W on average", lmm_human_rate(e->mean_mw / 1e3).s);
	add_sources(&l, e);
	add(&l, ", ");
	add_joules(&l, e->total_uj);
	add(&l, " in all");
	if (e->output_token_uj >= 0) {
		add(&l, "; estimated: ");
		add_joules(&l, e->output_token_uj);
		add(&l, " per output token with all that it takes");
	}
	if (e->decode_token_uj >= 0) {
		add(&l, ", ");
		add_joules(&l, e->decode_token_uj);
		add(&l, " per token in decode");
	}
	if (e->prompt_token_uj >= 0) {
		add(&l, ", ");
		add_joules(&l, e->prompt_token_uj);
		add(&l, " per prompt token in prefill");
	}
	say(w, "power", &l);
}

/* ---- memory, and what is missing ---------------------------------------------------------------- */

static void print_memory(const struct lmm_machine_words *w)
{
	const struct lmm_result_machine *m = &w->r->machine;
	const struct lmm_result_sensor *s;
	struct line l = { .n = 0 };
	size_t i = 0;

	s = next_of(m, &i, LMM_SENSOR_MEMORY, -1);
	if (s)
		add(&l, "at least %s available", lmm_human_bytes(s->min).s);
	for (i = 0; (s = next_of(m, &i, LMM_SENSOR_STALL, -1));) {
		if (strcmp(s->name, "some") == 0 && m->sampled_ns > 0) {
			add(&l, "%stasks waited for memory %s of the time", l.n ? "; " : "",
			    lmm_human_percent(100 * s->total / m->sampled_ns).s);
		}
	}
	say(w, "memory", &l);
}

/* Of the traced process, in all. */
static double process_total(const struct lmm_machine_words *w, enum lmm_sensor_kind kind,
			    int *is_known)
{
	size_t i = 0;
	const struct lmm_result_sensor *s = next_of(&w->r->machine, &i, kind, -1);

	*is_known |= s && s->samples > 0;
	return s ? s->total : 0;
}

static void print_process(const struct lmm_machine_words *w)
{
	double sampled = w->r->machine.sampled_ns, wait, major, minor;
	int has_wait = 0, has_faults = 0;
	struct line l = { .n = 0 };

	wait = process_total(w, LMM_SENSOR_RUN_WAIT, &has_wait);
	major = process_total(w, LMM_SENSOR_MAJOR_FAULTS, &has_faults);
	minor = process_total(w, LMM_SENSOR_MINOR_FAULTS, &has_faults);
	if (has_wait && sampled > 0) {
		add(&l, "waited %s of the time for a core",
		    lmm_human_percent(100 * wait / sampled).s);
	}
	if (has_faults) {
		add(&l, "%s%s page faults, %s of them from disk", l.n ? "; " : "",
		    lmm_human_count((uint64_t)(major + minor)).s,
		    lmm_human_count((uint64_t)major).s);
	}
	say(w, "process", &l);
}

/* Those with the same reason stand together. */
static void print_absent(const struct lmm_machine_words *w)
{
	const struct lmm_result_machine *m = &w->r->machine;
	struct line l = { .n = 0 };

	for (size_t i = 0; i < m->n_sensors; i++) {
		const char *why = m->sensors[i].absent;
		const char *between = l.n ? "; no " : "no ";
		int is_said = why[0] == '\0';

		for (size_t k = 0; k < i; k++)
			is_said |= strcmp(m->sensors[k].absent, why) == 0;
		for (size_t k = i; k < m->n_sensors && !is_said; k++) {
			if (strcmp(m->sensors[k].absent, why) != 0)
				continue;
			add(&l, "%s%s", between, m->sensors[k].name);
			between = ", ";
		}
		if (!is_said)
			add(&l, ": %s", why);
	}
	say(w, "absent", &l);
}

void lmm_machine_say(const struct lmm_machine_words *w)
{
	print_clocks(w);
	print_heat(w);
	print_power(w);
	print_memory(w);
	print_process(w);
	print_absent(w);
}
