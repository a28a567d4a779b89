/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix, cell by cell: under its condition, recorded, read, stored. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyze/analysis.h"
#include "analyze/roofline.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "calibrate/peaks.h"
#include "cli/cli.h"
#include "cli/engine_threads.h"
#include "cli/launch.h"
#include "cli/signals.h"
#include "cli/study_run.h"
#include "report/format.h"
#include "report/tokens.h"

#define NAPS_MAX	    3u
#define FAILURES_MAX	    2u /* blocks in a row; a condition that fails so often is not run again */
#define DISK_MIN_BYTES	    (16u << 20)
#define POINTS_MAX	    4000
#define COOL_CELSIUS	    2.0 /* above what it was before the first cell */
#define EXIT_LMMETER_FAILED 125

/* ---- progress -------------------------------------------------------------------------------------- */

/* What the cells that are missing will take, by those that are done; 0: not known. */
static double left_ns(const struct lmm_study_run *r)
{
	const struct lmm_study *s = r->study;
	double sum = 0, left = 0;
	uint32_t n = 0;

	/* variants come before the cells are counted */
	if (!r->condition_n)
		return 0;
	for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
		sum += r->condition_ns[c] * r->condition_n[c];
		n += r->condition_n[c];
	}
	for (uint32_t c = 0; n && c < s->plan->n_conditions; c++) {
		double each = r->condition_n[c] ? r->condition_ns[c] : sum / n;

		for (uint32_t b = 0; b < s->n_blocks; b++) {
			if (lmm_study_cell(s, b, c)->status == LMM_CELL_MISSING)
				left += each + (double)s->plan->cooldown_ns;
		}
	}
	return left;
}

void lmm_study_progress(const struct lmm_study_run *r, const char *what)
{
	const struct lmm_study *s = r->study;
	char left[64] = "";
	double ns;

	if (!r->shows_progress)
		return;
	ns = left_ns(r);
	if (ns > 0)
		(void)snprintf(left, sizeof(left), ", about %s left", lmm_human_ns(ns).s);
	fprintf(stderr, "\r\x1b[K%u of %u cells%s: %.60s", r->n_done,
		s->n_blocks * s->plan->n_conditions, left, what);
	fflush(stderr);
}

void lmm_study_progress_clear(const struct lmm_study_run *r)
{
	if (r->shows_progress)
		fputs("\r\x1b[K", stderr);
}

/* ---- the command ----------------------------------------------------------------------------------- */

/* Words that nearly every vocabulary has as one token each, so that N of them are about N tokens: reports say how many. */
static const char own_words[] =
	"the time of year and the way that people know how to work in a city with water and light for all who "
	"come to see the old part of the world where life is good and each day has more than one name";

static char *words_take(const char *text, unsigned long n)
{
	size_t room = n * 24 + 16, at = 0;
	char *out = malloc(room);
	const char *p = text;

	for (unsigned long i = 0; out && i < n; i++) {
		size_t word;

		p += strspn(p, " \t\r\n");
		if (!*p) {
			p = text + strspn(text, " \t\r\n");
			if (!*p)
				break;
		}
		word = strcspn(p, " \t\r\n");
		word = word < 22 ? word : 22;
		at += (size_t)snprintf(out + at, room - at, "%s%.*s", at ? " " : "", (int)word, p);
		p += word;
	}
	if (out && at == 0)
		out[0] = '\0';
	return out;
}

static void write_text(const void *arg, FILE *out)
{
	fputs(arg, out);
}

/* The condition's prompt, and its file. 0 or -1 after an lmm_error(). */
static int prompt_make(struct lmm_study_run *r, uint32_t condition)
{
	const struct lmm_plan *p = r->study->plan;
	int at = lmm_plan_factor_of(p, LMM_FACTOR_PROMPT), rc = 0;
	char *text = NULL;
	const char *level;
	size_t n;

	free(r->prompt);
	r->prompt = NULL;
	if (at < 0)
		return 0;
	level = p->factors[at].levels[lmm_plan_level(p, condition, (uint32_t)at)];
	if (p->prompt_text)
		rc = lmm_study_file(p->prompt_text, 64u << 20, &text, &n);
	if (rc == 0)
		r->prompt = words_take(text ? text : own_words, strtoul(level, NULL, 10));
	free(text);
	(void)snprintf(r->prompt_file, sizeof(r->prompt_file), "%.4000s/prompts/%.20s.txt",
		       r->study->folder, level);
	if (rc == 0 && !r->prompt)
		rc = -ENOMEM;
	if (rc == 0 && access(r->prompt_file, R_OK))
		rc = lmm_study_store(r->prompt_file, write_text, r->prompt);
	if (rc)
		lmm_error("cannot make a prompt: %s", lmm_strerror(rc));
	return rc ? -1 : 0;
}

