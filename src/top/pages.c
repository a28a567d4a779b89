/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "report/format.h"
#include "top/cells.h"

#define TREND 16u

/* ---- engines ------------------------------------------------------------------------------------ */

static int is_engine(const struct lmm_result_process *p)
{
	return p->engine_name[0] || p->requests;
}

unsigned lmm_top_engines(const struct lmm_top *t)
{
	unsigned n = 0;

	for (size_t i = 0; t->result && i < t->result->n_processes; i++)
		n += is_engine(&t->result->processes[i]) != 0;
	return n;
}

const struct lmm_result_process *lmm_top_engine(const struct lmm_top *t,
						const struct lmm_top_view *v)
{
	unsigned at = v->engine % (lmm_top_engines(t) + 1);

	for (size_t i = 0; at && i < t->result->n_processes; i++) {
		if (is_engine(&t->result->processes[i]) && --at == 0)
			return &t->result->processes[i];
	}
	return NULL;
}

static unsigned requests_open(const struct lmm_result *r, uint32_t process)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->n_requests; i++)
		n += r->requests[i].process == process && !r->requests[i].complete;
	return n;
}

static int has_models(const struct lmm_top_screen *s)
{
	return s->columns >= 100;
}

static const char *model_of(const struct lmm_result *r, uint32_t process)
{
	for (size_t i = 0; i < r->n_models; i++) {
		if (r->models[i].process == process)
			return r->models[i].name;
	}
	return "";
}

/* Columns from the right: trend, rate, tokens, requests, open ones; the names have the rest. */
static void put_engine(const struct lmm_top *t, size_t at, uint8_t style, struct lmm_top_screen *s,
		       unsigned row)
{
	const struct lmm_result_process *p = &t->result->processes[at];
	unsigned trend = s->columns > 76 ? TREND : 0, right = s->columns - trend - 2;
	char text[512], open[16];

	(void)snprintf(text, sizeof(text), "%d", (int)p->pid);
	lmm__put_right(s, row, 8, style, text);
	(void)snprintf(text, sizeof(text), "%.120s%s%.120s", p->name, has_models(s) ? "  " : "",
		       has_models(s) ? model_of(t->result, p->process) : "");
	lmm__put_name(s, row, 10, right > 44 ? right - 44 : 1, text);
	(void)snprintf(open, sizeof(open), "%u", requests_open(t->result, p->process));
	lmm__put_right(s, row, right - 28, LMM_TOP_PLAIN, open);
	lmm__put_right(s, row, right - 18, LMM_TOP_PLAIN, lmm_human_short(p->requests).s);
	lmm__put_right(s, row, right - 9, LMM_TOP_PLAIN, lmm_human_short(p->output_tokens).s);
	if (at >= LMM_TOP_PROCESSES)
		return;
	if (t->processes[at].tokens_per_second_now >= 0) {
		lmm__put_right(s, row, right, LMM_TOP_PLAIN,
			       lmm_human_rate(t->processes[at].tokens_per_second_now).s);
	}
	if (trend)
		lmm__put_trend(s, row, right + 1, trend, t->processes[at].tokens_per_second);
}

void lmm__page_engines(const struct lmm_top *t, const struct lmm_top_view *v,
		       struct lmm_top_screen *s)
{
	const struct lmm_result_process *chosen = lmm_top_engine(t, v);
	unsigned right = s->columns - (s->columns > 76 ? TREND : 0) - 2, row = 2;
	uint32_t first = v->first;

	lmm__put_right(s, 1, 8, LMM_TOP_HEAD, "pid");
	lmm__put(s, 1, 10, LMM_TOP_HEAD, has_models(s) ? "process  model" : "process");
	lmm__put_right(s, 1, right - 28, LMM_TOP_HEAD, "open");
	lmm__put_right(s, 1, right - 18, LMM_TOP_HEAD, "requests");
	lmm__put_right(s, 1, right - 9, LMM_TOP_HEAD, "tokens");
	lmm__put_right(s, 1, right, LMM_TOP_HEAD, "per s");
	for (size_t i = 0; i < t->result->n_processes && row < s->rows - 1; i++) {
		const struct lmm_result_process *p = &t->result->processes[i];

		if (!is_engine(p) || (first && first--))
			continue;
		put_engine(t, i, p == chosen ? LMM_TOP_TITLE : LMM_TOP_PLAIN, s, row++);
	}
}

