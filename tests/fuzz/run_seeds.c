/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer: each file of a folder, whole, cut anywhere and with each byte changed, once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEED_BYTES_MAX 65536

static void run(uint8_t *data, size_t n)
{
	for (size_t cut = 0; cut <= n; cut++)
		(void)LLVMFuzzerTestOneInput(data, cut);
	for (size_t i = 0; i < n; i++) {
		uint8_t before = data[i];

		for (unsigned k = 0; k < 4; k++) {
			data[i] = (uint8_t)(before ^ "\x01\x80\xff\x55"[k]);
			(void)LLVMFuzzerTestOneInput(data, n);
		}
		data[i] = before;
	}
}

static int run_file(const char *folder, const char *name)
{
	static uint8_t data[SEED_BYTES_MAX];
	char path[1024];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	(void)fclose(f);
	run(data, n);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	unsigned files = 0;

	if (!d) {
		(void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (run_file(argv[1], entry->d_name))
			return 1;
		files++;
	}
	(void)closedir(d);
	(void)printf("%u seeds\n", files);
	return files == 0;
}