struct filling {
	const struct lmm_study_run *r;
	uint32_t condition;
};

static int is(const char *name, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(name, word, n) == 0;
}

static const char *hole_value(void *ctx, const char *name, size_t n)
{
	const struct filling *f = ctx;
	const struct lmm_plan *p = f->r->study->plan;

	for (uint32_t i = 0; i < p->n_factors; i++) {
		if (is(name, n, p->factors[i].name))
			return p->factors[i].levels[lmm_plan_level(p, f->condition, i)];
	}
	if (is(name, n, "model"))
		return f->r->model_file;
	if (is(name, n, "prompt"))
		return f->r->prompt;
	if (is(name, n, "prompt_file"))
		return f->r->prompt_file;
	return is(name, n, "study_dir") ? f->r->study->folder : NULL;
}

static void texts_free(char **texts)
{
	for (char **t = texts; t && *t; t++)
		free(*t);
	free(texts);
}

/* `lmmeter run -q -o TRACE [--budget B] -- COMMAND…` */
static char **argv_make(const struct lmm_study_run *r, uint32_t condition, const char *trace)
{
	const struct lmm_plan *p = r->study->plan;
	struct filling filling = { r, condition };
	const char *head[] = { r->self, "run", "-q", "-o", trace, "--budget", p->overhead_budget,
			       "--" };
	char **argv;
	size_t words = 0, n = 0;

	while (p->command[words])
		words++;
	argv = calloc(words + LMM_ARRAY_SIZE(head) + 1, sizeof(*argv));
	for (size_t i = 0; argv && i < LMM_ARRAY_SIZE(head); i++) {
		if (!p->overhead_budget && (i == 5 || i == 6))
			continue;
		argv[n] = strdup(head[i]);
		if (!argv[n++])
			goto fail;
	}
	for (size_t i = 0; argv && i < words; i++) {
		argv[n] = lmm_plan_fill(p->command[i], hole_value, &filling);
		if (!argv[n++])
			goto fail;
	}
	return argv;
fail:
	texts_free(argv);
	return NULL;
}

static char **env_make(const struct lmm_study_run *r, uint32_t condition)
{
	const struct lmm_plan *p = r->study->plan;
	char **env = calloc(LMM_PLAN_FACTORS_MAX + 1, sizeof(*env));
	unsigned n = 0;

	for (uint32_t i = 0; env && i < p->n_factors; i++) {
		const struct lmm_factor *f = &p->factors[i];

		if (f->kind != LMM_FACTOR_ENV)
			continue;
		if (asprintf(&env[n++], "%s=%s", f->name + strlen("env."),
			     f->levels[lmm_plan_level(p, condition, i)]) < 0)
			env[--n] = NULL;
	}
	return env;
}

/* ---- what it recorded ------------------------------------------------------------------------------ */

/* How much of the machine's peak the tokens' reading of weights is, where the peaks are known. */
static void mbu_take(struct lmm_cell *c, const struct lmm_result *r)
{
	struct lmm_roofline_peaks roofs = { 0 };
	struct lmm_peaks *p = calloc(1, sizeof(*p));
	uint32_t decode = 0, prefill = 0;
	struct lmm_peaks_row row;
	struct lmm_roofline l;
	char path[4096], why[160];

	(void)lmm_engine_threads(r, 0, &decode, &prefill);
	if (p && decode && lmm_peaks_path(r->host_cpu, r->host_cpus, path, sizeof(path)) == 0 &&
	    lmm_peaks_read(path, p, why, sizeof(why)) == 0 && lmm_peaks_at(p, decode, &row) == 0) {
		roofs.cpu = (struct lmm_roof){ row.read.best, row.f32.best, row.int8.best };
		roofs.cpu_prefill = roofs.cpu;
		if (lmm_roofline_make(r, &roofs, &l) == 0) {
			if (l.mbu.is_known && l.mbu.percent >= 0)
				c->figures[LMM_FIG_MBU] = l.mbu.percent;
			lmm_roofline_free(&l);
		}
	}
	free(p);
}

