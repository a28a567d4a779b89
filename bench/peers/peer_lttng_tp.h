/* SPDX-License-Identifier: Apache-2.0 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER lmmbench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./peer_lttng_tp.h"

#if !defined(PEER_LTTNG_TP_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define PEER_LTTNG_TP_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(lmmbench, begin, LTTNG_UST_TP_ARGS(uint32_t, id),
			   LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint32_t, id, id)))
LTTNG_UST_TRACEPOINT_EVENT(lmmbench, end, LTTNG_UST_TP_ARGS(uint32_t, id),
			   LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint32_t, id, id)))

#endif

#include <lttng/tracepoint-event.h>
