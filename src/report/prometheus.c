/* SPDX-License-Identifier: Apache-2.0 */
#include "report/prometheus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "lmmeter/version.h"
#include "report/format.h"
#include "report/strpool.h"

#define LABELS_BYTES 1024

struct lmm_prometheus {
	struct lmm_strpool series;
	double *said; /* by number in the pool - 1 */
	uint32_t cap;
	char model
		[LABELS_BYTES]; /* labels that the histograms have had from their first value on */
	FILE *out;
	int rc;
};

/* The boundaries that the conventions recommend, in seconds. */
static const double ttft_bounds[] = { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
				      0.25,  0.5,   0.75, 1.0,	2.5,  5.0,  7.5,  10.0 };
static const double tpot_bounds[] = { 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
				      0.3,  0.4,   0.5,	 0.75,	1.0, 2.5 };
static const double duration_bounds[] = { 0.01, 0.02, 0.04, 0.08,  0.16,  0.32,	 0.64,
					  1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92 };

struct lmm_prometheus *lmm_prometheus_create(void)
{
	return calloc(1, sizeof(struct lmm_prometheus));
}

void lmm_prometheus_destroy(struct lmm_prometheus *p)
{
	if (!p)
		return;
	lmm_strpool_free(&p->series);
	free(p->said);
	free(p);
}

/* ---- lines -------------------------------------------------------------------------------------- */