/* ---- requests ----------------------------------------------------------------------------------- */

static int pid_of(const struct lmm_result *r, uint32_t process)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].process == process)
			return (int)r->processes[i].pid;
	}
	return -1;
}

static void put_request(const struct lmm_result *r, const struct lmm_result_request *q,
			struct lmm_top_screen *s, unsigned row)
{
	char seq[16] = "-";

	if (q->seq != LMM_SEQ_NONE)
		(void)snprintf(seq, sizeof(seq), "%u", q->seq);
	lmm__put(s, row, 1, q->complete ? LMM_TOP_PLAIN : LMM_TOP_HEAD,
		 "%5llu %7d %4s %6s %6s %6s %6s %9s %9s %9s", (unsigned long long)q->id,
		 pid_of(r, q->process), seq, lmm_human_short(q->prompt_tokens).s,
		 lmm_human_short(q->cached_tokens).s, lmm_human_short(q->output_tokens).s,
		 q->tpot_ns > 0 ? lmm_human_rate(1e9 / q->tpot_ns).s : "-",
		 q->ttft_ns >= 0 ? lmm_human_ns(q->ttft_ns).s : "-",
		 q->tpot_ns >= 0 ? lmm_human_ns(q->tpot_ns).s : "-", lmm_human_ns(q->wall_ns).s);
}

/* The newest first; those that go on are bold. */
void lmm__page_requests(const struct lmm_top *t, const struct lmm_top_view *v,
			struct lmm_top_screen *s)
{
	const struct lmm_result_process *engine = lmm_top_engine(t, v);
	const struct lmm_result *r = t->result;
	uint32_t first = v->first;
	unsigned row = 2;

	lmm__put(s, 1, 1, LMM_TOP_HEAD, "%5s %7s %4s %6s %6s %6s %6s %9s %9s %9s", "id", "pid",
		 "seq", "prompt", "cached", "tokens", "per s", "first", "per token", "in all");
	for (size_t i = r->n_requests; i-- > 0 && row < s->rows - 1;) {
		const struct lmm_result_request *q = &r->requests[i];

		if ((engine && q->process != engine->process) || (first && first--))
			continue;
		put_request(r, q, s, row++);
	}
}

/* ---- sensors ------------------------------------------------------------------------------------ */

static struct lmm_human value_of(const struct lmm_result_sensor *x, double v)
{
	struct lmm_human h;

	switch (x->kind) {
	case LMM_SENSOR_FREQUENCY:
		return lmm_human_hz(v);
	case LMM_SENSOR_MEMORY:
		return lmm_human_bytes(v);
	case LMM_SENSOR_LOAD:
		return lmm_human_percent(v);
	case LMM_SENSOR_THROTTLE_TIME:
	case LMM_SENSOR_STALL:
		return lmm_human_ns(v);
	case LMM_SENSOR_TEMPERATURE:
		(void)snprintf(h.s, sizeof(h.s), "%.16s C", lmm_decimal(v, 1).s);
		return h;
	case LMM_SENSOR_POWER:
		(void)snprintf(h.s, sizeof(h.s), "%.16s W", lmm_human_rate(v / 1e3).s);
		return h;
	case LMM_SENSOR_ENERGY:
		(void)snprintf(h.s, sizeof(h.s), "%.16s J", lmm_human_rate(v / 1e6).s);
		return h;
	case LMM_SENSOR_VOLTAGE:
		(void)snprintf(h.s, sizeof(h.s), "%.16s V", lmm_human_rate(v / 1e6).s);
		return h;
	case LMM_SENSOR_CURRENT:
		(void)snprintf(h.s, sizeof(h.s), "%.16s A", lmm_human_rate(v / 1e6).s);
		return h;
	default:
		return lmm_decimal(v, 0);
	}
}

