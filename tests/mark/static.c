/* SPDX-License-Identifier: Apache-2.0 */
#include <lmmeter/mark_static.h>
