/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMMETER_VERSION_H
#define LMMETER_VERSION_H

/* The one place where the version is written; CMake reads it from here. */
#define LMM_VERSION_MAJOR  0
#define LMM_VERSION_MINOR  1
#define LMM_VERSION_PATCH  0
#define LMM_VERSION_STRING "0.1.0"

#endif