static int trace_take(struct lmm_cell *c, const char *path)
{
	const struct lmm_analysis_file_opts opts = { 0 };
	struct lmm_tokens *tokens = NULL;
	enum lmm_trace_state state;
	struct lmm_trace *tr;
	struct lmm_result *r;
	int rc = lmm_analysis_file(path, &opts, &r, &state);

	if (rc < 0)
		return rc;
	if (r->n_requests && lmm_trace_open(path, &tr) == 0) {
		if (lmm_tokens_read(tr, r, POINTS_MAX, &tokens))
			tokens = NULL;
		lmm_cell_take(c, r, tokens);
		lmm_tokens_destroy(tokens);
		lmm_trace_close(tr);
	} else {
		lmm_cell_take(c, r, NULL);
	}
	mbu_take(c, r);
	lmm_result_destroy(r);
	return 0;
}

static void outcome_take(struct lmm_cell *c, const struct lmm_study_child *child, int rc,
			 const char *trace, const char *log)
{
	if (rc) {
		c->status = LMM_CELL_FAILED;
		(void)snprintf(c->reason, sizeof(c->reason), "it could not be started: %s",
			       lmm_strerror(rc));
		return;
	}
	lmm_study_child_why(child, c->reason, sizeof(c->reason));
	if (c->reason[0]) {
		c->status = child->timed_out ? LMM_CELL_TIMEOUT : LMM_CELL_FAILED;
		lmm_study_log_tail(log, c->reason, sizeof(c->reason));
		return;
	}
	c->figures[LMM_FIG_PROCESS] = (double)child->wall_ns;
	c->figures[LMM_FIG_MEMORY] = child->max_rss_bytes ? (double)child->max_rss_bytes : NAN;
	rc = access(trace, R_OK) ? -ENOENT : trace_take(c, trace);
	if (rc) {
		c->status = LMM_CELL_NO_ENGINE;
		(void)snprintf(c->reason, sizeof(c->reason), "%s",
			       rc == -ENOENT
				       ? "no engine was seen: lmmeter doctor -- COMMAND says why"
				       : lmm_strerror(rc));
	}
}

/* ---- before a cell --------------------------------------------------------------------------------- */

/* 0, or -EINTR. */
static int pause_ns(struct lmm_study_run *r, uint64_t ns)
{
	uint64_t until = lmm_mono_ns() + ns;

	while (lmm_mono_ns() < until) {
		int sig = lmm_signals_wait((int)((until - lmm_mono_ns()) / 1000000 < 200
							 ? (until - lmm_mono_ns()) / 1000000 + 1
							 : 200));

		if (sig > 0 && sig != SIGCHLD)
			r->signal = sig;
		if (r->signal)
			return -EINTR;
	}
	return 0;
}

static int cool_down(struct lmm_study_run *r)
{
	const struct lmm_plan *p = r->study->plan;
	uint64_t begin = lmm_mono_ns();

	if (pause_ns(r, p->cooldown_ns ? p->cooldown_ns : 1))
		return -EINTR;
	while (p->cools_by_heat && lmm_mono_ns() - begin < p->cooldown_max_ns) {
		double now = lmm_study_machine_celsius(&r->machine);

		if (!(now > r->machine.rest_celsius + COOL_CELSIUS))
			return 0;
		lmm_study_progress(r, "cooling down");
		if (pause_ns(r, 1000000000u))
			return -EINTR;
	}
	return 0;
}

static int disk_is_full(const struct lmm_study_run *r)
{
	struct statvfs fs;

	if (statvfs(r->study->folder, &fs) || (uint64_t)fs.f_bavail * fs.f_frsize >= DISK_MIN_BYTES)
		return 0;
	lmm_error("the disk is full: %s has less than %s left; --resume goes on when there is room",
		  r->study->folder, lmm_human_bytes(DISK_MIN_BYTES).s);
	return 1;
}

/* ---- a cell ---------------------------------------------------------------------------------------- */

static int run_once(struct lmm_study_run *r, struct lmm_cell *c, const char *trace,
		    uint64_t *nap_ns)
{
	const struct lmm_plan *p = r->study->plan;
	char log[LMM_STUDY_PATH];
	struct lmm_study_child child = { .limit_ns = p->cell_budget_ns, .mask = r->mask };
	struct lmm_study_nap nap;
	char **argv = argv_make(r, c->condition, trace), **env = env_make(r, c->condition);
	int rc;

	(void)snprintf(log, sizeof(log), "%.4000s/log", r->study->folder);
	child.argv = argv;
	child.env = env;
	child.log_path = log;
	r->machine.child = &child;
	if (!argv || !env) {
		texts_free(argv);
		texts_free(env);
		lmm_error("out of memory");
		return -1;
	}
	lmm_study_nap_begin(&nap);
	if (lmm_study_machine_set(&r->machine, p, c->condition, c->reason, sizeof(c->reason))) {
		c->status = LMM_CELL_REFUSED;
	} else {
		struct timespec now = { 0, 0 };

		clock_gettime(CLOCK_REALTIME, &now);
		c->start_realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		rc = lmm_study_child_run(&child);
		r->signal = child.signal ? child.signal : r->signal;
		outcome_take(c, &child, rc, trace, log);
	}
	lmm_study_machine_ease(&r->machine);
	r->machine.child = NULL;
	*nap_ns = lmm_study_nap_ns(&nap);
	texts_free(argv);
	texts_free(env);
	return r->signal ? -EINTR : 0;
}

