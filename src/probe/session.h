/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_PROBE_SESSION_H
#define LMM_PROBE_SESSION_H

#define PATH_BYTES 4096

#endif
