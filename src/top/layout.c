/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "report/format.h"
#include "top/cells.h"

#define ROWS_MIN    8u
#define COLUMNS_MIN 40u
#define TREND	    16u /* columns of a kernel's history */

/* ---- parts -------------------------------------------------------------------------------------- */

static void put_title(const struct lmm_top *t, const struct lmm_top_view *v,
		      struct lmm_top_screen *s)
{
	const struct lmm_result *r = t->result;
	const char *state = t->has_ended ? "ended" : t->is_alone ? "lmmeter gone" : "recording";
	const char *engine = "";
	unsigned column;

	for (unsigned i = 0; i < s->columns; i++)
		lmm__put_code(s, 0, i, LMM_TOP_TITLE, ' ');
	column = lmm__put(s, 0, 1, LMM_TOP_TITLE, "%s", r->command_name);
	for (size_t i = 0; i < r->n_processes && !engine[0]; i++)
		engine = r->processes[i].engine_name;
	if (engine[0])
		column = lmm__put(s, 0, column + 2, LMM_TOP_TITLE, "%s", engine);
	if (r->n_models)
		lmm__put(s, 0, column + 2, LMM_TOP_TITLE, "%.60s", r->models[0].name);
	if (v->is_paused)
		state = "paused";
	column = (unsigned)(strlen(state) + strlen(lmm_human_ns(r->duration_ns).s) + 4);
	if (s->columns > column) {
		lmm__put(s, 0, s->columns - column, LMM_TOP_TITLE, "  %s %s ", state,
			 lmm_human_ns(r->duration_ns).s);
	}
}

static unsigned put_tokens(const struct lmm_top *t, struct lmm_top_screen *s, unsigned row)
{
	const struct lmm_result *r = t->result;
	unsigned column = lmm__put(s, row, 1, LMM_TOP_HEAD, "%s tokens/s",
				   lmm_human_rate(r->output_tokens_per_second).s);

	if (t->tokens_per_second_now >= 0) {
		column = lmm__put(s, row, column, LMM_TOP_PLAIN, ", now %s",
				  lmm_human_rate(t->tokens_per_second_now).s);
	}
	column = lmm__put(s, row, column, LMM_TOP_PLAIN, ", %s tokens of %s requests",
			  lmm_human_count(t->tokens).s, lmm_human_count(r->requests_total).s);
	if (t->phase != LMM_PHASE_NONE && !t->has_ended && !t->is_alone)
		column = lmm__put(s, row, column, LMM_TOP_PLAIN, "; %s", lmm_phase_name(t->phase));
	if (column + 2 < s->columns)
		lmm__put_trend(s, row, column + 2, s->columns - column - 3, t->tokens_per_second);
	row++;
	column = lmm__put(s, row, 1, LMM_TOP_DIM, "TTFT ");
	column = lmm__put(s, row, column, LMM_TOP_PLAIN, "%s",
			  r->ttft.count ? lmm_human_ns(r->ttft.p50_ns).s : "-");
	column = lmm__put(s, row, column, LMM_TOP_DIM, "  TPOT ");
	column = lmm__put(s, row, column, LMM_TOP_PLAIN, "%s",
			  r->tpot.count ? lmm_human_ns(r->tpot.p50_ns).s : "-");
	column = lmm__put(s, row, column, LMM_TOP_DIM, "  ITL ");
	if (r->itl.count) {
		lmm__put(s, row, column, LMM_TOP_PLAIN, "p50 %s  p95 %s  p99 %s",
			 lmm_human_ns(r->itl.p50_ns).s, lmm_human_ns(r->itl.p95_ns).s,
			 lmm_human_ns(r->itl.p99_ns).s);
	}
	return row + 1;
}

