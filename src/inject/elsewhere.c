/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "inject/inject.h"

int lmm_inject(int32_t pid, const char *library, struct lmm_injection *out)
{
	(void)pid;
	(void)library;
	*out = (struct lmm_injection){ 0 };
	snprintf(out->why, sizeof(out->why),
		 "a library can be put into a running process on Linux x86-64 only");
	return -ENOTSUP;
}
