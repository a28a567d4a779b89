/* SPDX-License-Identifier: Apache-2.0 */
/* golden-trace OUT [cut BYTES]: the trace of golden.h in a file, for tests that need one on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden.h"

int main(int argc, char **argv)
{
	int rc;

	if (argc != 2 && !(argc == 4 && strcmp(argv[2], "cut") == 0)) {
		fputs("usage: golden-trace OUT [cut BYTES]\n", stderr);
		return 2;
	}
	rc = lmm_golden_write(argv[1]);
	if (rc == 0 && argc == 4 && truncate(argv[1], strtol(argv[3], NULL, 10)) != 0)
		rc = -1;
	if (rc < 0)
		fprintf(stderr, "golden-trace: %s\n", lmm_strerror(rc));
	return rc < 0;
}