/* Until the machine stayed awake. 0, -EINTR, -1 after an lmm_error(). */
static int run_awake(struct lmm_study_run *r, struct lmm_cell *c, const char *trace)
{
	uint32_t condition = c->condition, block = c->block;
	uint64_t nap_ns = 0;

	for (unsigned naps = 0;; naps++) {
		int rc;

		lmm_cell_init(c, condition, block);
		c->position = r->position;
		(void)unlink(trace);
		rc = run_once(r, c, trace, &nap_ns);
		if (rc)
			return rc;
		c->naps = (uint8_t)naps;
		if (nap_ns < LMM_STUDY_NAP_MIN_NS || naps == NAPS_MAX)
			break;
		lmm_study_progress_clear(r);
		lmm_error("the machine was asleep for %s: the cell is run again",
			  lmm_human_ns((double)nap_ns).s);
	}
	if (nap_ns >= LMM_STUDY_NAP_MIN_NS) {
		c->status = LMM_CELL_REFUSED;
		(void)snprintf(c->reason, sizeof(c->reason),
			       "the machine fell asleep in each of %u runs", NAPS_MAX + 1);
	}
	return 0;
}

static void write_cell(const void *arg, FILE *out)
{
	lmm_cell_write(arg, out);
}

static int keeps_trace(const struct lmm_plan *p, const struct lmm_cell *c)
{
	return p->keep == LMM_KEEP_ALL || (p->keep == LMM_KEEP_FIRST && c->block == 0);
}

static int model_choose(struct lmm_study_run *r, uint32_t condition, char **own)
{
	const struct lmm_study *s = r->study;

	*own = NULL;
	r->model_file = NULL;
	if (s->variant_factor < 0)
		return 0;
	*own = lmm_study_variant_file(
		s, lmm_plan_level(s->plan, condition, (uint32_t)s->variant_factor));
	r->model_file = *own;
	return *own ? 0 : -1;
}

/* What failed in the blocks before will fail again, and may take its whole budget each time. */
static int is_hopeless(const struct lmm_study_run *r, struct lmm_cell *c)
{
	const struct lmm_cell *before;

	if (c->block < FAILURES_MAX)
		return 0;
	for (uint32_t b = c->block - FAILURES_MAX; b < c->block; b++) {
		before = lmm_study_cell(r->study, b, c->condition);
		if (before->status == LMM_CELL_OK || before->status == LMM_CELL_MISSING)
			return 0;
	}
	before = lmm_study_cell(r->study, c->block - 1, c->condition);
	c->status = before->status;
	(void)snprintf(c->reason, sizeof(c->reason),
		       "not run, as it failed in %u blocks before: %.300s", FAILURES_MAX,
		       strncmp(before->reason, "not run, ", 9) == 0
			       ? strchr(before->reason, ':') + 2
			       : before->reason);
	return 1;
}

static void time_note(struct lmm_study_run *r, const struct lmm_cell *c, uint64_t took_ns)
{
	uint32_t n = r->condition_n[c->condition]++;

	r->condition_ns[c->condition] =
		(r->condition_ns[c->condition] * n + (double)took_ns) / (n + 1);
}

static int cell_store(struct lmm_study_run *r, const struct lmm_cell *c)
{
	char path[LMM_STUDY_PATH + 64];
	int rc;

	lmm_study_cell_path(r->study->folder, c->block, c->condition, path, sizeof(path));
	rc = lmm_study_store(path, write_cell, c);
	if (rc) {
		lmm_study_progress_clear(r);
		lmm_error("cannot write %s: %s; the study stops, --resume goes on", path,
			  lmm_strerror(rc));
		return -1;
	}
	r->n_done++;
	if (c->status == LMM_CELL_OK)
		return 0;
	r->n_holes++;
	lmm_study_progress_clear(r);
	{
		char name[256];

		lmm_plan_condition_name(r->study->plan, c->condition, name, sizeof(name));
		lmm_error("%s, block %u: %s: %s", name, c->block + 1,
			  lmm_cell_status_name(c->status), c->reason);
	}
	return 0;
}

