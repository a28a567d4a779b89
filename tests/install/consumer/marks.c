/* SPDX-License-Identifier: Apache-2.0 */
/* What a static program adds: the other half of its marks, compiled with nothing but what is installed. */
#include <lmmeter/mark_static.h>
