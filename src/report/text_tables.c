/* SPDX-License-Identifier: Apache-2.0 */
#include "report/text_internal.h"

#include <inttypes.h>
#include <string.h>

#define TOP_KERNELS  10
#define STRIP_LAYERS 80

/* ---- layers ------------------------------------------------------------------------------------- */

static void print_layer(const struct lmm_text *t, const char *name,
			const struct lmm_result_layer *l)
{
	fputs("  ", t->out);
	lmm__text_cell(t, name, 22);
	fprintf(t->out, "%10s%11s%11s%11s%11s%11s%11s", lmm_human_ns(l->total_ns).s,
		lmm_human_ns(l->attention_ns).s, lmm_human_ns(l->mlp_ns).s,
		lmm_human_ns(l->norm_ns).s, lmm_human_ns(l->other_ns).s,
		lmm_human_ns(l->prefill_ns).s, lmm_human_ns(l->decode_ns).s);
	fputc('\n', t->out);
}

static void add_layer(struct lmm_result_layer *sum, const struct lmm_result_layer *l)
{
	sum->attention_ns += l->attention_ns;
	sum->mlp_ns += l->mlp_ns;
	sum->norm_ns += l->norm_ns;
	sum->other_ns += l->other_ns;
	sum->total_ns += l->total_ns;
	sum->prefill_ns += l->prefill_ns;
	sum->decode_ns += l->decode_ns;
}

/* One character per layer, as high as its time between the shortest and the longest. */
static void print_strip(const struct lmm_text *t, const struct lmm_result_layer *l, size_t n)
{
	static const char *const blocks[] = { "\u2581", "\u2582", "\u2583", "\u2584",
					      "\u2585", "\u2586", "\u2587", "\u2588" };
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = l[i].total_ns > most ? l[i].total_ns : most;
	if (!t->opts->bars || !t->opts->utf8 || !(most > 0))
		return;
	for (size_t i = 0; i < n; i++) {
		int step = (int)(l[i].total_ns / most * 8);

		if (i % STRIP_LAYERS == 0)
			fprintf(t->out, "%s  %6" PRId32 " ", i ? "\n" : "", l[i].layer);
		lmm__text_style_on(t, LMM_STYLE_BAR);
		fputs(blocks[step > 7 ? 7 : step], t->out);
		lmm__text_style_off(t);
	}
	fputc('\n', t->out);
}

static int is_longer(const struct lmm_result_layer *a, const struct lmm_result_layer *b)
{
	return !b || a->total_ns > b->total_ns;
}

static void print_longest_layers(const struct lmm_text *t, const struct lmm_result_layer *l,
				 size_t n, double mean)
{
	const struct lmm_result_layer *longest[3] = { NULL, NULL, NULL };

	for (size_t i = 0; i < n; i++) {
		size_t at = LMM_ARRAY_SIZE(longest);

		while (at > 0 && is_longer(&l[i], longest[at - 1])) {
			if (at < LMM_ARRAY_SIZE(longest))
				longest[at] = longest[at - 1];
			at--;
		}
		if (at < LMM_ARRAY_SIZE(longest))
			longest[at] = &l[i];
	}
	fputs("  longest:", t->out);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(longest) && longest[i]; i++) {
		fprintf(t->out, "%s layer %" PRId32 " %s (%+.1f %%)", i ? "," : "",
			longest[i]->layer, lmm_human_ns(longest[i]->total_ns).s,
			mean > 0 ? 100 * (longest[i]->total_ns / mean - 1) : 0.0);
	}
	fprintf(t->out, "; mean %s\n", lmm_human_ns(mean).s);
}

void lmm__text_layers(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	struct lmm_result_layer sum = { 0 };
	const struct lmm_result_layer *first;
	char name[40];
	size_t none, n;

	if (r->n_layers == 0)
		return;
	none = r->layers[0].layer < 0;
	first = r->layers + none;
	n = r->n_layers - none;
	lmm__text_head(t, "Layers", 24);
	fprintf(t->out, "%10s%11s%11s%11s%11s%11s%11s\n", "total", "attention", "MLP", "norm",
		"other", "prefill", "decode");
	for (size_t i = 0; i < n; i++) {
		add_layer(&sum, &first[i]);
		(void)snprintf(name, sizeof(name), "%" PRId32, first[i].layer);
		if (t->opts->layers)
			print_layer(t, name, &first[i]);
	}
	if (n > 0) {
		(void)snprintf(name, sizeof(name), "all %zu layers", n);
		print_layer(t, name, &sum);
	}
	if (none)
		print_layer(t, "of no layer", &r->layers[0]);
	if (n > 0 && !t->opts->layers) {
		print_strip(t, first, n);
		print_longest_layers(t, first, n, sum.total_ns / (double)n);
	}
}

