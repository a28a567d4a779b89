// SPDX-License-Identifier: Apache-2.0
// The same in C++.
#include "program.h"

#include <lmmeter/mark.h>

extern "C" void mark_other_file(void)
{
	static lmm_mark_site site = LMM_MARK_SITE("other file");

	lmm_mark_span_begin(&site);
	LMM_MARK_SPAN_END();
}
