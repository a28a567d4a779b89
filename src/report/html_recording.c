/* SPDX-License-Identifier: Apache-2.0 */
/* How far the page can be trusted, and where it was recorded. */
#include "base/compiler.h"
#include "report/html_internal.h"
#include "report/machine.h"

/* ---- cost and losses ---------------------------------------------------------------------------- */

static void put_cost(FILE *out, const struct lmm_result_overhead *o)
{
	fprintf(out,
		"<dt>Cost</dt><dd>%s in the traced process, %s of the time inside steps and "
		"sampling; ",
		lmm__html_ns(o->total_ns).s, lmm_human_percent(o->percent).s);
	fprintf(out, "%s of CPU time in lmmeter itself", lmm__html_ns(o->collector_cpu_ns).s);
	if (o->method[0]) {
		fputs("<small>", out);
		lmm__html_text(out, o->method);
		fputs("</small>", out);
	}
	fputs("</dd>\n", out);
}

static void put_records(FILE *out, const struct lmm_result_records *c)
{
	fprintf(out, "<dt>Records</dt><dd>%s emitted = %s stored + <b>%s lost</b>; %s invalid",
		lmm_human_count(c->emitted).s, lmm_human_count(c->stored).s,
		lmm_human_count(c->lost).s, lmm_human_count(c->invalid).s);
	if (c->dropped_detail) {
		fprintf(out, "; detail of %s taken out again by --max-size",
			lmm_human_count(c->dropped_detail).s);
	}
	fputs("</dd>\n", out);
}

void lmm__html_recording(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	fputs("<section id=\"recording\">\n<h2>Recording</h2>\n<dl>\n", h->out);
	fprintf(h->out, "<dt>Level</dt><dd>%s", lmm_level_name(r->level.reached));
	for (size_t i = 0; i < r->level.n_reasons; i++) {
		fputs("<small>", h->out);
		lmm__html_text(h->out, r->level.reasons[i]);
		fputs("</small>", h->out);
	}
	fputs("</dd>\n", h->out);
	if (r->records.stored > 0)
		put_cost(h->out, &r->overhead);
	put_records(h->out, &r->records);
	if (r->warmup_requests + r->steps.warmup_steps > 0) {
		fprintf(h->out,
			"<dt>Warm-up</dt><dd>%s request%s, %s step%s: not in the figures</dd>\n",
			lmm_human_count(r->warmup_requests).s, r->warmup_requests == 1 ? "" : "s",
			lmm_human_count(r->steps.warmup_steps).s,
			r->steps.warmup_steps == 1 ? "" : "s");
	}
	fputs("</dl>\n</section>\n", h->out);
}

/* ---- machine, engine, model --------------------------------------------------------------------- */

static void put_model(FILE *out, const struct lmm_result_model *m)
{
	fputs("<dt>Model</dt><dd>", out);
	lmm__html_text(out, m->name[0] ? m->name : m->file);
	fputs("<small>", out);
	lmm__html_text(out, m->description);
	fprintf(out, " \u00b7 %s \u00b7 %s parameters \u00b7 %u layers</small>",
		lmm_human_bytes((double)m->size_bytes).s, lmm_human_si((double)m->parameters).s,
		m->layers);
	if (m->loads > 0) {
		fprintf(out, "<small>loaded %s in %s, %s page faults from disk</small>",
			m->loads > 1 ? "more than once" : "once", lmm__html_ns(m->load_ns).s,
			lmm_human_count(m->major_faults).s);
	}
	fputs("</dd>\n", out);
}

static void put_engine(FILE *out, const struct lmm_result_process *p)
{
	fputs("<dt>Engine</dt><dd>", out);
	lmm__html_text(out, p->engine_name);
	fputs(" ", out);
	lmm__html_text(out, p->engine_version);
	fprintf(out, "<small>process %d, ", p->pid);
	lmm__html_text(out, p->name);
	fputs("</small></dd>\n", out);
}

static void put_state(void *ctx, const char *label, const char *sentence)
{
	lmm__html_pair(ctx, label, sentence);
}

void lmm__html_state(const struct lmm_html *h)
{
	const struct lmm_machine_words words = { h->r, put_state, h->out };

	if (h->r->machine.n_sensors == 0)
		return;
	fputs("<section id=\"state\">\n<h2>Machine state</h2>\n<dl>\n", h->out);
	lmm_machine_say(&words);
	fputs("</dl>\n</section>\n", h->out);
}

void lmm__html_machine(const struct lmm_html *h)
{
	const struct lmm_result *r = h->r;

	fputs("<section id=\"machine\">\n<h2>Machine, engine, model</h2>\n<dl>\n<dt>Machine</dt><dd>",
	      h->out);
	lmm__html_text(h->out, r->host_cpu);
	fprintf(h->out, " \u00b7 %u CPUs \u00b7 %s<small>", r->host_cpus,
		lmm_human_bytes((double)r->host_memory_bytes).s);
	lmm__html_text(h->out, r->host_os);
	fputs("</small></dd>\n", h->out);
	for (size_t i = 0; i < r->n_processes && i < 8; i++) {
		if (r->processes[i].engine_name[0])
			put_engine(h->out, &r->processes[i]);
	}
	for (size_t i = 0; i < r->n_models && i < 8; i++)
		put_model(h->out, &r->models[i]);
	lmm__html_pair(h->out, "Command", r->command_line);
	lmm__html_pair(h->out, "Recorded by", r->lmmeter);
	lmm__html_pair(h->out, "Session", r->id);
	fputs("</dl>\n</section>\n", h->out);
}
