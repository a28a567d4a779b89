/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MARK_PROGRAM_H
#define MARK_PROGRAM_H

#ifdef __cplusplus
extern "C" {
#endif

/* In a second file of the program, which includes the marks as well. */
void mark_other_file(void);

#ifdef __cplusplus
}
#endif

#endif
