/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/machine.h"
#include "report/summary.h"
#include "report/text_internal.h"

/* ---- building blocks ---------------------------------------------------------------------------- */

static int env_is_set(const char *name)
{
	const char *v = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

	return v && v[0];
}

static int locale_is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]); /* NOLINT(concurrency-mt-unsafe) */

		if (v && v[0])
			return strcasestr(v, "utf-8") != NULL || strcasestr(v, "utf8") != NULL;
	}
	return 0;
}

void lmm_text_opts_detect(struct lmm_text_opts *opts, int fd)
{
	const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe) */

	opts->bars = isatty(fd) == 1;
	opts->color = opts->bars && !env_is_set("NO_COLOR") && term && strcmp(term, "dumb") != 0;
	opts->utf8 = locale_is_utf8();
}

void lmm__text_style_on(const struct lmm_text *t, enum lmm_style style)
{
	static const char *const codes[] = { "\x1b[1m", "\x1b[36m", "\x1b[2m", "\x1b[1;33m" };

	if (t->opts->color)
		fputs(codes[style], t->out);
}

void lmm__text_style_off(const struct lmm_text *t)
{
	if (t->opts->color)
		fputs("\x1b[0m", t->out);
}

void lmm__text_cell(const struct lmm_text *t, const char *text, int columns)
{
	char shown[4 * LMM_TEXT_WIDTH + 1];
	int used = lmm_text_fit(shown, sizeof(shown), text, columns);

	fprintf(t->out, "%s%*s", shown, columns - used, "");
}

void lmm__text_head(const struct lmm_text *t, const char *title, int columns)
{
	fputc('\n', t->out);
	lmm__text_style_on(t, LMM_STYLE_HEAD);
	fprintf(t->out, "%-*s", columns, title);
	lmm__text_style_off(t);
}

