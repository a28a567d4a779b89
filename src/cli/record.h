/* SPDX-License-Identifier: Apache-2.0 */
/* A recording: folder, collector, file and analysis together. */
#ifndef LMM_CLI_RECORD_H
#define LMM_CLI_RECORD_H

#include <stdint.h>

#include "analyze/analysis.h"
#include "cli/sensing.h"
#include "collect/collector.h"
#include "trace/writer.h"

struct lmm_record_opts {
	const char *
		out_path; /* as the user gave it, or NULL: made from command_name in the current folder */
	const char *command_name;
	const char *command_line;
	uint64_t memory_bytes;
	uint64_t max_size_bytes;
	uint8_t threads_all;
	uint32_t device_budget_ppm;
	uint8_t kernel_times; /* enum lmm_kernel_times */
	const char
		*folder_base; /* attach: where the process can see the session's folder; it begins
				  * to record by itself. NULL: the usual place */
	const char
		*sysfs; /* NULL: this machine; else a folder that is a model of one, for sensors */
};

struct lmm_record {
	struct lmm_folder folder;
	struct lmm_collector *collector;
	struct lmm_sensing sensing;
	struct lmm_analysis *analysis;
	struct lmm_codec *codec;
	struct lmm_trace_writer *writer; /* NULL: no file, or writing has failed */
	int write_error;		 /* why; 0 */
	char path[4096];
};

/* Sets all up; nothing is left behind on failure, and an lmm_error() has said why. 0 or a negative errno. */
int lmm_record_open(struct lmm_record *r, const struct lmm_record_opts *opts);

/* One round; the milliseconds to wait until the next. */
int lmm_record_poll(struct lmm_record *r);

/* Closes the recording in good order and removes the folder. *result: what was found; NULL when memory ran out.
 * The file is removed if no process with an engine was seen. */
void lmm_record_close(struct lmm_record *r, int exit_status, struct lmm_result **result);

#endif
