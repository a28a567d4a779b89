/* SPDX-License-Identifier: Apache-2.0 */
#include <lmmeter/mark.h>

#include "program.h"

void mark_other_file(void)
{
	LMM_MARK_SPAN_BEGIN("other file");
	LMM_MARK_SPAN_END();
}
