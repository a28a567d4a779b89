/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speedscope's own format: a profile of samples for every lane, whose weights are nanoseconds; an empty stack stands for time in which
 * nothing is known. All profiles begin with the session and end together, so that they lie side by side. A profile's samples must
 * stand together and the trace has them mixed: each lane's wait in a file without a name.
 */
#include "report/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lmmeter/version.h"
#include "report/idmap.h"
#include "report/json_writer.h"
#include "report/stacks.h"

struct sample {
	uint32_t frames[LMM_STACK_DEPTH];
	uint32_t depth;
	uint64_t ns;
};

struct profile {
	struct lmm_lane lane;
	FILE *samples;
	uint64_t end_ns;
};

struct scope {
	struct lmm_idmap profiles; /* by lane: struct profile */
	uint32_t n;		   /* lanes are numbered 1 … n */
	uint64_t end_ns;
};

static int put_sample(struct profile *p, const struct sample *sample)
{
	errno = 0;
	if (fwrite(sample, sizeof(*sample), 1, p->samples) != 1)
		return errno ? -errno : -EIO;
	return 0;
}

static int put_gap(struct profile *p, uint64_t until_ns)
{
	struct sample gap = { .ns = until_ns > p->end_ns ? until_ns - p->end_ns : 0 };

	return gap.ns ? put_sample(p, &gap) : 0;
}

static struct profile *profile_of(struct scope *s, const struct lmm_lane *lane)
{
	struct profile *p = lmm_idmap_make(&s->profiles, lane->lane, sizeof(*p));

	if (!p)
		return NULL;
	if (!p->samples)
		p->samples = tmpfile();
	p->lane = *lane;
	s->n = lane->lane > s->n ? lane->lane : s->n;
	return p;
}

static int add(void *ctx, const struct lmm_stack *stack)
{
	struct scope *s = ctx;
	struct profile *p = profile_of(s, stack->lane);
	struct sample sample = { .depth = stack->depth };
	int rc;

	if (!p)
		return -ENOMEM;
	if (!p->samples)
		return errno ? -errno : -EIO;
	rc = put_gap(p, stack->begin_ns);
	if (stack->begin_ns > p->end_ns)
		p->end_ns = stack->begin_ns;
	if (rc || stack->end_ns <= p->end_ns)
		return rc;
	for (unsigned i = 0; i < stack->depth; i++)
		sample.frames[i] = stack->frames[i] - 1;
	sample.ns = stack->end_ns - p->end_ns;
	p->end_ns = stack->end_ns;
	if (p->end_ns > s->end_ns)
		s->end_ns = p->end_ns;
	return put_sample(p, &sample);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void put_stack(FILE *out, const struct sample *sample)
{
	fputc('[', out);
	for (uint32_t i = 0; i < sample->depth; i++)
		fprintf(out, "%s%" PRIu32, i ? "," : "", sample->frames[i]);
	fputc(']', out);
}

/* The samples, or (with is_weights) how long each lasted. */
static int put_samples(struct profile *p, int is_weights, FILE *out)
{
	struct sample sample;
	size_t n = 0;

	errno = 0;
	rewind(p->samples);
	while (fread(&sample, sizeof(sample), 1, p->samples) == 1) {
		if (n++)
			fputc(',', out);
		if (is_weights) {
			fprintf(out, "%" PRIu64, sample.ns);
		} else {
			put_stack(out, &sample);
		}
	}
	if (ferror(p->samples) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

static int put_profile(struct profile *p, uint64_t end_ns, FILE *out)
{
	int rc = put_gap(p, end_ns);

	fputs("{\"type\":\"sampled\",\"name\":", out);
	lmm_json_put_string(out, p->lane.name);
	fprintf(out, ",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":%" PRIu64, end_ns);
	fputs(",\n\"samples\":[", out);
	if (rc == 0)
		rc = put_samples(p, 0, out);
	fputs("],\n\"weights\":[", out);
	if (rc == 0)
		rc = put_samples(p, 1, out);
	fputs("]}", out);
	return rc;
}

static int put_profiles(struct scope *s, FILE *out)
{
	int rc = 0, has = 0;

	for (uint32_t i = 1; i <= s->n && rc == 0; i++) {
		struct profile *p = lmm_idmap_get(&s->profiles, i);

		if (!p)
			continue;
		fputs(has ? ",\n" : "\n", out);
		has = 1;
		rc = put_profile(p, s->end_ns, out);
	}
	return rc;
}

static int put_file(struct scope *s, const struct lmm_strpool *frames, const struct lmm_result *r,
		    FILE *out)
{
	int rc;

	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"exporter\":\"lmmeter " LMM_VERSION_STRING
	      "\",\n\"name\":",
	      out);
	lmm_json_put_string(out, r->command_name);
	fputs(",\n\"shared\":{\"frames\":[", out);
	for (uint32_t i = 1; i <= frames->n; i++) {
		fputs(i > 1 ? ",\n{\"name\":" : "\n{\"name\":", out);
		lmm_json_put_string(out, lmm_strpool_get(frames, i));
		fputc('}', out);
	}
	fputs("]},\n\"profiles\":[", out);
	rc = put_profiles(s, out);
	fputs("]}\n", out);
	return rc;
}

static void profile_free(void *value)
{
	struct profile *p = value;

	if (p->samples)
		(void)fclose(p->samples);
}

int lmm_export_speedscope(struct lmm_trace *tr, const struct lmm_result *r, FILE *out)
{
	struct lmm_strpool frames = { 0 };
	struct scope s = { 0 };
	struct lmm_stacks_opts opts = { .frames = &frames, .stack = add, .ctx = &s };
	int rc = lmm_stacks_read(tr, r, &opts);

	if (rc == 0)
		rc = put_file(&s, &frames, r, out);
	lmm_idmap_free(&s.profiles, profile_free);
	lmm_strpool_free(&frames);
	return rc;
}
