/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks: what is read from files, what is measured, and that the work is as much as is counted. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "calibrate/calibrate.h"
#include "calibrate/calibrate_internal.h"
#include "calibrate/json_read.h"

/* ---- JSON --------------------------------------------------------------------------------------- */

static int collect(void *ctx, const struct lmm_json_value *v)
{
	char *out = ctx;

	(void)snprintf(out + strlen(out), 512 - strlen(out), "%s=%d:%s%g;", v->path, v->kind,
		       v->text, v->number);
	return strcmp(v->path, "stop") == 0 ? 7 : 0;
}

static int walk(const char *text, char out[512])
{
	out[0] = '\0';
	return lmm_json_walk(text, strlen(text), collect, out);
}

static void test_json(void **state)
{
	char out[512];

	(void)state;
	assert_int_equal(
		walk(" {\"a\":[1, {\"b\":\"x\\n\\u0041\\\"\"}, []], \"c\" : true,\"d\":null,\"e\":-2.5e1} ",
		     out),
		0);
	assert_string_equal(out, "a.0=2:1;a.1.b=3:x\nA\"0;c=1:1;d=0:0;e=2:-25;");
	assert_int_equal(walk("7", out), 0);
	assert_int_equal(walk("{\"x\":1,\"stop\":2,\"y\":3}", out), 7);
	assert_null(strstr(out, "y="));
}

static void test_json_bad(void **state)
{
	static const char *const bad[] = {
		"",	 "{",	 "[",	     "{\"a\"}",	  "{\"a\":}", "{\"a\":1,}", "[1,]",
		"[1 2]", "{} x", "\"a",	     "\"\\x\"",	  "\"\n\"",   "tru",	    "nul",
		"01x",	 "-",	 "1e",	     "--1",	  "[1]]",     "{1:2}",	    "\"\\u12\"",
		"+1",	 "NaN",	 "Infinity", "{\"a\" 1}", "]",	      "\"\\",	    "0x10",
	};
	char deep[64], out[512], *wide;

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(bad); i++) {
		if (walk(bad[i], out) != -EPROTO)
			fail_msg("'%s' passed", bad[i]);
	}
	memset(deep, '[', 32);
	memset(deep + 32, ']', 31);
	deep[63] = '\0';
	assert_int_equal(walk(deep, out), -EPROTO);
	wide = malloc(4096);
	assert_non_null(wide);
	memset(wide, 'x', 4096);
	wide[0] = wide[4094] = '"';
	wide[4095] = '\0';
	assert_int_equal(walk(wide, out), -EPROTO);
	free(wide);
	/* never beyond its end */
	assert_int_equal(lmm_json_walk("12345", 2, collect, (out[0] = '\0', out)), 0);
	assert_string_equal(out, "=2:12;");
}

/* ---- files -------------------------------------------------------------------------------------- */

#define RATE(b) "{\"best\":" #b ",\"median\":" #b ",\"worst\":" #b ",\"repetitions\":3}"
#define HEAD	"{\"schema\":\"lmmeter.peaks/1\",\"host\":{\"cpu\":\"X 1\",\"cpus\":4},"
#define ROW(t, r, f)                                                                               \
	"{\"threads\":" #t                                                                         \
	",\"read_bytes_per_second\":" RATE(r) ",\"f32_flops_per_second\":" RATE(f) "}"

static int parse(const char *text, struct lmm_peaks *p, char why[160])
{
	return lmm_peaks_parse(text, strlen(text), p, why, 160);
}

static void test_read(void **state)
{
	struct lmm_peaks p;
	struct lmm_peaks_row row;
	char why[160];

	(void)state;
	assert_int_equal(
		parse(HEAD "\"new\":[{\"key\":1}],\"cpu\":[" ROW(1, 10e9, 100e9) "," ROW(
			      4, 16e9,
			      400e9) "],\"opencl\":[{\"name\":\"G\",\"read_bytes_per_second\":" RATE(2e11) ",\"f32_flops_per_second\":null}]}",
		      &p, why),
		0);
	assert_string_equal(why, "");
	assert_string_equal(p.cpu, "X 1");
	assert_int_equal(p.cpus, 4);
	assert_int_equal(p.n_rows, 2);
	assert_true(p.rows[1].read.best == 16e9 && p.rows[1].int8.best == 0);
	assert_true(lmm_peaks_device(&p, "G")->read.best == 2e11);
	assert_null(lmm_peaks_device(&p, "H"));
	/* measured, between two that were, beyond */
	assert_int_equal(lmm_peaks_at(&p, 4, &row), 0);
	assert_true(row.f32.best == 400e9);
	assert_int_equal(lmm_peaks_at(&p, 2, &row), 0);
	assert_true(fabs(row.read.best - 12e9) < 1 && fabs(row.f32.best - 200e9) < 1);
	assert_true(row.int8.best == 0);
	assert_int_equal(lmm_peaks_at(&p, 5, &row), -ENOENT);
}

