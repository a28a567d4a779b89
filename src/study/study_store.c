/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a study: whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "calibrate/json_read.h"
#include "report/json_writer.h"
#include "study/study.h"

/* ---- names -------------------------------------------------------------------------------------- */

void lmm_study_cell_path(const char *folder, uint32_t block, uint32_t condition, char *out,
			 size_t bytes)
{
	(void)snprintf(out, bytes, "%s/cells/%04u-%04u.json", folder, block, condition);
}

void lmm_study_variant_path(const char *folder, const char *level, char *out, size_t bytes)
{
	const char *slash = strrchr(level, '/');
	char name[64];
	size_t n = 0;

	for (const char *p = slash ? slash + 1 : level; *p && n < sizeof(name) - 1; p++) {
		int is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			       (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';

		name[n] = '_';
		if (is_plain)
			name[n] = *p;
		n++;
	}
	name[n] = '\0';
	if (strcmp(name, level) == 0) {
		(void)snprintf(out, bytes, "%s/quality/%s.json", folder, name);
	} else {
		(void)snprintf(out, bytes, "%s/quality/%s-%08x.json", folder, name,
			       (unsigned)lmm_hash_str(LMM_HASH_SEED, level));
	}
}

/* ---- whole or not at all ------------------------------------------------------------------------- */

static int folder_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int rc = fd < 0 ? -errno : 0;

	/* file systems that cannot do that say EINVAL: the name is as safe as they make it */
	if (fd >= 0 && fsync(fd) && errno != EINVAL)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	free(folder);
	return rc;
}

static int write_all(const char *path, void (*write)(const void *arg, FILE *out), const void *arg)
{
	FILE *f = fopen(path, "we");
	int rc = 0;

	if (!f)
		return -errno;
	write(arg, f);
	errno = EIO;
	if (fflush(f) || ferror(f) || fsync(fileno(f)))
		rc = -errno;
	errno = EIO;
	if (fclose(f) && rc == 0)
		rc = -errno;
	return rc;
}

int lmm_study_store(const char *path, void (*write)(const void *arg, FILE *out), const void *arg)
{
	char part[LMM_STUDY_PATH + 8];
	int rc, n = snprintf(part, sizeof(part), "%s.part", path);

	if (n <= 0 || (size_t)n >= sizeof(part))
		return -ENAMETOOLONG;
	rc = write_all(part, write, arg);
	if (rc == 0 && rename(part, path))
		rc = -errno;
	if (rc)
		(void)unlink(part);
	return rc ? rc : folder_sync(path);
}

int lmm_study_file(const char *path, size_t max, char **text, size_t *n)
{
	FILE *f = fopen(path, "re");
	size_t cap = 1 << 14;
	int rc = 0;

	*text = NULL;
	*n = 0;
	if (!f)
		return -errno;
	while (rc == 0 && !feof(f)) {
		char *more = realloc(*text, cap + 1);

		if (!more) {
			rc = -ENOMEM;
			break;
		}
		*text = more;
		*n += fread(more + *n, 1, cap - *n, f);
		if (ferror(f)) {
			rc = -EIO;
		} else if (*n > max) {
			rc = -EFBIG;
		}
		if (*n == cap)
			cap *= 2;
	}
	(void)fclose(f);
	if (rc) {
		free(*text);
		*text = NULL;
		return rc;
	}
	if (*text)
		(*text)[*n] = '\0';
	return 0;
}

/* ---- variants ----------------------------------------------------------------------------------- */

static const char *const task_keys[LMM_TASK_KINDS] = { "hellaswag_percent", "winogrande_percent",
						       "multiple_choice_percent" };

void lmm_variant_init(struct lmm_variant *v, const char *level)
{
	memset(v, 0, sizeof(*v));
	(void)snprintf(v->level, sizeof(v->level), "%s", level);
	v->size_bytes = v->bits_per_weight = v->make_ns = NAN;
	v->fallback_of = v->fallback_tensors = NAN;
	v->perplexity = v->ratio = v->kld = v->top1 = (struct lmm_measured){ NAN, NAN };
	for (unsigned i = 0; i < LMM_TASK_KINDS; i++)
		v->tasks[i] = (struct lmm_measured){ NAN, NAN };
}