static unsigned put_phases(const struct lmm_top *t, struct lmm_top_screen *s, unsigned row,
			   unsigned end)
{
	unsigned bar = s->columns > 62 ? s->columns - 60 : 0;

	if (row >= end)
		return row;
	lmm__put(s, row, 1, LMM_TOP_HEAD, "Phase");
	lmm__put_right(s, row, 24, LMM_TOP_HEAD, "share");
	lmm__put_right(s, row, 32, LMM_TOP_HEAD, "now");
	lmm__put_right(s, row, 42, LMM_TOP_HEAD, "mean");
	lmm__put_right(s, row, 52, LMM_TOP_HEAD, "p99");
	row++;
	for (size_t i = 0; i < t->result->n_phases && row < end; i++) {
		const struct lmm_result_phase *p = &t->result->phases[i];

		if (p->share_percent < 0)
			continue;
		lmm__put(s, row, 2, LMM_TOP_PLAIN, "%s", lmm_phase_name(p->phase));
		lmm__put_right(s, row, 24, LMM_TOP_PLAIN, lmm_human_percent(p->share_percent).s);
		lmm__put_right(s, row, 32, LMM_TOP_PLAIN,
			       lmm_human_percent(100 * t->phase_now[p->phase]).s);
		lmm__put_right(s, row, 42, LMM_TOP_PLAIN, lmm_human_ns(p->stats.mean_ns).s);
		lmm__put_right(s, row, 52, LMM_TOP_PLAIN, lmm_human_ns(p->stats.p99_ns).s);
		lmm__put_bar(s, row, 54, bar, p->share_percent / 100);
		row++;
	}
	return row;
}

static double kernels_total(const struct lmm_result *r)
{
	double total = 0;

	for (size_t i = 0; i < r->n_kernels; i++)
		total += r->kernels[i].estimate_ns;
	return total;
}

/* Columns from the right: share, median, trend; the name has the rest. */
static unsigned put_kernels(const struct lmm_top *t, struct lmm_top_screen *s, unsigned row,
			    unsigned end, uint32_t first)
{
	const struct lmm_result *r = t->result;
	unsigned trend = s->columns > 76 ? TREND : 0, right = s->columns - trend - 2;
	unsigned name = right > 42 ? right - 32 : 10;
	double total = kernels_total(r);

	if (row + 1 >= end || r->n_kernels == 0)
		return row;
	lmm__put(s, row, 1, LMM_TOP_HEAD, "Kernel");
	lmm__put(s, row, name + 2, LMM_TOP_HEAD, "phase");
	lmm__put_right(s, row, right - 10, LMM_TOP_HEAD, "share");
	lmm__put_right(s, row, right, LMM_TOP_HEAD, "p50");
	if (trend)
		lmm__put(s, row, right + 1, LMM_TOP_HEAD, "trend");
	row++;
	for (size_t i = first; i < r->n_kernels && row < end; i++, row++) {
		const struct lmm_result_kernel *k = &r->kernels[i];
		const struct lmm_top_track *x = lmm_top_track(t, k);

		lmm__put_name(s, row, 2, name - 1, k->name[0] ? k->name : k->op);
		lmm__put(s, row, name + 2, LMM_TOP_PLAIN, "%.12s", lmm_phase_name(k->phase));
		lmm__put_right(s, row, right - 10, LMM_TOP_PLAIN,
			       lmm_human_percent(total > 0 ? 100 * k->estimate_ns / total : 0).s);
		lmm__put_right(s, row, right, LMM_TOP_PLAIN, lmm_human_ns(k->stats.p50_ns).s);
		if (x && trend)
			lmm__put_trend(s, row, right + 1, trend, x->share);
	}
	return row;
}

/* A block per layer, as high as it is slow beside the slowest. */
static unsigned put_layers(const struct lmm_result *r, struct lmm_top_screen *s, unsigned row)
{
	const struct lmm_result_layer *slowest = NULL;
	unsigned column;

	for (size_t i = 0; i < r->n_layers; i++) {
		if (r->layers[i].layer >= 0 &&
		    (!slowest || r->layers[i].total_ns > slowest->total_ns))
			slowest = &r->layers[i];
	}
	if (!slowest || !(slowest->total_ns > 0))
		return row;
	column = lmm__put(s, row, 1, LMM_TOP_HEAD, "Layers ");
	for (size_t i = 0; i < r->n_layers; i++) {
		const struct lmm_result_layer *l = &r->layers[i];

		if (l->layer < 0)
			continue;
		if (column + 24 >= s->columns)
			break;
		lmm__put_code(s, row, column++, LMM_TOP_BAR,
			      0x2581 + (uint32_t)(l->total_ns / slowest->total_ns * 7 + 0.5));
	}
	lmm__put(s, row, column + 1, LMM_TOP_DIM, "longest: %d, %s", slowest->layer,
		 lmm_human_ns(slowest->total_ns).s);
	return row + 1;
}