/* is_kept 0: a warm-up, of which nothing stays. */
static int cell_run(struct lmm_study_run *r, struct lmm_cell *c, int is_kept)
{
	char trace[LMM_STUDY_PATH + 64], name[256], *model;
	uint64_t begin = lmm_mono_ns();
	int rc;

	lmm_plan_condition_name(r->study->plan, c->condition, name, sizeof(name));
	lmm_study_progress(r, is_kept ? name : "warming up");
	(void)snprintf(trace, sizeof(trace), "%.4000s/traces/%04u-%04u.lmt", r->study->folder,
		       c->block, c->condition);
	if (model_choose(r, c->condition, &model) || prompt_make(r, c->condition)) {
		c->status = LMM_CELL_REFUSED;
		(void)snprintf(c->reason, sizeof(c->reason),
			       "its model or prompt could not be made");
		rc = 0;
	} else {
		rc = run_awake(r, c, trace);
	}
	free(model);
	if (!is_kept || rc || !keeps_trace(r->study->plan, c))
		(void)unlink(trace);
	if (rc || !is_kept)
		return rc;
	time_note(r, c, lmm_mono_ns() - begin);
	return cell_store(r, c);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static int warm_up(struct lmm_study_run *r, uint32_t condition)
{
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < r->study->plan->warmup; i++) {
		struct lmm_cell *c = calloc(1, sizeof(*c));

		if (!c)
			return -1;
		lmm_cell_init(c, condition, 9999);
		rc = cell_run(r, c, 0);
		free(c);
	}
	return rc;
}

static int block_run(struct lmm_study_run *r, uint32_t block, const uint32_t *order, int *is_warm)
{
	const struct lmm_plan *p = r->study->plan;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < p->n_conditions; i++) {
		struct lmm_cell *c = lmm_study_cell(r->study, block, order[i]);

		if (c->status != LMM_CELL_MISSING)
			continue;
		r->position = block * p->n_conditions + i;
		if (disk_is_full(r))
			return -1;
		if (!*is_warm)
			rc = warm_up(r, order[i]);
		*is_warm = 1;
		if (rc == 0)
			rc = cool_down(r);
		if (rc == 0 && is_hopeless(r, c)) {
			rc = cell_store(r, c);
		} else if (rc == 0) {
			rc = cell_run(r, c, 1);
		}
		/* a cell that was broken off is as if it had not been begun */
		if (rc)
			lmm_cell_init(c, order[i], block);
	}
	return rc;
}

static void done_count(struct lmm_study_run *r)
{
	const struct lmm_study *s = r->study;

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		for (uint32_t c = 0; c < s->plan->n_conditions; c++) {
			const struct lmm_cell *cell = lmm_study_cell(s, b, c);

			r->n_done += cell->status != LMM_CELL_MISSING;
			r->n_holes += cell->status > LMM_CELL_OK;
			if (cell->status == LMM_CELL_OK)
				time_note(r, cell, (uint64_t)cell->figures[LMM_FIG_PROCESS]);
		}
	}
}

static int blocks_run(struct lmm_study_run *r)
{
	const struct lmm_study *s = r->study;
	uint32_t *order = calloc(s->plan->n_conditions, sizeof(*order));
	int rc = order ? 0 : -1, is_warm = 0;

	for (uint32_t b = 0; rc == 0 && b < s->n_blocks; b++) {
		lmm_plan_order(s->plan, b, order);
		rc = block_run(r, b, order, &is_warm);
	}
	free(order);
	return rc;
}

int lmm_study_cells(struct lmm_study_run *r)
{
	const struct lmm_plan *p = r->study->plan;
	int rc = -1;

	r->condition_ns = calloc(p->n_conditions, sizeof(*r->condition_ns));
	r->condition_n = calloc(p->n_conditions, sizeof(*r->condition_n));
	if (r->condition_ns && r->condition_n) {
		done_count(r);
		lmm_study_machine_open(&r->machine, p);
		if (p->cools_by_heat && isnan(r->machine.rest_celsius)) {
			lmm_error(
				"no temperature is readable here: there is no waiting for it to come back");
		}
		rc = blocks_run(r);
		lmm_study_machine_close(&r->machine);
	}
	lmm_study_progress_clear(r);
	free(r->condition_ns);
	free(r->condition_n);
	r->condition_ns = NULL;
	r->condition_n = NULL;
	free(r->prompt);
	r->prompt = NULL;
	if (rc == -EINTR) {
		lmm_error(
			"stopped by a signal: %u of %u cells are done; the same command with --resume goes on",
			r->n_done, r->study->n_blocks * p->n_conditions);
	}
	return rc || r->n_holes ? LMM_EXIT_FAILURE : LMM_EXIT_OK;
}