static void write_measured(struct lmm_json *j, const char *key, const struct lmm_measured *m)
{
	lmm_json_row_begin(j, key);
	lmm_json_double(j, "value", m->value, 6);
	lmm_json_double(j, "half", m->half, 6);
	lmm_json_object_end(j);
}

void lmm_study_write_variant(const struct lmm_variant *v, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.variant/1");
	lmm_json_string(&j, "level", v->level);
	lmm_json_string(&j, "file", v->file);
	lmm_json_string(&j, "reason", v->reason);
	lmm_json_bool(&j, "reference", v->is_reference);
	lmm_json_double(&j, "size_bytes", v->size_bytes, 0);
	lmm_json_double(&j, "bits_per_weight", v->bits_per_weight, 4);
	lmm_json_ns(&j, "make_ns", v->make_ns);
	lmm_json_double(&j, "fallback_of", v->fallback_of, 0);
	lmm_json_double(&j, "fallback_tensors", v->fallback_tensors, 0);
	write_measured(&j, "perplexity", &v->perplexity);
	write_measured(&j, "perplexity_ratio", &v->ratio);
	write_measured(&j, "kl_divergence", &v->kld);
	write_measured(&j, "top1_percent", &v->top1);
	for (unsigned i = 0; i < LMM_TASK_KINDS; i++)
		write_measured(&j, task_keys[i], &v->tasks[i]);
	lmm_json_object_end(&j);
	fputc('\n', out);
}

static void measured_take(struct lmm_variant *v, const char *path, double number)
{
	const struct {
		const char *key;
		struct lmm_measured *to;
	} all[] = { { "perplexity", &v->perplexity }, { "perplexity_ratio", &v->ratio },
		    { "kl_divergence", &v->kld },     { "top1_percent", &v->top1 },
		    { task_keys[0], &v->tasks[0] },   { task_keys[1], &v->tasks[1] },
		    { task_keys[2], &v->tasks[2] } };

	for (size_t i = 0; i < LMM_ARRAY_SIZE(all); i++) {
		size_t n = strlen(all[i].key);

		if (strncmp(path, all[i].key, n) != 0 || path[n] != '.')
			continue;
		if (strcmp(path + n, ".value") == 0) {
			all[i].to->value = number;
		} else if (strcmp(path + n, ".half") == 0) {
			all[i].to->half = number;
		}
	}
}

static int variant_value(void *ctx, const struct lmm_json_value *v)
{
	struct lmm_variant *to = ctx;

	if (strcmp(v->path, "schema") == 0) {
		return v->kind == LMM_JSON_STRING && strcmp(v->text, "lmmeter.variant/1") == 0
			       ? 0
			       : -EPROTO;
	}
	if (v->kind == LMM_JSON_STRING) {
		if (strcmp(v->path, "level") == 0) {
			(void)snprintf(to->level, sizeof(to->level), "%s", v->text);
		} else if (strcmp(v->path, "file") == 0) {
			(void)snprintf(to->file, sizeof(to->file), "%s", v->text);
		} else if (strcmp(v->path, "reason") == 0) {
			(void)snprintf(to->reason, sizeof(to->reason), "%s", v->text);
		}
		return 0;
	}
	if (v->kind == LMM_JSON_BOOL && strcmp(v->path, "reference") == 0)
		to->is_reference = v->number != 0;
	if (v->kind != LMM_JSON_NUMBER)
		return 0;
	if (strcmp(v->path, "size_bytes") == 0) {
		to->size_bytes = v->number;
	} else if (strcmp(v->path, "bits_per_weight") == 0) {
		to->bits_per_weight = v->number;
	} else if (strcmp(v->path, "make_ns") == 0) {
		to->make_ns = v->number;
	} else if (strcmp(v->path, "fallback_of") == 0) {
		to->fallback_of = v->number;
	} else if (strcmp(v->path, "fallback_tensors") == 0) {
		to->fallback_tensors = v->number;
	}
	measured_take(to, v->path, v->number);
	return 0;
}

int lmm_study_parse_variant(struct lmm_variant *v, const char *text, size_t n)
{
	lmm_variant_init(v, "");
	return lmm_json_walk(text, n, variant_value, v) == 0 && v->level[0] ? 0 : -EPROTO;
}
