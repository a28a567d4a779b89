/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up session with round times, so that what reports say of it can be computed by hand:
 *
 * One process (pid 4242) with one thread; 10 ns per operator are the recording's own. Ticks are nanoseconds.
 * A graph of 20 nodes, one of which (a view) does not run; 2 layers of 8 nodes. Node n runs 20000 + 100 n ns in prefill
 * (4 tokens) and 1000 + 10 n ns in decode, its own 10 ns included; the first one starts 500 ns behind GRAPH_BEGIN.
 *
 *   load 100 ms · context 5 ms · request 1: tokenize 40 us, prefill of 8 tokens in two chunks, 4 tokens, 3 decode steps
 *   request 2 (the memory was cleared): tokenize 20 us, prefill of 4 tokens in one pass, 4 tokens, 3 decode steps
 *
 * Each pass: 300 ns from PHASE_BEGIN to GRAPH_BEGIN, the graph, 200 ns, copy_to_cpu of 1000 ns (not in the first chunk),
 * 100 ns. Each sampling: 3000 ns, 800 ns of them softmax; detokenize 500 ns. 700 ns are unaccounted between any two.
 */
#ifndef LMM_TESTS_GOLDEN_H
#define LMM_TESTS_GOLDEN_H

#include "lmmeter/trace.h"

/* Gives all items of the session to sink. 0 or the sink's error. */
int lmm_golden_items(lmm_sink_fn sink, void *ctx);

/* Writes them to a new file. 0 or a negative error. */
int lmm_golden_write(const char *path);

#endif