static void put_head(struct lmm_prometheus *p, const char *name, const char *type, const char *help)
{
	fprintf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Appends key="value" to the labels in text. */
static void add_label(char *text, const char *key, const char *value)
{
	char safe[256];
	size_t at = strlen(text);

	if (!*value || LABELS_BYTES - at < 2 * sizeof(safe) + 40)
		return;
	lmm_text_fit(safe, sizeof(safe), value, 60);
	at += (size_t)snprintf(text + at, LABELS_BYTES - at, "%s%s=\"", at ? "," : "", key);
	for (const char *c = safe; *c; c++) {
		if (*c == '"' || *c == '\\')
			text[at++] = '\\';
		text[at++] = *c;
	}
	text[at++] = '"';
	text[at] = '\0';
}

static void put_sample(struct lmm_prometheus *p, const char *name, const char *labels, double value)
{
	fprintf(p->out, *labels ? "%s{%s} %s\n" : "%s%s %s\n", name, labels,
		lmm_decimal(value, 9).s);
}

static int said_grow(struct lmm_prometheus *p, uint32_t id)
{
	uint32_t cap = p->cap ? p->cap * 2 : 256;
	double *said;

	if (id <= p->cap)
		return 0;
	said = realloc(p->said, cap * sizeof(*said));
	if (!said)
		return -ENOMEM;
	memset(said + p->cap, 0, (cap - p->cap) * sizeof(*said));
	p->said = said;
	p->cap = cap;
	return 0;
}

/*
 * What is known of the past may be corrected by a hair (a better fit of the clock, a thread that comes late): then a counter stands
 * still until the truth has caught up.
 */
static double grown(struct lmm_prometheus *p, const char *name, const char *labels, double value)
{
	char series[LABELS_BYTES + 128];
	uint32_t id;

	(void)snprintf(series, sizeof(series), "%.120s{%s}", name, labels);
	id = lmm_strpool_add(&p->series, series, NULL);
	if (id == 0 || said_grow(p, id)) {
		p->rc = -ENOMEM;
		return value;
	}
	if (value > p->said[id - 1])
		p->said[id - 1] = value;
	return p->said[id - 1];
}

static void put_counter(struct lmm_prometheus *p, const char *name, const char *labels,
			double value)
{
	put_sample(p, name, labels, grown(p, name, labels, value));
}

static void put_one(struct lmm_prometheus *p, const char *name, const char *help, double value)
{
	put_head(p, name, "counter", help);
	put_counter(p, name, "", value);
}

static void put_gauge(struct lmm_prometheus *p, const char *name, const char *help, double value)
{
	put_head(p, name, "gauge", help);
	put_sample(p, name, "", value);
}

/* ---- histograms --------------------------------------------------------------------------------- */

struct histogram {
	const char *name, *help;
	const double *bounds; /* seconds */
	size_t n_bounds;
};

static void put_bucket(struct lmm_prometheus *p, const char *name, const char *le, double count)
{
	char labels[LABELS_BYTES] = "";

	memcpy(labels, p->model, sizeof(labels));
	add_label(labels, "le", le);
	put_counter(p, name, labels, count);
}

static void put_histogram(struct lmm_prometheus *p, const struct histogram *x,
			  const struct lmm_hist *h, double ns_per_tick)
{
	char name[96];

	put_head(p, x->name, "histogram", x->help);
	(void)snprintf(name, sizeof(name), "%s_bucket", x->name);
	for (size_t i = 0; i < x->n_bounds; i++) {
		put_bucket(p, name, lmm_decimal(x->bounds[i], 6).s,
			   (double)lmm_hist_count_to(h, x->bounds[i] * 1e9 / ns_per_tick));
	}
	put_bucket(p, name, "+Inf", (double)h->count);
	(void)snprintf(name, sizeof(name), "%s_sum", x->name);
	put_counter(p, name, p->model, (double)h->sum * ns_per_tick / 1e9);
	(void)snprintf(name, sizeof(name), "%s_count", x->name);
	put_counter(p, name, p->model, (double)h->count);
}

/* The only one there is: of several (a draft model's too) nobody can tell here which served a request. "": it is not known. */
static const char *model_name(const struct lmm_result *r)
{
	const char *name = "";

	for (size_t i = 0; i < r->n_models; i++) {
		const struct lmm_result_model *m = &r->models[i];
		const char *this = *m->name ? m->name : m->file;
		const char *slash = strrchr(this, '/');

		this = slash ? slash + 1 : this;
		if (*name && strcmp(name, this) != 0)
			return "";
		name = this;
	}
	return name;
}

static const char *engine_name(const struct lmm_result *r)
{
	return r->n_processes ? r->processes[0].engine_name : "";
}

static void put_histograms(struct lmm_prometheus *p, const struct lmm_settled *s)
{
	static const struct histogram ttft = {
		"gen_ai_server_time_to_first_token_seconds",
		"From a request's begin to its first token, of requests that have ended.",
		ttft_bounds, LMM_ARRAY_SIZE(ttft_bounds)
	};
	static const struct histogram tpot = {
		"gen_ai_server_time_per_output_token_seconds",
		"A request's mean time per token after its first, of requests that have ended.",
		tpot_bounds, LMM_ARRAY_SIZE(tpot_bounds)
	};
	static const struct histogram duration = {
		"gen_ai_server_request_duration_seconds",
		"From a request's begin to its last record, of requests that have ended.",
		duration_bounds, LMM_ARRAY_SIZE(duration_bounds)
	};

	/* a series must not change its labels: it begins when they are known */
	if (!*p->model) {
		if (s->duration.count == 0 && !*model_name(s->result))
			return;
		add_label(p->model, "gen_ai_operation_name", "text_completion");
		add_label(p->model, "gen_ai_provider_name", engine_name(s->result));
		add_label(p->model, "gen_ai_request_model", model_name(s->result));
	}
	put_histogram(p, &ttft, &s->ttft, s->ns_per_tick);
	put_histogram(p, &tpot, &s->tpot, s->ns_per_tick);
	put_histogram(p, &duration, &s->duration, s->ns_per_tick);
}

/* ---- sums --------------------------------------------------------------------------------------- */

static void put_phases(struct lmm_prometheus *p, const struct lmm_result *r)
{
	static const char name[] = "lmmeter_phase_seconds_total";

	put_head(p, name, "counter", "Time by phase, warm-ups left out.");
	for (size_t i = 0; i < r->n_phases; i++) {
		char labels[LABELS_BYTES] = "";

		if (r->phases[i].warmup_only)
			continue;
		add_label(labels, "phase", lmm_phase_name(r->phases[i].phase));
		put_counter(p, name, labels, r->phases[i].stats.total_ns / 1e9);
	}
}

static void put_tokens(struct lmm_prometheus *p, const struct lmm_settled *s)
{
	const struct lmm_result *r = s->result;

	put_head(p, "lmmeter_tokens_total", "counter",
		 "Tokens: computed for prompts, and chosen; of requests that run as well.");
	put_counter(p, "lmmeter_tokens_total", "kind=\"prompt\"", (double)r->steps.prefill_tokens);
	put_counter(p, "lmmeter_tokens_total", "kind=\"output\"", (double)s->output_tokens);
	put_head(p, "lmmeter_steps_total", "counter", "Forward passes.");
	put_counter(p, "lmmeter_steps_total", "kind=\"prefill\"", (double)r->steps.prefill.count);
	put_counter(p, "lmmeter_steps_total", "kind=\"decode\"", (double)r->steps.decode.count);
	put_one(p, "lmmeter_requests_total", "Requests that have ended.",
		(double)r->requests_total);
}

static int same_sum(const struct lmm_result_kernel *a, const struct lmm_result_kernel *b)
{
	return a->role == b->role && a->phase == b->phase && strcmp(a->device, b->device) == 0;
}

/* Rows of the same role, phase and device together; at the first of them. */
static void put_kernels(struct lmm_prometheus *p, const struct lmm_result *r)
{
	static const char name[] = "lmmeter_kernel_seconds_total";

	put_head(p, name, "counter", "Time of operators and device commands by what they are for.");
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		char labels[LABELS_BYTES] = "";
		double sum_ns = 0;
		size_t before = 0;

		while (before < i && !same_sum(&r->kernels[before], k))
			before++;
		if (before < i)
			continue;
		for (size_t n = i; n < r->n_kernels; n++)
			sum_ns += same_sum(&r->kernels[n], k) ? r->kernels[n].estimate_ns : 0;
		add_label(labels, "role", lmm_role_name(k->role));
		add_label(labels, "phase", lmm_phase_name(k->phase));
		add_label(labels, "device", k->device);
		put_counter(p, name, labels, sum_ns / 1e9);
	}
}

