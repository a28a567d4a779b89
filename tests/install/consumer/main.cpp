// SPDX-License-Identifier: Apache-2.0
#include <lmmeter/mark.h>
#include <lmmeter/trace.h>

int main(int argc, char **argv)
{
	lmm_trace *tr = nullptr;

	return argc == 2 && lmm_trace_open(argv[1], &tr) == 0 ? (lmm_trace_close(tr), 0) : 1;
}
