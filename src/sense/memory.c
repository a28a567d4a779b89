/* SPDX-License-Identifier: Apache-2.0 */
/* How long tasks waited for memory (PSI), and how much of it is left. */
#include <errno.h>
#include <string.h>

#include "sense/sense_internal.h"

/* Stands in a line "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234". */
static int read_stall(struct lmm_sense *s, struct sensor *x, int64_t *value)
{
	char text[512];
	const char *at;
	int64_t us;
	int rc = lmm__read_text(x->fd[0], text, sizeof(text));

	(void)s;
	if (rc < 0)
		return rc;
	at = strstr(text, x->key);
	at = at ? strstr(at, "total=") : NULL;
	rc = at ? lmm__parse_number(at + strlen("total="), &us) : -EINVAL;
	if (rc)
		return rc;
	if (us < 0)
		return -ERANGE;
	lmm__count_on(x, (uint64_t)us);
	*value = (int64_t)(x->sum & INT64_MAX);
	return 0;
}

static void find_stall(struct lmm_sense *s, const char *key)
{
	static const char path[] = "/proc/pressure/memory";
	struct sensor *x = lmm__begin(s, FAMILY_MEMORY, LMM_SENSOR_STALL, path);

	if (!x || lmm__file(s, x, 0, path))
		return;
	x->read = read_stall;
	x->key = key;
	lmm__name(x, LMM_COMPONENT_MEMORY, "%s", key);
	(void)lmm__commit(s, x);
}

static void find_available(struct lmm_sense *s)
{
	static const char path[] = "/proc/meminfo";
	struct sensor *x = lmm__begin(s, FAMILY_MEMORY, LMM_SENSOR_MEMORY, path);
	struct sensor total;

	if (!x || lmm__file(s, x, 0, path))
		return;
	x->factor = 1024;
	total = *x;
	total.key = "MemTotal:";
	if (total.read(s, &total, &x->item.limit) || x->item.limit < 0)
		x->item.limit = 0;
	x->key = "MemAvailable:";
	lmm__name(x, LMM_COMPONENT_MEMORY, "MemAvailable");
	(void)lmm__commit(s, x);
}

void lmm__find_memory(struct lmm_sense *s)
{
	find_stall(s, "some");
	find_stall(s, "full");
	find_available(s);
}