/* ---- operators ---------------------------------------------------------------------------------- */

/* Operators of the host's, or the kernels of one device: a table each, as their names are of different length. */
struct table {
	const char *device; /* "CPU": operators */
	int is_device;
	size_t rows;
	double total_ns;
};

static void table_look(const struct lmm_result *r, struct table *x)
{
	x->rows = 0;
	x->total_ns = 0;
	for (size_t i = 0; i < r->n_kernels; i++) {
		if (strcmp(r->kernels[i].device, x->device) != 0)
			continue;
		x->rows++;
		x->total_ns += r->kernels[i].estimate_ns;
	}
}

static void print_head(const struct lmm_text *t, const struct table *x)
{
	if (x->is_device) {
		char head[80];

		(void)snprintf(head, sizeof(head), "Kernels on %.60s", x->device);
		lmm__text_head(t, head, 0);
		fprintf(t->out, "\n  %-43s%-10s%-10s%8s%10s%9s%9s\n", "", "role", "phase", "count",
			"total", "p50", "share");
		return;
	}
	lmm__text_head(t, "Operators", 21);
	fprintf(t->out, "%-14s %-9s %-9s %-5s%8s%9s%9s%8s%5s\n", "op", "role", "phase", "type",
		"count", "total", "p50", "share", "GB/s");
}

/* "±" and how many per cent, where only some runs were timed. */
static void print_doubt(const struct lmm_text *t, const struct lmm_result_kernel *k)
{
	if (k->untimed == 0)
		return;
	if (k->estimate_half_ns < 0 || !(k->estimate_ns > 0)) {
		fputs("  not timed often enough", t->out);
	} else {
		fprintf(t->out, " %s%s", t->opts->utf8 ? "\u00b1" : "+-",
			lmm_human_percent(100 * k->estimate_half_ns / k->estimate_ns).s);
	}
}

static void print_device_kernel(const struct lmm_text *t, const struct lmm_result_kernel *k,
				double total_ns)
{
	fputs("  ", t->out);
	lmm__text_cell(t, k->name, 42);
	fputc(' ', t->out);
	lmm__text_cell(t, lmm_role_name(k->role), 9);
	fputc(' ', t->out);
	lmm__text_cell(t, lmm_phase_name(k->phase), 10);
	fprintf(t->out, "%8s%10s%9s%9s", lmm_human_short(k->stats.count + k->untimed).s,
		lmm_human_ns(k->estimate_ns).s, lmm_human_ns(k->stats.p50_ns).s,
		lmm_human_percent(total_ns > 0 ? 100 * k->estimate_ns / total_ns : 0).s);
	print_doubt(t, k);
	fputc('\n', t->out);
}

static void print_operator(const struct lmm_text *t, const struct lmm_result_kernel *k,
			   double total_ns)
{
	fputs("  ", t->out);
	lmm__text_cell(t, k->name, 18);
	fputc(k->fused ? '+' : ' ', t->out);
	lmm__text_cell(t, k->op, 14);
	fputc(' ', t->out);
	lmm__text_cell(t, lmm_role_name(k->role), 9);
	fputc(' ', t->out);
	lmm__text_cell(t, lmm_phase_name(k->phase), 9);
	fputc(' ', t->out);
	lmm__text_cell(t, k->weight_type, 5);
	fprintf(t->out, "%8s%9s%9s%8s", lmm_human_short(k->stats.count).s,
		lmm_human_ns(k->stats.total_ns).s, lmm_human_ns(k->stats.p50_ns).s,
		lmm_human_percent(total_ns > 0 ? 100 * k->stats.total_ns / total_ns : 0).s);
	if (k->bytes && k->stats.total_ns > 0)
		fprintf(t->out, "%5s", lmm_human_rate((double)k->bytes / k->stats.total_ns).s);
	fputc('\n', t->out);
}