static void test_read_bad(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "no", "not JSON" },
		{ "{}", "schema is ''" },
		{ "{\"schema\":\"lmmeter.peaks/2\"}", "'lmmeter.peaks/2'" },
		{ "{\"schema\":\"lmmeter.peaks/1\",\"cpu\":[" ROW(1, 1e9, 1e9) "]}",
		  "which machine" },
		{ HEAD "\"cpu\":[]}", "no row" },
		{ HEAD "\"cpu\":[" ROW(2, 1e9, 1e9) "," ROW(2, 1e9, 1e9) "]}", "ascend" },
		{ HEAD "\"cpu\":[" ROW(0, 1e9, 1e9) "]}", "ascend" },
		{ HEAD "\"cpu\":[" ROW(-1, 1e9, 1e9) "]}", "ascend" },
		{ HEAD "\"cpu\":[" ROW(1, 0, 1e9) "]}", "cannot be" },
		{ HEAD "\"cpu\":[" ROW(1, 1e9, -5) "]}", "cannot be" },
		{ HEAD "\"cpu\":[" ROW(1, 1e9, 1e400) "]}", "cannot be" },
		{ HEAD "\"cpu\":[{\"threads\":1,\"read_bytes_per_second\":\"fast\"}]}",
		  "cannot be" },
		{ HEAD "\"cpu\":[" ROW(
			  1, 1e9, 1e9) "],\"opencl\":[{\"read_bytes_per_second\":{\"best\":1}}]}",
		  "opencl[0]" },
		/* a gap in the list: row 0 was never given */
		{ HEAD "\"cpu\":[1," ROW(1, 1e9, 1e9) "]}", "ascend" },
	};
	struct lmm_peaks p;
	char why[160];

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(bad); i++) {
		if (parse(bad[i].text, &p, why) != -EPROTO || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why);
	}
}

