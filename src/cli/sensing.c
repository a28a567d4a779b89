/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sensing.h"

#include <errno.h>

#include "base/clock.h"
#include "sense/sense.h"

int lmm_sensing_open(struct lmm_sensing *s, const char *root)
{
	struct lmm_sense_opts opts = { .root = root,
				       .process = root == NULL,
				       .nvml = root ? NULL : LMM_SENSE_NVML };
	struct lmm_item item = { .kind = LMM_ITEM_SENSOR };
	int rc = 0;

	s->sense = lmm_sense_create(&opts);
	if (!s->sense)
		return -ENOMEM;
	for (unsigned i = 0; i < lmm_sense_count(s->sense) && rc == 0; i++) {
		item.sensor = *lmm_sense_sensor(s->sense, i);
		rc = s->sink(s->sink_ctx, &item);
	}
	if (rc) {
		lmm_sensing_close(s);
		return rc;
	}
	lmm_sensing_poll(s, 1);
	return 0;
}

void lmm_sensing_poll(struct lmm_sensing *s, int now)
{
	struct lmm_item item = { .kind = LMM_ITEM_SAMPLES };
	uint64_t t = lmm_mono_ns(), period;

	if (!s->sense || (!now && t < s->next_ns))
		return;
	lmm_sense_read(s->sense, lmm_ticks(s->clock), &item.samples);
	period = lmm_sense_period_ns(s->sense);
	/* a round that came late does not make the next one late, unless whole ones were missed */
	s->next_ns = !now && t < s->next_ns + period ? s->next_ns + period : t + period;
	if (s->sink(s->sink_ctx, &item))
		lmm_sensing_close(s);
}

void lmm_sensing_watch(struct lmm_sensing *s, int32_t pid)
{
	if (s->sense)
		lmm_sense_watch(s->sense, pid);
}

void lmm_sensing_close(struct lmm_sensing *s)
{
	lmm_sense_destroy(s->sense);
	s->sense = NULL;
}
