/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_REPORT_JSON_SENSORS_H
#define LMM_REPORT_JSON_SENSORS_H

#include "analyze/result.h"

struct lmm_json;

/* The keys sensors, sensors_absent, machine and energy. */
void lmm_json_sensors(struct lmm_json *j, const struct lmm_result_machine *m);

#endif