static void put_sensor(const struct lmm_result_sensor *x, struct lmm_top_screen *s, unsigned row)
{
	unsigned end = s->columns - 1;

	lmm__put_name(s, row, 2, end > 64 ? end - 64 : 1, x->name);
	lmm__put(s, row, end - 60, LMM_TOP_PLAIN, "%.16s", lmm_sensor_kind_name(x->kind));
	if (x->state[0]) {
		lmm__put_right(s, row, end - 33, LMM_TOP_PLAIN, x->state);
	} else if (lmm_sensor_is_sum(x->kind)) {
		lmm__put_right(s, row, end, LMM_TOP_PLAIN, value_of(x, x->total).s);
		lmm__put_right(s, row, end - 33, LMM_TOP_DIM, "in all");
	} else {
		lmm__put_right(s, row, end - 33, LMM_TOP_PLAIN, value_of(x, x->newest).s);
		lmm__put_right(s, row, end - 22, LMM_TOP_PLAIN, value_of(x, x->min).s);
		lmm__put_right(s, row, end - 11, LMM_TOP_PLAIN, value_of(x, x->mean).s);
		lmm__put_right(s, row, end, LMM_TOP_PLAIN, value_of(x, x->max).s);
	}
}

/* What is there, then what is not. */
void lmm__page_sensors(const struct lmm_top *t, const struct lmm_top_view *v,
		       struct lmm_top_screen *s)
{
	const struct lmm_result_machine *m = &t->result->machine;
	unsigned end = s->columns - 1, row = 2;
	uint32_t first = v->first;

	lmm__put(s, 1, 2, LMM_TOP_HEAD, "Sensor");
	lmm__put_right(s, 1, end - 33, LMM_TOP_HEAD, "now");
	lmm__put_right(s, 1, end - 22, LMM_TOP_HEAD, "lowest");
	lmm__put_right(s, 1, end - 11, LMM_TOP_HEAD, "mean");
	lmm__put_right(s, 1, end, LMM_TOP_HEAD, "highest");
	for (unsigned absent = 0; absent < 2; absent++) {
		for (size_t i = 0; i < m->n_sensors && row < s->rows - 1; i++) {
			const struct lmm_result_sensor *x = &m->sensors[i];

			if ((x->absent[0] != 0) != absent || (first && first--))
				continue;
			if (absent) {
				lmm__put(s, row++, 2, LMM_TOP_DIM, "%.60s: %.200s", x->name,
					 x->absent);
			} else {
				put_sensor(x, s, row++);
			}
		}
	}
	if (m->n_sensors == 0)
		lmm__put(s, row, 2, LMM_TOP_DIM, "this recording has no sensors");
}

/* ---- help --------------------------------------------------------------------------------------- */

void lmm__page_help(struct lmm_top_screen *s)
{
	static const char *const lines[] = {
		"q        leave the view; the recording goes on",
		"k        kernels and operators, all of them; up, down, page keys",
		"r        requests, the newest first; those that go on are bold",
		"e        engines: the processes, with tokens per second of each",
		"tab      on these two pages: choose an engine; requests are its alone",
		"s        sensors of the machine, and which of them cannot be read",
		"n        another recording (lmmeter top)",
		"p space  hold the picture",
		"?        this page",
		"",
		"All figures are of the whole recording and those of `lmmeter report`, but",
		"for \"now\" and the trends: these are of the time since the last picture,",
		"twice a second. share of kernels: of the time of all kernels. Layers:",
		"height by time in all. per s: tokens per second.",
	};

	for (unsigned i = 0; i < LMM_ARRAY_SIZE(lines) && 1 + i < s->rows - 1; i++)
		lmm__put(s, 1 + i, 2, LMM_TOP_PLAIN, "%s", lines[i]);
}

/* ---- which recording ---------------------------------------------------------------------------- */

void lmm_top_layout_choice(const char *const *lines, unsigned n, unsigned chosen,
			   struct lmm_top_screen *s)
{
	unsigned first, rows = s->rows > 4 ? s->rows - 4 : 1;

	lmm_top_clear(s);
	first = chosen >= rows ? chosen - rows + 1 : 0;
	lmm__put(s, 0, 1, LMM_TOP_HEAD,
		 n ? "Recordings that go on, the newest first" : "No recording of yours goes on");
	for (unsigned i = first; i < n && i - first < rows; i++) {
		lmm__put(s, 2 + i - first, 1, i == chosen ? LMM_TOP_TITLE : LMM_TOP_PLAIN,
			 " %u  %s ", i + 1, lines[i]);
	}
	lmm__put(s, s->rows - 1, 1, LMM_TOP_DIM, "up, down, enter or its number; q quits");
}