static void put_device(struct lmm_prometheus *p, const struct lmm_result *r)
{
	const struct lmm_result_device *d = &r->device;

	if (!d->seen)
		return;
	put_one(p, "lmmeter_device_busy_seconds_total",
		"Time in which some device command ran, of those that were timed.",
		d->busy_ns / 1e9);
	put_head(p, "lmmeter_device_commands_total", "counter", "Device commands.");
	put_counter(p, "lmmeter_device_commands_total", "timed=\"yes\"", (double)d->timed);
	put_counter(p, "lmmeter_device_commands_total", "timed=\"no\"", (double)d->untimed);
}

/* ---- the recording ------------------------------------------------------------------------------ */

static void put_info(struct lmm_prometheus *p, const struct lmm_result *r)
{
	char labels[LABELS_BYTES] = "";

	add_label(labels, "version", LMM_VERSION_STRING);
	add_label(labels, "command", r->command_name);
	add_label(labels, "engine", engine_name(r));
	add_label(labels, "model", model_name(r));
	add_label(labels, "level", lmm_level_name(r->level.reached));
	put_head(p, "lmmeter_info", "gauge", "What is recorded: always 1.");
	put_sample(p, "lmmeter_info", labels, 1);
}

static void put_recording(struct lmm_prometheus *p, const struct lmm_result *r,
			  const struct lmm_prometheus_opts *opts)
{
	put_gauge(p, "lmmeter_recording_seconds", "How long has been recorded.",
		  r->duration_ns / 1e9);
	put_gauge(p, "lmmeter_recording_ended", "1: nobody records any more.", opts->has_ended);
	put_one(p, "lmmeter_records_total", "Records that were stored.", (double)r->records.stored);
	put_one(p, "lmmeter_records_lost_total", "Records that found no room.",
		(double)r->records.lost);
	put_one(p, "lmmeter_records_invalid_total", "Records that make no sense.",
		(double)r->records.invalid);
	put_one(p, "lmmeter_own_seconds_total",
		"What recording cost inside the traced processes, as calibrated.",
		r->overhead.total_ns / 1e9);
	put_gauge(p, "lmmeter_own_ratio", "The same, of the time inside steps and sampling.",
		  r->overhead.percent / 100);
	put_one(p, "lmmeter_serving_cpu_seconds_total",
		"Processor time of the process that answers here.", (double)opts->own_cpu_ns / 1e9);
}