static void print_table(const struct lmm_text *t, const struct table *x)
{
	const struct lmm_result *r = t->r;
	size_t shown = t->opts->kernels || x->rows < TOP_KERNELS ? x->rows : TOP_KERNELS;
	int has_fused = 0;

	print_head(t, x);
	for (size_t i = 0, n = 0; i < r->n_kernels && n < shown; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		if (strcmp(k->device, x->device) != 0)
			continue;
		n++;
		if (x->is_device) {
			print_device_kernel(t, k, x->total_ns);
		} else {
			print_operator(t, k, x->total_ns);
		}
		has_fused |= k->fused;
	}
	if (has_fused)
		fputs("  + the next operator ran together with it\n", t->out);
	if (shown < x->rows)
		fprintf(t->out, "  and %zu more (--kernels)\n", x->rows - shown);
}

static int is_first_of_device(const struct lmm_result *r, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(r->kernels[i].device, r->kernels[at].device) == 0)
			return 0;
	}
	return 1;
}

void lmm__text_kernels(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;

	for (size_t i = 0; i < r->n_kernels; i++) {
		struct table x = { .device = r->kernels[i].device };

		if (!is_first_of_device(r, i))
			continue;
		x.is_device = r->device.seen && strcmp(x.device, "CPU") != 0;
		table_look(r, &x);
		print_table(t, &x);
	}
}

/* ---- devices ------------------------------------------------------------------------------------ */

static void print_gap(const struct lmm_text *t, const struct lmm_result_gap *g)
{
	if (g->stats.count == 0)
		return;
	fprintf(t->out, "  idle    %10s in %s gaps%s: %s", lmm_human_ns(g->stats.total_ns).s,
		lmm_human_count(g->stats.count).s, t->r->device.windows.count ? " of windows" : "",
		lmm_gap_reason(g->cause));
	if (g->unsure_ns > 0 && g->cause != LMM_GAP_UNKNOWN) {
		fprintf(t->out, " (%s of it unsure)",
			lmm_human_percent(100 * g->unsure_ns / g->stats.total_ns).s);
	}
	fputc('\n', t->out);
}

static void print_commands(const struct lmm_text *t, const struct lmm_result_device *d)
{
	char more[200] = "";
	size_t n = 0;

	if (d->in_flight) {
		n += (size_t)snprintf(more + n, sizeof(more) - n, "; %s still in flight at the end",
				      lmm_human_count(d->in_flight).s);
	}
	if (d->unavailable) {
		n += (size_t)snprintf(more + n, sizeof(more) - n,
				      "; of %s the driver gave no times",
				      lmm_human_count(d->unavailable).s);
	}
	if (d->failed) {
		(void)snprintf(more + n, sizeof(more) - n, "; %s failed",
			       lmm_human_count(d->failed).s);
	}
	lmm__text_wrap(t, "  number", 10, "%s commands timed, %s not (one step in %s)%s",
		       lmm_human_count(d->timed).s, lmm_human_count(d->untimed).s,
		       lmm_human_count(d->every ? d->every : 1).s, more);
}

/* The kernels that took the longest to be made ready, in words; "" if none did. */
static void slowest_to_use(const struct lmm_result *r, char *out, size_t bytes)
{
	const struct lmm_result_kernel *last = NULL;
	size_t n = 0;

	out[0] = 0;
	for (unsigned shown = 0; shown < 3 && n < bytes; shown++) {
		const struct lmm_result_kernel *most = NULL;

		for (size_t i = 0; i < r->n_kernels; i++) {
			const struct lmm_result_kernel *k = &r->kernels[i];

			if (k->first_use_ns > (most ? most->first_use_ns : 0) &&
			    (!last || k->first_use_ns < last->first_use_ns))
				most = k;
		}
		if (!most)
			return;
		n += (size_t)snprintf(out + n, bytes - n, "%s%.60s %s",
				      n ? ", " : "; longest: ", most->name,
				      lmm_human_ns(most->first_use_ns).s);
		last = most;
	}
}

/* What will not come again: how long it took, by phase. */
static void print_first_uses(const struct lmm_text *t)
{
	char list[256] = "", kernels[256];
	size_t n = 0;

	for (size_t i = 0; i < t->r->n_phases; i++) {
		const struct lmm_result_phase *p = &t->r->phases[i];

		if (!(p->first_use_ns > 0) || n >= sizeof(list))
			continue;
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s %s", n ? ", " : "",
				      lmm_phase_name(p->phase), lmm_human_ns(p->first_use_ns).s);
	}
	slowest_to_use(t->r, kernels, sizeof(kernels));
	if (n) {
		lmm__text_wrap(
			t, "  first", 10,
			"programs compiled and kernels launched for the first time (not in mean to "
			"max above): %s%s",
			list, kernels);
	}
}