void lmm__text_wrap(const struct lmm_text *t, const char *label, int indent, const char *format,
		    ...)
{
	char text[4096], word[512], shown[LMM_TEXT_WIDTH * 4 + 1];
	const char *p = text;
	int column = indent;
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	fprintf(t->out, "%-*s", indent, label);
	while (*(p += strspn(p, " "))) {
		size_t n = strcspn(p, " ");
		size_t take = n < sizeof(word) ? n : sizeof(word) - 1;
		int w;

		memcpy(word, p, take);
		word[take] = '\0';
		w = lmm_text_fit(shown, sizeof(shown), word, LMM_TEXT_WIDTH - indent);
		if (column > indent && column + 1 + w > LMM_TEXT_WIDTH) {
			fprintf(t->out, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', t->out);
			column++;
		}
		fputs(shown, t->out);
		column += w;
		p += n;
	}
	fputc('\n', t->out);
}

void lmm__text_bar(const struct lmm_text *t, double fraction, int columns)
{
	static const char *const parts[] = { "",       "\u258f", "\u258e", "\u258d",
					     "\u258c", "\u258b", "\u258a", "\u2589" };
	double f = fraction > 0 ? (fraction < 1 ? fraction : 1) : 0;
	int eighths = (int)(f * columns * 8 + 0.5);

	if (!t->opts->bars || eighths == 0)
		return;
	fputc(' ', t->out);
	lmm__text_style_on(t, LMM_STYLE_BAR);
	if (t->opts->utf8) {
		for (; eighths >= 8; eighths -= 8)
			fputs("\u2588", t->out);
		fputs(parts[eighths], t->out);
	} else {
		for (; eighths >= 4; eighths -= 8)
			fputc('#', t->out);
	}
	lmm__text_style_off(t);
}

void lmm__text_stats_head(const struct lmm_text *t, const char *title, int show_total)
{
	lmm__text_head(t, title, 24);
	fprintf(t->out, "%8s%9s%9s%9s%9s%9s%9s", "count", show_total ? "total" : "", "mean", "p50",
		"p95", "p99", "max");
}

void lmm__text_stats(const struct lmm_text *t, const char *name, const struct lmm_stats *s,
		     int show_total)
{
	fputs("  ", t->out);
	lmm__text_cell(t, name, 22);
	fprintf(t->out, "%8s%9s%9s%9s%9s%9s%9s", lmm_human_short(s->count).s,
		show_total ? lmm_human_ns(s->total_ns).s : "", lmm_human_ns(s->mean_ns).s,
		lmm_human_ns(s->p50_ns).s, lmm_human_ns(s->p95_ns).s, lmm_human_ns(s->p99_ns).s,
		lmm_human_ns(s->max_ns).s);
}

/* ---- headline ----------------------------------------------------------------------------------- */

static void print_exit(const struct lmm_text *t, int32_t status)
{
	if (status >= 0 && WIFSIGNALED(status)) {
		fprintf(t->out, ", ended by signal %d", WTERMSIG(status));
	} else if (status >= 0 && WIFEXITED(status)) {
		fprintf(t->out, ", exit status %d", WEXITSTATUS(status));
	}
}

static void print_title(const struct lmm_text *t)
{
	char name[4 * 40 + 1];

	lmm_text_fit(name, sizeof(name), t->r->command_name, 40);
	lmm__text_style_on(t, LMM_STYLE_HEAD);
	fputs(name[0] ? name : "lmmeter", t->out);
	lmm__text_style_off(t);
	fprintf(t->out, " ran %s", lmm_human_ns(t->r->duration_ns).s);
	print_exit(t, t->r->exit_status);
	fputs(" (lmmeter ", t->out);
	lmm_text_fit(name, sizeof(name), t->r->lmmeter, 20);
	fprintf(t->out, "%s)\n", name);
}

static void print_model(const struct lmm_text *t, const struct lmm_result_model *m)
{
	lmm__text_wrap(t, "Model", 9, "%s%s%s, %s, %s parameters, %u layers",
		       m->name[0] ? m->name : m->file, m->name[0] && m->description[0] ? ", " : "",
		       m->name[0] ? m->description : "", lmm_human_bytes((double)m->size_bytes).s,
		       lmm_human_si((double)m->parameters).s, m->layers);
}

static void print_machine(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	const struct lmm_result_process *first = lmm_first_engine(r);
	size_t engines = 0;

	for (size_t i = 0; i < r->n_processes; i++)
		engines += r->processes[i].engine_name[0] != '\0';
	if (engines > 1) {
		lmm__text_wrap(t, "Engine", 9, "%s %s, in %zu processes", first->engine_name,
			       first->engine_version, engines);
	} else if (first) {
		lmm__text_wrap(t, "Engine", 9, "%s %s, process %d", first->engine_name,
			       first->engine_version, first->pid);
	}
	for (size_t i = 0; i < r->n_models && i < 4; i++)
		print_model(t, &r->models[i]);
	if (r->n_models > 4)
		lmm__text_wrap(t, "", 9, "and %zu more", r->n_models - 4);
	lmm__text_wrap(t, "Machine", 9, "%s, %u CPUs, %s, %s", r->host_cpu, r->host_cpus,
		       lmm_human_bytes((double)r->host_memory_bytes).s, r->host_os);
}

static void print_trouble(const struct lmm_text *t)
{
	struct lmm_sentence said[LMM_SENTENCES_MAX];
	size_t n = lmm_say_trouble(t->r, said);

	for (size_t i = 0; i < n; i++) {
		lmm__text_style_on(t, LMM_STYLE_WARN);
		lmm__text_wrap(t, "", 0, "%s", said[i].s);
		lmm__text_style_off(t);
	}
}

static void print_summary(const struct lmm_text *t)
{
	struct lmm_sentence said[LMM_SENTENCES_MAX];
	size_t n = lmm_say_summary(t->r, said);

	if (n > 0)
		fputc('\n', t->out);
	for (size_t i = 0; i < n; i++)
		lmm__text_wrap(t, "", 0, "%s", said[i].s);
}

/* ---- phases and tokens -------------------------------------------------------------------------- */

static void print_phase(const struct lmm_text *t, const struct lmm_result_phase *p)
{
	lmm__text_stats(t, lmm_phase_name(p->phase), &p->stats, 1);
	fprintf(t->out, "%8s", p->share_percent >= 0 ? lmm_human_percent(p->share_percent).s : "-");
	lmm__text_bar(t, p->share_percent / 100, 5);
	fputc('\n', t->out);
}

static void print_phases(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	int n_apart = 0;

	if (r->n_phases == 0)
		return;
	lmm__text_stats_head(t, "Phases", 1);
	fprintf(t->out, "%8s\n", "share");
	for (size_t i = 0; i < r->n_phases; i++) {
		if (r->phases[i].share_percent >= 0) {
			print_phase(t, &r->phases[i]);
		} else {
			n_apart++;
		}
	}
	for (size_t i = 0; n_apart > 0 && i < r->n_phases; i++) {
		if (r->phases[i].share_percent < 0 && !r->phases[i].warmup_only)
			print_phase(t, &r->phases[i]);
	}
}

static void print_tokens(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	static const char *const names[] = { "first token (TTFT)", "per token (TPOT)",
					     "between tokens (ITL)" };
	const struct lmm_stats *stats[] = { &r->ttft, &r->tpot, &r->itl };

	if (r->ttft.count == 0 && r->steps.prefill_tokens + r->steps.decode_tokens == 0)
		return;
	lmm__text_stats_head(t, "Tokens", 0);
	fputc('\n', t->out);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		if (stats[i]->count == 0)
			continue;
		lmm__text_stats(t, names[i], stats[i], 0);
		fputc('\n', t->out);
	}
	/* a token is a request's first or a further one */
	fprintf(t->out, "  prompt %s tokens/s (%s tokens), output %s tokens/s (%s tokens)\n",
		lmm_human_rate(r->prompt_tokens_per_second).s,
		lmm_human_count(r->steps.prefill_tokens).s,
		lmm_human_rate(r->output_tokens_per_second).s,
		lmm_human_count(r->ttft.count + r->itl.count + r->itl_apart).s);
}