static void test_path(void **state)
{
	char a[256], b[256], small[8];

	(void)state;
	setenv("XDG_CACHE_HOME", "/c", 1);
	setenv("HOME", "/h", 1);
	assert_int_equal(lmm_peaks_path("CPU", 4, a, sizeof(a)), 0);
	assert_memory_equal(a, "/c/lmmeter/peaks-", 17);
	assert_int_equal(lmm_peaks_path("CPU", 5, b, sizeof(b)), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(lmm_peaks_path("CPV", 4, b, sizeof(b)), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(lmm_peaks_path("CPU", 4, small, sizeof(small)), -ENAMETOOLONG);
	setenv("XDG_CACHE_HOME", "relative", 1);
	assert_int_equal(lmm_peaks_path("CPU", 4, b, sizeof(b)), 0);
	assert_memory_equal(b, "/h/.cache/lmmeter/peaks-", 24);
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	assert_int_equal(lmm_peaks_path("CPU", 4, b, sizeof(b)), -ENOENT);
}

static void test_spread(void **state)
{
	double odd[] = { 8, 10, 6 }, even[] = { 4, 1, 3, 2 };
	struct lmm_peak p = lmm_peak_of(odd, 3);

	(void)state;
	assert_true(p.best == 10 && p.median == 8 && p.worst == 6 && p.repetitions == 3);
	assert_true(fabs(lmm_peak_spread_percent(&p) - 20) < 1e-9);
	p = lmm_peak_of(even, 4);
	assert_true(p.best == 4 && p.median == 2.5 && p.worst == 1);
}

/* ---- the machine -------------------------------------------------------------------------------- */

/* Results by hand: as many products were made as are counted. */
static void test_work(void **state)
{
	uint64_t *data = aligned_alloc(4096, 8192), sum;
	struct kernels k;

	(void)state;
	assert_non_null(data);
	lmm__kernels_choose(&k);
	/* every word counts */
	memset(data, 0, 8192);
	assert_true(k.read(data, 4096) == 0);
	for (size_t i = 0; i < 1024; i++) {
		data[i] = 1;
		sum = k.read(data, 4096);
		assert_true((sum != 0) == (i < 512));
		data[i] = 0;
	}
	/* x = x a + b from x = (k + 1) a: with a = 1 and b = 1 each of the f32_ops / 2 sums grows by 1 a round */
	assert_true(k.f32_ops > 0);
	{
		float once = k.f32(10, 1.0f, 1.0f), twice = k.f32(20, 1.0f, 1.0f);

		assert_true(twice - once == 10.0f * (float)k.f32_ops / 2);
	}
	if (k.int8) {
		/* bytes 4 3 2 1 with 5 2 3 0 (x86) or themselves (ARM): 32 or 30 for four products */
		int32_t grown = k.int8(20, 0x01020304) - k.int8(10, 0x01020304);
		double each = (double)grown / 10 / ((double)k.int8_ops / 8);

		/* AVX2's factors change with the sums, and it adds two lanes alone */
		if (strcmp(k.int8_isa, "avx2") != 0)
			assert_true(each == 32 || each == 30);
	}
	free(data);
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (char *p = strchr(path + strlen(folder) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(path, 0700);
		*p = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void put_cache(const char *folder, unsigned cpu, unsigned index, const char *level,
		      const char *type, const char *size, const char *shared)
{
	const char *const values[] = { level, type, size, shared };
	static const char *const files[] = { "level", "type", "size", "shared_cpu_list" };
	char name[128];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "cpu%u/cache/index%u/%s", cpu, index, files[i]);
		put(folder, name, values[i]);
	}
}

/* Two chips of two CPUs, each with a last level of its own. */
static void test_caches(void **state)
{
	char folder[] = "/tmp/lmm_caches.XXXXXX", command[64];
	struct caches c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	lmm__caches_read(folder, &c);
	assert_int_equal(c.last_bytes, 0);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		char self[8];

		(void)snprintf(self, sizeof(self), "%u\n", cpu);
		put_cache(folder, cpu, 0, "1\n", "Data\n", "32K\n", self);
		put_cache(folder, cpu, 1, "1\n", "Instruction\n", "64K\n", self);
		put_cache(folder, cpu, 2, "2\n", "Unified\n", "1M\n", self);
		put_cache(folder, cpu, 3, "3\n", "Unified\n", "16384K\n",
			  cpu < 2 ? "0-1\n" : "2-3\n");
	}
	lmm__caches_read(folder, &c);
	assert_int_equal(c.bytes[0], 32768);
	assert_int_equal(c.bytes[1], 1048576);
	assert_int_equal(c.bytes[2], 16777216);
	assert_int_equal(c.bytes[3], 0);
	assert_int_equal(c.last_bytes, 2 * 16777216);
	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

static int steps;

static int progress(void *ctx, double done, const char *what)
{
	assert_true(done >= 0 && done < 1);
	assert_true(what[0] != '\0');
	return ++steps == *(const int *)ctx;
}

static void assert_rate(const struct lmm_peak *p)
{
	assert_true(p->worst > 0 && p->median >= p->worst && p->best >= p->median);
	assert_int_equal(p->repetitions, 12);
}

/* A whole measurement in as little time as it can be done: relations alone, no times. */
static void test_calibrate(void **state)
{
	int stop = 0;
	struct lmm_calibrate_opts opts = {
		.threads = 2, .seconds = 0.01, .progress = progress, .ctx = &stop
	};
	struct lmm_peaks *p = calloc(1, sizeof(*p));

	(void)state;
	assert_non_null(p);
	assert_int_equal(lmm_calibrate_cpu(&opts, p), 0);
	assert_int_equal(p->n_rows, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(p->rows[i].threads, i + 1);
		assert_rate(&p->rows[i].read);
		assert_rate(&p->rows[i].f32);
		if (p->int8_isa[0])
			assert_rate(&p->rows[i].int8);
		for (uint32_t k = 0; k < p->n_caches; k++)
			assert_rate(&p->rows[i].cache[k]);
	}
	assert_true(p->working_set_bytes > 0 && p->measured_realtime_ns > 0);
	assert_true(p->f32_isa[0] != '\0');
	memset(p, 0, sizeof(*p));
	steps = 0;
	stop = 2;
	assert_int_equal(lmm_calibrate_cpu(&opts, p), -EINTR);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),	  cmocka_unit_test(test_json_bad),
		cmocka_unit_test(test_read),	  cmocka_unit_test(test_read_bad),
		cmocka_unit_test(test_path),	  cmocka_unit_test(test_spread),
		cmocka_unit_test(test_work),	  cmocka_unit_test(test_caches),
		cmocka_unit_test(test_calibrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
