/* SPDX-License-Identifier: Apache-2.0 */
/* Header rows repeat the JSON keys. Absent values are empty. */
#include "report/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "report/csv_writer.h"

#define STATS_HEADER "count,total_ns,mean_ns,min_ns,p50_ns,p95_ns,p99_ns,max_ns"

static void put_stats(struct lmm_csv *c, const struct lmm_stats *s)
{
	lmm_csv_u64(c, s->count);
	lmm_csv_ns(c, s->total_ns);
	lmm_csv_ns(c, s->mean_ns);
	lmm_csv_ns(c, s->min_ns);
	lmm_csv_ns(c, s->p50_ns);
	lmm_csv_ns(c, s->p95_ns);
	lmm_csv_ns(c, s->p99_ns);
	lmm_csv_ns(c, s->max_ns);
}

/* ---- the files ---------------------------------------------------------------------------------- */

static void write_phases(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("phase," STATS_HEADER ",share_percent,host_ns,device_ns,first_use_ns,first_use_count,"
	      "warmup_only\r\n",
	      c->out);
	for (size_t i = 0; i < r->n_phases; i++) {
		const struct lmm_result_phase *p = &r->phases[i];

		lmm_csv_string(c, lmm_phase_name(p->phase));
		put_stats(c, &p->stats);
		lmm_csv_decimal(c, p->share_percent, 6, p->share_percent >= 0);
		lmm_csv_decimal(c, p->host_ns, 3, p->host_ns > 0);
		lmm_csv_decimal(c, p->device_ns, 3, p->device_ns > 0);
		lmm_csv_ns(c, p->first_use_ns);
		lmm_csv_u64(c, p->first_use_count);
		lmm_csv_bool(c, p->warmup_only);
		lmm_csv_end(c);
	}
}

static void put_request_phases(struct lmm_csv *c, const struct lmm_result_request *q)
{
	size_t i = 0;

	for (unsigned phase = LMM_PHASE_WAITING; phase < LMM_PHASE_UNACCOUNTED; phase++) {
		while (i < q->n_phases && q->phases[i].phase < phase)
			i++;
		if (i < q->n_phases && q->phases[i].phase == phase) {
			lmm_csv_ns(c, q->phases[i].total_ns);
		} else {
			lmm_csv_ns(c, 0);
		}
	}
}

static void write_requests(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("id,process,context,seq,complete,joined,start_ns,prompt_tokens,cached_tokens,output_tokens,"
	      "prefill_steps,decode_steps,ttft_ns,tpot_ns,context_shifts,context_refusals,wall_ns,unaccounted_ns",
	      c->out);
	for (unsigned phase = LMM_PHASE_WAITING; phase < LMM_PHASE_UNACCOUNTED; phase++)
		fprintf(c->out, ",phases.%s.total_ns", lmm_phase_name(phase));
	fputs("\r\n", c->out);
	for (size_t i = 0; i < r->n_requests; i++) {
		const struct lmm_result_request *q = &r->requests[i];

		lmm_csv_u64(c, q->id);
		lmm_csv_u64(c, q->process);
		lmm_csv_u64(c, q->context);
		lmm_csv_decimal(c, q->seq, 0, q->seq != LMM_SEQ_NONE);
		lmm_csv_bool(c, q->complete);
		lmm_csv_bool(c, q->joined);
		lmm_csv_u64(c, q->start_ns);
		lmm_csv_u64(c, q->prompt_tokens);
		lmm_csv_u64(c, q->cached_tokens);
		lmm_csv_u64(c, q->output_tokens);
		lmm_csv_u64(c, q->prefill_steps);
		lmm_csv_u64(c, q->decode_steps);
		lmm_csv_decimal(c, q->ttft_ns, 3, q->ttft_ns >= 0);
		lmm_csv_decimal(c, q->tpot_ns, 3, q->tpot_ns >= 0);
		lmm_csv_u64(c, q->context_shifts);
		lmm_csv_u64(c, q->context_refusals);
		lmm_csv_ns(c, q->wall_ns);
		lmm_csv_ns(c, q->unaccounted_ns);
		put_request_phases(c, q);
		lmm_csv_end(c);
	}
}

static void write_steps(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("context_from,context_to," STATS_HEADER "\r\n", c->out);
	for (size_t i = 0; i < r->steps.n_bins; i++) {
		lmm_csv_u64(c, r->steps.bins[i].context_from);
		lmm_csv_u64(c, r->steps.bins[i].context_to);
		put_stats(c, &r->steps.bins[i].stats);
		lmm_csv_end(c);
	}
}

static void write_layers(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("layer,attention_ns,mlp_ns,norm_ns,other_ns,total_ns,prefill_ns,decode_ns\r\n",
	      c->out);
	for (size_t i = 0; i < r->n_layers; i++) {
		const struct lmm_result_layer *l = &r->layers[i];

		lmm_csv_i64(c, l->layer);
		lmm_csv_ns(c, l->attention_ns);
		lmm_csv_ns(c, l->mlp_ns);
		lmm_csv_ns(c, l->norm_ns);
		lmm_csv_ns(c, l->other_ns);
		lmm_csv_ns(c, l->total_ns);
		lmm_csv_ns(c, l->prefill_ns);
		lmm_csv_ns(c, l->decode_ns);
		lmm_csv_end(c);
	}
}

static void write_kernels(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("name,op,role,device,phase,fused,weight_type," STATS_HEADER
	      ",first_use_ns,first_use_count,untimed,estimate_ns,estimate_half_ns,bytes,flops,weight_bytes,"
	      "cache_bytes\r\n",
	      c->out);
	for (size_t i = 0; i < r->n_kernels; i++) {
		const struct lmm_result_kernel *k = &r->kernels[i];

		lmm_csv_string(c, k->name);
		lmm_csv_string(c, k->op);
		lmm_csv_string(c, lmm_role_name(k->role));
		lmm_csv_string(c, k->device);
		lmm_csv_string(c, lmm_phase_name(k->phase));
		lmm_csv_bool(c, k->fused);
		lmm_csv_string(c, k->weight_type);
		put_stats(c, &k->stats);
		lmm_csv_ns(c, k->first_use_ns);
		lmm_csv_u64(c, k->first_use_count);
		lmm_csv_u64(c, k->untimed);
		lmm_csv_ns(c, k->estimate_ns);
		lmm_csv_decimal(c, k->estimate_half_ns, 3, k->estimate_half_ns >= 0);
		lmm_csv_u64(c, k->bytes);
		lmm_csv_u64(c, k->flops);
		lmm_csv_u64(c, k->weight_bytes);
		lmm_csv_u64(c, k->cache_bytes);
		lmm_csv_end(c);
	}
}

static void write_spans(struct lmm_csv *c, const struct lmm_result *r)
{
	fputs("name," STATS_HEADER "\r\n", c->out);
	for (size_t i = 0; i < r->n_named; i++) {
		lmm_csv_string(c, r->named[i].name);
		put_stats(c, &r->named[i].stats);
		lmm_csv_end(c);
	}
}

static const struct csv_file {
	const char *name;
	void (*write)(struct lmm_csv *c, const struct lmm_result *r);
} files[] = {
	{ "phases.csv", write_phases },	  { "requests.csv", write_requests },
	{ "steps.csv", write_steps },	  { "layers.csv", write_layers },
	{ "kernels.csv", write_kernels }, { "spans.csv", write_spans },
};

static int write_file(int dir, const struct csv_file *file, const struct lmm_result *r, int force)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
	int fd = openat(dir, file->name, flags, 0666);
	struct lmm_csv c = { NULL, 0 };
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
