/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4180: CRLF, quotes where needed, header rows that repeat the JSON keys. Absent values are empty. */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "report/format.h"

#define STATS_HEADER "count,total_ns,mean_ns,min_ns,p50_ns,p95_ns,p99_ns,max_ns"

struct csv {
	FILE *out;
	int has_cells;
};

static void lead(struct csv *c)
{
	if (c->has_cells)
		fputc(',', c->out);
	c->has_cells = 1;
}

static void put_end(struct csv *c)
{
	fputs("\r\n", c->out);
	c->has_cells = 0;
}

static void put_u64(struct csv *c, uint64_t v)
{
	lead(c);
	fprintf(c->out, "%" PRIu64, v);
}

static void put_i64(struct csv *c, int64_t v)
{
	lead(c);
	fprintf(c->out, "%" PRId64, v);
}

static void put_bool(struct csv *c, int v)
{
	lead(c);
	fputs(v ? "true" : "false", c->out);
}

static void put_decimal(struct csv *c, double v, unsigned decimals, int known)
{
	lead(c);
	if (known)
		fputs(lmm_decimal(v, decimals).s, c->out);
}

static void put_ns(struct csv *c, double ns)
{
	put_decimal(c, ns, 3, 1);
}

static void put_string(struct csv *c, const char *s)
{
	lead(c);
	fputc('"', c->out);
	while (*s) {
		char shown[16];
		uint32_t code;
		size_t n = lmm_utf8_next(s, &code);

		if (code == '"') {
			fputs("\"\"", c->out);
		} else if (lmm_code_is_unsafe(code)) {
			char one[5] = { s[0] };

			memcpy(one, s, n);
			lmm_text_fit(shown, sizeof(shown), one, (int)sizeof(shown) - 1);
			fputs(shown, c->out);
		} else {
			fwrite(s, 1, n, c->out);
		}
		s += n;
	}
	fputc('"', c->out);
}

static void put_stats(struct csv *c, const struct lmm_stats *s)
{
	put_u64(c, s->count);
	put_ns(c, s->total_ns);
	put_ns(c, s->mean_ns);
	put_ns(c, s->min_ns);
	put_ns(c, s->p50_ns);
	put_ns(c, s->p95_ns);
	put_ns(c, s->p99_ns);
	put_ns(c, s->max_ns);
}

/* ---- the files ---------------------------------------------------------------------------------- */

static void write_phases(struct csv *c, const struct lmm_result *r)
{
	fputs("phase," STATS_HEADER ",share_percent,host_ns,device_ns,warmup_only\r\n", c->out);
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		put_string(c, lmm_phase_name(p->phase));
		put_stats(c, &p->stats);
		put_decimal(c, p->share_percent, 6, p->share_percent >= 0);
		put_decimal(c, p->host_ns, 3, p->host_ns > 0);
		put_decimal(c, p->device_ns, 3, p->device_ns > 0);
		put_bool(c, p->warmup_only);
		put_end(c);
	}
}

static void put_request_phases(struct csv *c, const struct lmm_result_request *q)
{
	size_t i = 0;

	for (unsigned phase = LMM_PHASE_WAITING; phase < LMM_PHASE_UNACCOUNTED; phase++) {
		while (i < q->n_phases && q->phases[i].phase < phase)
			i++;
		if (i < q->n_phases && q->phases[i].phase == phase) {
			put_ns(c, q->phases[i].total_ns);
		} else {
			put_ns(c, 0);
		}
	}
}

static void write_requests(struct csv *c, const struct lmm_result *r)
{
	fputs("id,process,context,seq,complete,start_ns,prompt_tokens,cached_tokens,output_tokens,"
	      "prefill_steps,decode_steps,ttft_ns,tpot_ns,wall_ns,unaccounted_ns",
	      c->out);
	for (unsigned phase = LMM_PHASE_WAITING; phase < LMM_PHASE_UNACCOUNTED; phase++)
		fprintf(c->out, ",phases.%s.total_ns", lmm_phase_name(phase));
	fputs("\r\n", c->out);
	for (size_t i = 0; i < r->n_requests; i++) {
		const struct lmm_result_request *q = &r->requests[i];

		put_u64(c, q->id);
		put_u64(c, q->process);
		put_u64(c, q->context);
		put_decimal(c, q->seq, 0, q->seq != LMM_SEQ_NONE);
		put_bool(c, q->complete);
		put_u64(c, q->start_ns);
		put_u64(c, q->prompt_tokens);
		put_u64(c, q->cached_tokens);
		put_u64(c, q->output_tokens);
		put_u64(c, q->prefill_steps);
		put_u64(c, q->decode_steps);
		put_decimal(c, q->ttft_ns, 3, q->ttft_ns >= 0);
		put_decimal(c, q->tpot_ns, 3, q->tpot_ns >= 0);
		put_ns(c, q->wall_ns);
		put_ns(c, q->unaccounted_ns);
		put_request_phases(c, q);
		put_end(c);
	}
}

