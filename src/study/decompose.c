/* SPDX-License-Identifier: Apache-2.0 */
/* What decoding is made of: roles, and how fast each type of weights is read. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "study/study_findings.h"

struct type_sum {
	const char *name;
	double bytes, ns;
};

struct sums {
	double roles[LMM_ROLE_COUNT], all_roles, all_kernels;
	struct type_sum types[LMM_ARRAY_SIZE(((struct lmm_study_decode *)0)->types)];
	uint32_t n;
};

static void kernel_add(struct sums *s, const struct lmm_cell_kernel *k)
{
	uint32_t at = 0;

	if (k->phase != LMM_PHASE_DECODE)
		return;
	s->all_kernels += k->total_ns;
	if (!k->weight_type[0])
		return;
	while (at < s->n && strcmp(s->types[at].name, k->weight_type) != 0)
		at++;
	if (at == LMM_ARRAY_SIZE(s->types))
		return;
	if (at == s->n)
		s->types[s->n++] = (struct type_sum){ k->weight_type, 0, 0 };
	s->types[at].bytes += k->weight_bytes;
	s->types[at].ns += k->total_ns;
}

static void cell_add(struct sums *s, const struct lmm_cell *c)
{
	for (unsigned i = 0; i < LMM_ROLE_COUNT; i++) {
		s->roles[i] += c->role_ns[1][i];
		s->all_roles += c->role_ns[1][i];
	}
	for (uint32_t i = 0; i < c->n_kernels; i++)
		kernel_add(s, &c->kernels[i]);
}

/* The longest first; there are few. */
static void types_sort(struct sums *s)
{
	for (uint32_t i = 1; i < s->n; i++) {
		for (uint32_t k = i; k > 0 && s->types[k].ns > s->types[k - 1].ns; k--) {
			struct type_sum other = s->types[k];

			s->types[k] = s->types[k - 1];
			s->types[k - 1] = other;
		}
	}
}

void lmm_study_decode(const struct lmm_study *s, uint32_t condition, struct lmm_study_decode *d)
{
	struct sums sums = { .n = 0 };

	for (uint32_t b = 0; b < s->n_blocks; b++) {
		const struct lmm_cell *c = lmm_study_cell(s, b, condition);

		if (c->status == LMM_CELL_OK)
			cell_add(&sums, c);
	}
	types_sort(&sums);
	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < LMM_ROLE_COUNT; i++) {
		d->role_percent[i] =
			sums.all_roles > 0 ? 100 * sums.roles[i] / sums.all_roles : NAN;
	}
	for (uint32_t i = 0; i < sums.n; i++) {
		d->types[i].name = sums.types[i].name;
		d->types[i].gb_per_second =
			sums.types[i].ns > 0 ? sums.types[i].bytes / sums.types[i].ns : NAN;
		d->types[i].share_percent = 100 * sums.types[i].ns / sums.all_kernels;
	}
	d->n_types = sums.n;
}