static unsigned put_device(const struct lmm_result *r, struct lmm_top_screen *s, unsigned row)
{
	unsigned column;

	if (!r->device.seen)
		return row;
	column = lmm__put(s, row, 1, LMM_TOP_HEAD, "Device ");
	column = lmm__put(s, row, column, LMM_TOP_PLAIN, "busy %s",
			  lmm_human_ns(r->device.busy_ns).s);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++) {
		if (r->device.gaps[i].stats.count) {
			column = lmm__put(s, row, column, LMM_TOP_PLAIN, ", idle (%s) %s",
					  lmm_gap_name(i),
					  lmm_human_ns(r->device.gaps[i].stats.total_ns).s);
		}
	}
	return row + 1;
}

/* On a line with others before it. */
struct item_line {
	struct lmm_top_screen *s;
	unsigned row, column;
	const char *between;
};

LMM_PRINTF(3, 4)
static void add(struct item_line *l, uint8_t style, const char *format, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 loses sight of va_start */
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	l->column = lmm__put(l->s, l->row, l->column, style, "%s%s", l->between, text);
	l->between = ", ";
}

/* What can be read of clock, heat and power. */
static void add_machine(struct item_line *l, const struct lmm_top *t)
{
	const struct lmm_top_machine *m = &t->machine;

	if (m->cpu_hz >= 0 && m->cpu_limit_hz > 0) {
		add(l, LMM_TOP_PLAIN, "CPU %s of %s", lmm_human_hz(m->cpu_hz).s,
		    lmm_human_hz(m->cpu_limit_hz).s);
	} else if (m->cpu_hz >= 0) {
		add(l, LMM_TOP_PLAIN, "CPU %s", lmm_human_hz(m->cpu_hz).s);
	}
	if (m->gpu_hz >= 0)
		add(l, LMM_TOP_PLAIN, "GPU %s", lmm_human_hz(m->gpu_hz).s);
	if (m->gpu_load_percent >= 0)
		add(l, LMM_TOP_PLAIN, "GPU busy %s", lmm_human_percent(m->gpu_load_percent).s);
	if (m->celsius >= 0) {
		add(l, LMM_TOP_PLAIN, "%s C (%.20s)", lmm_decimal(m->celsius, 0).s,
		    t->result->machine.sensors[m->hottest].name);
	}
	if (m->power_mw >= 0)
		add(l, LMM_TOP_PLAIN, "%s W", lmm_human_rate(m->power_mw / 1e3).s);
	if (m->is_throttled)
		add(l, LMM_TOP_WARN, "throttled");
}

static void put_machine(const struct lmm_top *t, struct lmm_top_screen *s, unsigned row)
{
	const struct lmm_top_machine *m = &t->machine;
	struct item_line l = { s, row, lmm__put(s, row, 1, LMM_TOP_HEAD, "Machine "), "" };

	add_machine(&l, t);
	l.between = l.between[0] ? "; not readable: " : "not readable: ";
	if (m->cpu_hz < 0)
		add(&l, LMM_TOP_DIM, "CPU clock");
	if (m->celsius < 0)
		add(&l, LMM_TOP_DIM, "temperature");
	if (m->power_mw < 0)
		add(&l, LMM_TOP_DIM, "power");
}