static void write_steps(struct csv *c, const struct lmm_result *r)
{
	fputs("context_from,context_to," STATS_HEADER "\r\n", c->out);
	for (size_t i = 0; i < r->steps.n_bins; i++) {
		put_u64(c, r->steps.bins[i].context_from);
		put_u64(c, r->steps.bins[i].context_to);
		put_stats(c, &r->steps.bins[i].stats);
		put_end(c);
	}
}

static void write_layers(struct csv *c, const struct lmm_result *r)
{
	fputs("layer,attention_ns,mlp_ns,norm_ns,other_ns,total_ns,prefill_ns,decode_ns\r\n",
	      c->out);
	for (size_t i = 0; i < r->n_layers; i++) {
		const struct lmm_result_layer *l = &r->layers[i];

		put_i64(c, l->layer);
		put_ns(c, l->attention_ns);
		put_ns(c, l->mlp_ns);
		put_ns(c, l->norm_ns);
		put_ns(c, l->other_ns);
		put_ns(c, l->total_ns);
		put_ns(c, l->prefill_ns);
		put_ns(c, l->decode_ns);
		put_end(c);
	}
}

static void write_kernels(struct csv *c, const struct lmm_result *r)
{
	fputs("name,op,role,device,phase,fused,weight_type," STATS_HEADER
	      ",untimed,estimate_ns,estimate_half_ns,bytes,flops\r\n",
	      c->out);
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		put_string(c, k->name);
		put_string(c, k->op);
		put_string(c, lmm_role_name(k->role));
		put_string(c, k->device);
		put_string(c, lmm_phase_name(k->phase));
		put_bool(c, k->fused);
		put_string(c, k->weight_type);
		put_stats(c, &k->stats);
		put_u64(c, k->untimed);
		put_ns(c, k->estimate_ns);
		put_decimal(c, k->estimate_half_ns, 3, k->estimate_half_ns >= 0);
		put_u64(c, k->bytes);
		put_u64(c, k->flops);
		put_end(c);
	}
}

static const struct csv_file {
	const char *name;
	void (*write)(struct csv *c, const struct lmm_result *r);
} files[] = {
	{ "phases.csv", write_phases },	  { "requests.csv", write_requests },
	{ "steps.csv", write_steps },	  { "layers.csv", write_layers },
	{ "kernels.csv", write_kernels },
};

static int write_file(int dir, const struct csv_file *file, const struct lmm_result *r, int force)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
	int fd = openat(dir, file->name, flags, 0666);
	struct csv c = { NULL, 0 };
	int rc = 0;

	if (fd < 0)
		return -errno;
	c.out = fdopen(fd, "w");
	if (!c.out) {
		rc = -errno;
		close(fd);
		return rc;
	}
	file->write(&c, r);
	if (fflush(c.out) != 0 || ferror(c.out))
		rc = errno ? -errno : -EIO;
	if (fclose(c.out) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int check_absent(int dir, const char **failed)
{
	struct stat st;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(files); i++) {
		if (fstatat(dir, files[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			*failed = files[i].name;
			return -EEXIST;
		}
	}
	return 0;
}

int lmm_report_csv(const struct lmm_result *r, const char *path, int force, const char **failed)
{
	const char *ignored;
	int dir, rc = 0;

	if (!failed)
		failed = &ignored;
	*failed = "";
	if (mkdir(path, 0777) != 0 && errno != EEXIST)
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (!force)
		rc = check_absent(dir, failed);
	for (size_t i = 0; rc == 0 && i < LMM_ARRAY_SIZE(files); i++) {
		*failed = files[i].name;
		rc = write_file(dir, &files[i], r, force);
	}
	close(dir);
	return rc;
}
