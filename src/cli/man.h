/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages as roff (man(7)), from the table of commands. */
#ifndef LMM_CLI_MAN_H
#define LMM_CLI_MAN_H

#include <stdio.h>

#include "cli/options.h"

/* lmmeter-COMMAND(1), or lmmeter(1) for NULL. Its date is today, or $SOURCE_DATE_EPOCH for builds that can be repeated. */
void lmm_man_print(const struct lmm_command *command, FILE *out);

#endif
