/* SPDX-License-Identifier: Apache-2.0 */
/* make_seeds FOLDER: the corpus that fuzzing begins with, one small trace per kind of item and coding. */
#include "../unit/trace_util.h"

static void seed(const char *folder, const char *name, const struct lmm_item *items, size_t n,
		 int level)
{
	char path[512];
	struct bytes b = write_items(items, n, level);

	(void)snprintf(path, sizeof(path), "%s/%s-%d", folder, name, level);
	/* an even last byte: fuzz_trace mends the checksums of what the fuzzer makes of it */
	b.data[b.n] = 0;
	write_whole(path, b.data, b.n + 1);
	free(b.data);
}

static void make_seeds(void **state)
{
	const char *folder = *state;
	char name[32];

	assert_true(mkdir(folder, 0755) == 0 || access(folder, W_OK) == 0);
	for (int level = 0; level <= 1; level++) {
		seed(folder, "all", sample_items, LMM_ARRAY_SIZE(sample_items), level);
		seed(folder, "none", NULL, 0, level);
		for (size_t i = 0; i < LMM_ARRAY_SIZE(sample_items); i++) {
			(void)snprintf(name, sizeof(name), "item%02zu", i);
			seed(folder, name, &sample_items[i], 1, level);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(make_seeds, argc > 1 ? argv[1] : NULL),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	return cmocka_run_group_tests_name("seeds", tests, NULL, NULL);
}