/* ---- sensors ------------------------------------------------------------------------------------ */

static const struct {
	const char *name, *help;
	uint8_t kind, is_counter;
	double scale; /* of what a result has, to base units */
} sensors[] = {
	{ "lmmeter_sensor_frequency_hertz", "Clock of a part of the machine.", LMM_SENSOR_FREQUENCY,
	  0, 1 },
	{ "lmmeter_sensor_temperature_celsius", "Temperature.", LMM_SENSOR_TEMPERATURE, 0, 1 },
	{ "lmmeter_sensor_cooling_level", "How far a cooling device slows its part down.",
	  LMM_SENSOR_COOLING, 0, 1 },
	{ "lmmeter_sensor_power_watts", "Power.", LMM_SENSOR_POWER, 0, 1e-3 },
	{ "lmmeter_sensor_energy_joules_total", "Energy since the recording began.",
	  LMM_SENSOR_ENERGY, 1, 1e-6 },
	{ "lmmeter_sensor_load_ratio", "Share of time in which it was busy.", LMM_SENSOR_LOAD, 0,
	  1e-2 },
	{ "lmmeter_sensor_memory_available_bytes", "Memory that is available.", LMM_SENSOR_MEMORY,
	  0, 1 },
	{ "lmmeter_sensor_memory_stall_seconds_total", "Time in which tasks waited for memory.",
	  LMM_SENSOR_STALL, 1, 1e-9 },
};

static void put_sensors(struct lmm_prometheus *p, const struct lmm_result_machine *m)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(sensors); i++) {
		int has_head = 0;

		for (size_t k = 0; k < m->n_sensors; k++) {
			const struct lmm_result_sensor *x = &m->sensors[k];
			char labels[LABELS_BYTES] = "", number[16];
			double value =
				(sensors[i].is_counter ? x->total : x->newest) * sensors[i].scale;

			if (x->kind != sensors[i].kind || x->samples == 0)
				continue;
			if (!has_head++) {
				put_head(p, sensors[i].name,
					 sensors[i].is_counter ? "counter" : "gauge",
					 sensors[i].help);
			}
			/* several may have one name */
			(void)snprintf(number, sizeof(number), "%" PRIu32, x->sensor);
			add_label(labels, "sensor", x->name);
			add_label(labels, "number", number);
			add_label(labels, "component", lmm_component_name(x->component));
			if (sensors[i].is_counter)
				value = grown(p, sensors[i].name, labels, value);
			put_sample(p, sensors[i].name, labels, value);
		}
	}
	if (m->rounds) {
		put_one(p, "lmmeter_throttled_seconds_total",
			"Time in which something of the machine was slowed down.",
			m->throttled_ns / 1e9);
	}
}

/* ---- all ---------------------------------------------------------------------------------------- */

int lmm_prometheus_write(struct lmm_prometheus *p, const struct lmm_settled *s,
			 const struct lmm_prometheus_opts *opts, FILE *out)
{
	p->out = out;
	p->rc = 0;
	put_info(p, s->result);
	put_recording(p, s->result, opts);
	put_histograms(p, s);
	put_tokens(p, s);
	put_phases(p, s->result);
	put_kernels(p, s->result);
	put_device(p, s->result);
	put_sensors(p, &s->result->machine);
	return p->rc;
}