static void print_calls(const struct lmm_text *t, const struct lmm_result_device *d)
{
	if (!d->calls && !d->waits)
		return;
	lmm__text_wrap(t, "  host", 10, "%s calls that handed work over took %s, %s waits %s",
		       lmm_human_count(d->calls).s, lmm_human_ns(d->calls_ns).s,
		       lmm_human_count(d->waits).s, lmm_human_ns(d->waits_ns).s);
}

/* Kernels are the program's only in windows: what these cost, and what they saw. */
static void print_windows(const struct lmm_text *t, const struct lmm_result_windows *w)
{
	char lost[160] = "", check[120] = "";

	if (!w->count)
		return;
	if (w->dropped || w->invalid || w->unmatched) {
		(void)snprintf(lost, sizeof(lost),
			       "; %s lost, %s with senseless stamps, %s of no known call",
			       lmm_human_count(w->dropped).s, lmm_human_count(w->invalid).s,
			       lmm_human_count(w->unmatched).s);
	}
	if (w->check_steps && w->pass_ns > 0) {
		(void)snprintf(check, sizeof(check),
			       "; they fill %.1f %% of the time between events around the steps",
			       100 * w->union_ns / w->pass_ns);
	}
	lmm__text_wrap(
		t, "  windows", 10,
		"kernels were recorded in %s of %s steps, %s of %s expected records seen%s%s; "
		"opening cost %s, closing %s each, and these steps are not in the statistics",
		lmm_human_count(w->count).s, lmm_human_count(w->steps).s,
		lmm_human_count(w->records).s, lmm_human_count(w->expected).s, lost, check,
		lmm_human_ns(w->stall_ns[0] / (double)w->count).s,
		lmm_human_ns(w->stall_ns[1] / (double)w->count).s);
}

void lmm__text_device(const struct lmm_text *t)
{
	const struct lmm_result_device *d = &t->r->device;

	if (!d->seen)
		return;
	lmm__text_head(t, "Device", 0);
	fputc('\n', t->out);
	fprintf(t->out, "  busy    %10s\n", lmm_human_ns(d->busy_ns).s);
	for (unsigned i = 0; i < LMM_GAP_CAUSES; i++)
		print_gap(t, &d->gaps[i]);
	print_commands(t, d);
	print_calls(t, d);
	print_windows(t, &d->windows);
	print_first_uses(t);
	lmm__text_wrap(t, "  clock", 10,
		       "stamps placed on the host's timeline within %s (95 %%), %s at worst%s%s",
		       lmm_human_ns(d->clock_error_ns).s, lmm_human_ns(d->clock_error_max_ns).s,
		       d->early ? "; commands that seem to start too early: " : "",
		       d->early ? lmm_human_count(d->early).s : "");
	if (d->command_cost_ns > 0) {
		lmm__text_wrap(
			t, "  cost", 10, "%s to make a command timeable, %s to read its times",
			lmm_human_ns(d->command_cost_ns).s, lmm_human_ns(d->harvest_cost_ns).s);
	} else {
		lmm__text_wrap(t, "  cost", 10, "%s to read a command's times",
			       lmm_human_ns(d->harvest_cost_ns).s);
	}
	if (d->steps_half_percent >= 0) {
		lmm__text_wrap(
			t, "  check", 10,
			"%s decode steps that were timed took %+.2f %% %s %.2f %% longer than %s that were not",
			lmm_human_count(d->steps_timed).s, d->steps_percent,
			t->opts->utf8 ? "\u00b1" : "+-", d->steps_half_percent,
			lmm_human_count(d->steps_untimed).s);
	}
}

/* ---- requests ----------------------------------------------------------------------------------- */

static double request_phase_ns(const struct lmm_result_request *q, unsigned phase)
{
	for (size_t i = 0; i < q->n_phases; i++) {
		if (q->phases[i].phase == phase)
			return q->phases[i].total_ns;
	}
	return 0;
}

static void requests_notes(const struct lmm_text *t)
{
	int is_running = 0, was_running = 0;

	for (size_t i = 0; i < t->r->n_requests; i++) {
		is_running |= !t->r->requests[i].complete;
		was_running |= t->r->requests[i].joined;
	}
	if (was_running)
		fputs("  + under way when the recording began\n", t->out);
	if (is_running)
		fputs("  * still running when the recording ended\n", t->out);
}

