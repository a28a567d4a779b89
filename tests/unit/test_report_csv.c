/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/report.h"
#include "report_sample.h"

static const char *const names[] = { "phases.csv", "requests.csv", "steps.csv",
				     "layers.csv", "kernels.csv",  "spans.csv" };
static char base[64], dir[80];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(base, sizeof(base), "/tmp/lmmeter-csv-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	(void)snprintf(dir, sizeof(dir), "%s/out", base);
	return 0;
}

static int tear_down(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
	return rmdir(base);
}

static size_t read_file(const char *name, char *data, size_t size)
{
	char path[128];
	FILE *in;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	in = fopen(path, "r");
	assert_non_null(in);
	n = fread(data, 1, size - 1, in);
	data[n] = '\0';
	fclose(in);
	return n;
}

/* Cells of the record at *p as RFC 4180 says; moves *p behind it. Its own reading, not the writer's code. */
static int read_record(const char **p, char cells[40][128])
{
	int n = 0;

	for (;;) {
		size_t len = 0;
		int quoted = **p == '"';

		if (quoted)
			(*p)++;
		while (**p) {
			if (quoted && **p == '"') {
				(*p)++;
				if (**p != '"')
					break;
			} else if (!quoted && (**p == ',' || **p == '\r')) {
				break;
			}
			cells[n][len++] = *(*p)++;
			assert_true(len < 128);
		}
		cells[n++][len] = '\0';
		assert_true(n < 40);
		if (**p != ',')
			break;
		(*p)++;
	}
	assert_int_equal((*p)[0], '\r');
	assert_int_equal((*p)[1], '\n');
	*p += 2;
	return n;
}

static void test_shape(void **state)
{
	static const int rows[] = { 6, 2, 2, 3, 2, 2 };
	static char data[1 << 16], head[40][128], cells[40][128];

	(void)state;
	assert_int_equal(lmm_report_csv(&sample_result, dir, 0, NULL), 0);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		const char *p = data;
		int n, count = 0;

		read_file(names[i], data, sizeof(data));
		n = read_record(&p, head);
		while (*p) {
			assert_int_equal(read_record(&p, cells), n);
			count++;
		}
		assert_int_equal(count, rows[i]);
	}
}

static void check_cell(char head[40][128], char cells[40][128], int n, const char *name,
		       const char *want)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(head[i], name) == 0) {
			assert_string_equal(cells[i], want);
			return;
		}
	}
	fail_msg("no column %s", name);
}

static void test_cells(void **state)
{
	static char data[1 << 16], head[40][128], cells[40][128];
	const char *p = data;
	int n;

	(void)state;
	assert_int_equal(lmm_report_csv(&sample_result, dir, 0, NULL), 0);
	read_file("kernels.csv", data, sizeof(data));
	n = read_record(&p, head);
	read_record(&p, cells);
	check_cell(head, cells, n, "name", "ffn_gate");
	check_cell(head, cells, n, "total_ns", "150000000");
	check_cell(head, cells, n, "bytes", "3000000000");
	check_cell(head, cells, n, "fused", "false");
	read_record(&p, cells);
	check_cell(head, cells, n, "name", "a\"b,c\\d\\x0a\\x1b[31m\\xff\xc3\xa9\\u202e");
	p = data;
	read_file("requests.csv", data, sizeof(data));
	n = read_record(&p, head);
	read_record(&p, cells);
	check_cell(head, cells, n, "seq", "");
	check_cell(head, cells, n, "phases.decode.total_ns", "500000000");
	check_cell(head, cells, n, "phases.waiting.total_ns", "0");
	read_record(&p, cells);
	check_cell(head, cells, n, "seq", "3");
	check_cell(head, cells, n, "ttft_ns", "");
	check_cell(head, cells, n, "complete", "false");
	check_cell(head, cells, n, "context_refusals", "0");
	p = data;
	read_file("spans.csv", data, sizeof(data));
	n = read_record(&p, head);
	read_record(&p, cells);
	check_cell(head, cells, n, "name", "search");
	check_cell(head, cells, n, "count", "3");
	check_cell(head, cells, n, "total_ns", "6000000");
	read_record(&p, cells);
	check_cell(head, cells, n, "name", "re\"rank,\\x1b");
}

static void test_overwriting(void **state)
{
	const char *failed = NULL;
	char path[128], data[64];
	FILE *f;

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/layers.csv", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("mine", f);
	fclose(f);
	assert_int_equal(lmm_report_csv(&sample_result, dir, 0, &failed), -EEXIST);
	assert_string_equal(failed, "layers.csv");
	read_file("layers.csv", data, sizeof(data));
	assert_string_equal(data, "mine");
	(void)snprintf(path, sizeof(path), "%s/phases.csv", dir);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(lmm_report_csv(&sample_result, dir, 1, &failed), 0);
	read_file("layers.csv", data, sizeof(data));
	assert_memory_equal(data, "layer,", 6);
}

static void test_bad_dir(void **state)
{
	const char *failed = NULL;
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/none/out", base);
	assert_int_equal(lmm_report_csv(&sample_result, path, 0, &failed), -ENOENT);
	assert_string_equal(failed, "");
	assert_int_equal(lmm_report_csv(&sample_result, "/dev/null", 0, &failed), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shape, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cells, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_overwriting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_dir, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