static void put_cost(const struct lmm_top *t, struct lmm_top_screen *s, unsigned row)
{
	const struct lmm_result *r = t->result;
	unsigned column = lmm__put(s, row, 1, LMM_TOP_HEAD, "Cost   ");

	column = lmm__put(s, row, column, LMM_TOP_PLAIN, "%s of the engine's time",
			  lmm_human_percent(r->overhead.percent).s);
	if (t->own_percent >= 0) {
		column = lmm__put(s, row, column, LMM_TOP_PLAIN, ", this view %s of a core",
				  lmm_human_percent(t->own_percent).s);
	}
	lmm__put(s, row, column, r->records.lost ? LMM_TOP_WARN : LMM_TOP_PLAIN,
		 "; %s records lost", lmm_human_count(r->records.lost).s);
}

static void put_keys(const struct lmm_top *t, const struct lmm_top_view *v,
		     struct lmm_top_screen *s)
{
	static const struct {
		const char *key, *what;
	} keys[] = {
		{ "q", "quit" },    { "?", "help" },	{ "k", "kernels" }, { "r", "requests" },
		{ "e", "engines" }, { "s", "sensors" }, { "p", "pause" },
	};
	const struct lmm_result_process *engine = lmm_top_engine(t, v);
	unsigned column = 1;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(keys); i++) {
		column = lmm__put(s, s->rows - 1, column, LMM_TOP_KEY, "%s", keys[i].key);
		column = lmm__put(s, s->rows - 1, column, LMM_TOP_DIM, " %s ", keys[i].what);
	}
	if (v->has_others) {
		column = lmm__put(s, s->rows - 1, column, LMM_TOP_KEY, "n");
		column = lmm__put(s, s->rows - 1, column, LMM_TOP_DIM, " next ");
	}
	if (lmm_top_engines(t) < 2)
		return;
	column = lmm__put(s, s->rows - 1, column, LMM_TOP_KEY, "tab");
	if (engine) {
		lmm__put(s, s->rows - 1, column, LMM_TOP_DIM, " %d", (int)engine->pid);
	} else {
		lmm__put(s, s->rows - 1, column, LMM_TOP_DIM, " all");
	}
}

/* ---- pages -------------------------------------------------------------------------------------- */

static void overview(const struct lmm_top *t, struct lmm_top_screen *s, uint32_t first)
{
	unsigned row = put_tokens(t, s, 1), end = s->rows - 1;
	unsigned below = 2 + (t->result->device.seen != 0) + (t->result->n_layers != 0);

	row = put_phases(t, s, row + (s->rows > 20), end - below);
	row = put_kernels(t, s, row + (s->rows > 20), end - below, first);
	if (end > below)
		row = end - below;
	row = put_layers(t->result, s, row);
	row = put_device(t->result, s, row);
	put_machine(t, s, row);
	put_cost(t, s, row + 1);
}

void lmm_top_clear(struct lmm_top_screen *s)
{
	for (size_t i = 0; i < (size_t)s->rows * s->columns; i++)
		s->cells[i] = (struct lmm_top_cell){ ' ', LMM_TOP_PLAIN };
}

void lmm_top_layout(const struct lmm_top *t, const struct lmm_top_view *v, struct lmm_top_screen *s)
{
	lmm_top_clear(s);
	if (s->rows < ROWS_MIN || s->columns < COLUMNS_MIN) {
		lmm__put(s, 0, 0, LMM_TOP_WARN, "no room: %u x %u at least", COLUMNS_MIN, ROWS_MIN);
		return;
	}
	put_keys(t, v, s);
	if (v->page == LMM_TOP_HELP) {
		lmm__page_help(s);
		return;
	}
	if (!t->result) {
		lmm__put(s, 1, 1, LMM_TOP_PLAIN, "waiting for the first records");
		return;
	}
	put_title(t, v, s);
	switch (v->page) {
	case LMM_TOP_KERNELS:
		put_kernels(t, s, 1, s->rows - 1, v->first);
		break;
	case LMM_TOP_REQUESTS:
		lmm__page_requests(t, v, s);
		break;
	case LMM_TOP_ENGINES:
		lmm__page_engines(t, v, s);
		break;
	case LMM_TOP_SENSORS:
		lmm__page_sensors(t, v, s);
		break;
	default:
		overview(t, s, v->first);
		break;
	}
}