/* ---- what stands apart -------------------------------------------------------------------------- */

static void print_load(const struct lmm_text *t)
{
	for (size_t i = 0; i < t->r->n_models && i < 8; i++) {
		const struct lmm_result_model *m = &t->r->models[i];

		if (m->loads == 0)
			continue;
		lmm__text_wrap(t, "  load", 10,
			       "%s: %s for %s%s, %s page faults, %s of them from disk",
			       m->name[0] ? m->name : m->file, lmm_human_ns(m->load_ns).s,
			       lmm_human_bytes((double)m->size_bytes).s,
			       m->loads > 1 ? ", loaded more than once" : "",
			       lmm_human_count(m->minor_faults + m->major_faults).s,
			       lmm_human_count(m->major_faults).s);
	}
}

static void print_warmup(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	char phases[160] = "";
	size_t n = 0;

	for (size_t i = 0; i < r->n_phases && n < sizeof(phases); i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		if (p->warmup_only) {
			n += (size_t)snprintf(phases + n, sizeof(phases) - n, ", %s %s",
					      lmm_phase_name(p->phase),
					      lmm_human_ns(p->stats.total_ns).s);
		}
	}
	if (r->warmup_requests + r->steps.warmup_steps == 0 && n == 0)
		return;
	lmm__text_wrap(t, "  warm-up", 10, "%s request%s, %s step%s%s; not in the figures above",
		       lmm_human_count(r->warmup_requests).s, r->warmup_requests == 1 ? "" : "s",
		       lmm_human_count(r->steps.warmup_steps).s,
		       r->steps.warmup_steps == 1 ? "" : "s", phases);
}

static void print_gaps(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;

	if (!(r->graph_span_ns > 0))
		return;
	lmm__text_wrap(t, "  graphs", 10, "operators %s + gaps %s (%s) + recording %s (%s) = %s",
		       lmm_human_ns(r->graph_kernels_ns).s, lmm_human_ns(r->graph_gaps_ns).s,
		       lmm_human_percent(100 * r->graph_gaps_ns / r->graph_span_ns).s,
		       lmm_human_ns(r->graph_own_ns).s,
		       lmm_human_percent(100 * r->graph_own_ns / r->graph_span_ns).s,
		       lmm_human_ns(r->graph_span_ns).s);
}