void lmm__text_requests(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;

	lmm__text_head(t, "Requests", 10);
	fprintf(t->out, "%9s%7s%7s%7s%8s%8s%8s%9s%9s%9s%9s\n", "start", "prompt", "cached",
		"output", "TTFT", "TPOT", "wall", "waiting", "prefill", "decode", "unacc.");
	for (size_t i = 0; i < r->n_requests; i++) {
		const struct lmm_result_request *q = &r->requests[i];
		char id[40];

		(void)snprintf(id, sizeof(id), "%" PRIu64 "%s%s", q->id, q->joined ? " +" : "",
			       q->complete ? "" : " *");
		fprintf(t->out,
			"  %-8s%9s%7" PRIu64 "%7" PRIu64 "%7" PRIu64 "%8s%8s%8s%9s%9s%9s%9s\n", id,
			lmm_human_ns((double)q->start_ns).s, q->prompt_tokens, q->cached_tokens,
			q->output_tokens, lmm_human_ns(q->ttft_ns).s, lmm_human_ns(q->tpot_ns).s,
			lmm_human_ns(q->wall_ns).s,
			lmm_human_ns(request_phase_ns(q, LMM_PHASE_WAITING)).s,
			lmm_human_ns(request_phase_ns(q, LMM_PHASE_PREFILL)).s,
			lmm_human_ns(request_phase_ns(q, LMM_PHASE_DECODE)).s,
			lmm_human_ns(q->unaccounted_ns).s);
	}
	requests_notes(t);
	if (r->n_requests < r->requests_total) {
		fprintf(t->out, "  the newest %zu of %" PRIu64 "\n", r->n_requests,
			r->requests_total);
	}
}

/* ---- steps and threads -------------------------------------------------------------------------- */

void lmm__text_steps(const struct lmm_text *t)
{
	const struct lmm_result_steps *s = &t->r->steps;
	double most = 0;

	lmm__text_stats_head(t, "Steps", 1);
	fputc('\n', t->out);
	lmm__text_stats(t, "prefill", &s->prefill, 1);
	fputc('\n', t->out);
	lmm__text_stats(t, "decode", &s->decode, 1);
	fputc('\n', t->out);
	for (size_t i = 0; i < s->n_bins; i++)
		most = s->bins[i].stats.mean_ns > most ? s->bins[i].stats.mean_ns : most;
	for (size_t i = 0; i < s->n_bins; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "  at %" PRIu64 "-%" PRIu64,
			       s->bins[i].context_from, s->bins[i].context_to - 1);
		lmm__text_stats(t, name, &s->bins[i].stats, 1);
		if (most > 0)
			lmm__text_bar(t, s->bins[i].stats.mean_ns / most, 12);
		fputc('\n', t->out);
	}
}

void lmm__text_threads(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;

	if (r->n_threads == 0)
		return;
	lmm__text_head(t, "Threads", 24);
	fprintf(t->out, "%10s%12s%12s\n", "operators", "busy", "waiting");
	for (size_t i = 0; i < r->n_threads; i++) {
		const struct lmm_result_thread *th = &r->threads[i];

		fprintf(t->out, "  %-22" PRId32 "%10s%12s%12s%12s", th->tid,
			lmm_human_count(th->operators).s, lmm_human_ns(th->busy_ns).s,
			lmm_human_ns(th->wait_ns).s,
			th->busy_ns > 0 ? lmm_human_percent(100 * th->wait_ns / th->busy_ns).s
					: "");
		if (th->busy_ns > 0)
			lmm__text_bar(t, th->wait_ns / th->busy_ns, 20);
		fputc('\n', t->out);
	}
}

/* Names that took most, however many there are; all of them are in the JSON. */
void lmm__text_spans(const struct lmm_text *t)
{
	const size_t most = 10;
	const struct lmm_result *r = t->r;

	if (r->n_named == 0)
		return;
	lmm__text_stats_head(t, "Spans", 1);
	fputc('\n', t->out);
	for (size_t i = 0; i < r->n_named && i < most; i++) {
		lmm__text_stats(t, r->named[i].name, &r->named[i].stats, 1);
		fputc('\n', t->out);
	}
	if (r->n_named > most)
		fprintf(t->out, "  and %zu more\n", r->n_named - most);
}