static void print_apart(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	int has_any = r->steps.warmup_steps + r->warmup_requests > 0 || r->graph_span_ns > 0;

	for (size_t i = 0; i < r->n_models; i++)
		has_any |= r->models[i].loads > 0;
	for (size_t i = 0; i < r->n_phases; i++)
		has_any |= r->phases[i].warmup_only;
	if (!has_any)
		return;
	lmm__text_head(t, "Apart", 0);
	fputc('\n', t->out);
	print_load(t);
	print_warmup(t);
	print_gaps(t);
}

/* ---- how far it can be trusted ------------------------------------------------------------------ */

static void print_cost(const struct lmm_text *t)
{
	const struct lmm_result_overhead *o = &t->r->overhead;

	lmm__text_wrap(t, "  cost", 10,
		       "%s in the traced process, %s of the time inside steps and sampling "
		       "(%s per operator, %s per phase); %s of CPU time in lmmeter itself",
		       lmm_human_ns(o->total_ns).s, lmm_human_percent(o->percent).s,
		       lmm_human_ns(o->operator_ns).s, lmm_human_ns(o->phase_pair_ns).s,
		       lmm_human_ns(o->collector_cpu_ns).s);
	if (o->method[0])
		lmm__text_wrap(t, "", 10, "%s", o->method);
}

static void print_trust(const struct lmm_text *t)
{
	const struct lmm_result *r = t->r;
	char dropped[96] = "";

	lmm__text_head(t, "Recording", 0);
	fputc('\n', t->out);
	fprintf(t->out, "  level   %s\n", lmm_level_name(r->level.reached));
	for (size_t i = 0; i < r->level.n_reasons; i++)
		lmm__text_wrap(t, "        -", 10, "%s", r->level.reasons[i]);
	if (r->records.dropped_detail) {
		(void)snprintf(dropped, sizeof(dropped),
			       "; detail of %s taken out again by --max-size",
			       lmm_human_count(r->records.dropped_detail).s);
	}
	lmm__text_wrap(t, "  records", 10,
		       "%s emitted = %s stored + %s lost; %s invalid; %s operators%s",
		       lmm_human_count(r->records.emitted).s, lmm_human_count(r->records.stored).s,
		       lmm_human_count(r->records.lost).s, lmm_human_count(r->records.invalid).s,
		       lmm_human_count(r->records.operators).s, dropped);
	if (r->records.stored > 0)
		print_cost(t);
}

static void machine_line(void *ctx, const char *label, const char *sentence)
{
	char indented[32];

	(void)snprintf(indented, sizeof(indented), "  %s", label);
	lmm__text_wrap(ctx, indented, 13, "%s", sentence);
}

static void print_machine_state(const struct lmm_text *t)
{
	struct lmm_text copy = *t;
	const struct lmm_machine_words words = { t->r, machine_line, &copy };

	if (t->r->machine.n_sensors == 0)
		return;
	lmm__text_head(t, "Machine state", 0);
	fputc('\n', t->out);
	lmm_machine_say(&words);
}

void lmm_report_text(const struct lmm_result *r, const struct lmm_text_opts *opts, FILE *out)
{
	struct lmm_text t = { r, opts, out };

	print_title(&t);
	print_machine(&t);
	print_trouble(&t);
	print_summary(&t);
	print_phases(&t);
	print_tokens(&t);
	lmm__text_findings(&t);
	if (opts->requests)
		lmm__text_requests(&t);
	if (opts->steps)
		lmm__text_steps(&t);
	lmm__text_layers(&t);
	lmm__text_kernels(&t);
	lmm__text_device(&t);
	lmm__text_threads(&t);
	lmm__text_spans(&t);
	print_machine_state(&t);
	print_apart(&t);
	print_trust(&t);
}
