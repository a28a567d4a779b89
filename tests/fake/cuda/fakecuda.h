/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CUDA driver, runtime and CUPTI without a device. Device time is arithmetic on CLOCK_MONOTONIC: a kernel lasts exactly as
 * long as the script says, and begins when it is handed over or when its stream is free. What its test programs do not call themselves
 * changes errno. Shares no code with src/.
 *
 * FAKECUDA, words "name=value":
 *	log=PATH	one line per thing done, written at exit (see fake_log())
 *	ns=NAME:NS	how long kernels of that name last (else 10000); may be repeated
 *	overlap=NAME:NS	those begin so long before the one before them has ended
 *	copy_ns=NS	a copy or memset (else 3000)
 *	peers=1		devices reach each other's memory; else a copy between them is two
 *	records=no	streams do work, records are not kept (as before an attach)
 *	version=N	cuptiGetVersion() (130000)
 *	driver=N	cuDriverGetVersion() (13000)
 *	subscribe=N, enable=N, finalize=N	what cuptiSubscribe(), cuptiActivityEnable(), cuptiFinalize() answer
 *	other=K		another profiler subscribes as the K-th attach of a window begins (1: the first)
 *	create_us=N	how long making an event takes
 *	attach_us=N, detach_us=N	how long enabling the first activity and finalizing take
 *	drop=N, zero=N, garbage=N, skip=N	of every N records one is dropped (and counted), has no stamps, has senseless stamps, is
 *			lost without a word
 *	late=1		a flush gives what has ended by then; the rest comes with the next
 *	cupti_only=1	correlation ids are those of the runtime's calls, one less than the driver's
 *	silent=1	the profiler tells of no call that waits; 2: nor of cuCtxGetDevice()
 *	lost_after=N	after N launches every call answers that the context is destroyed
 */
#ifndef FAKECUDA_H
#define FAKECUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef FAKE_STATIC /* nothing shows of a runtime that is linked into the program */
#define FAKE_EXPORT
#else
#define FAKE_EXPORT __attribute__((visibility("default")))
#endif

typedef struct fake_stream *CUstream;
typedef struct fake_event *CUevent;
typedef struct fake_graph *CUgraph;
typedef struct fake_exec *CUgraphExec;
typedef struct fake_func *CUfunction;
typedef int CUdevice;
typedef void *CUcontext;

struct dim3 {
	unsigned x, y, z;
};

enum { FAKE_KERNEL, FAKE_COPY, FAKE_SET, FAKE_PEER };

/* One thing that the device did. */
struct fake_work {
	int kind;
	const char *name; /* of a kernel */
	uint64_t bytes;
	uint8_t copy_kind;
	uint64_t start, end;
	uint32_t device, stream, correlation;
	uint64_t node; /* of a graph; 0: none */
	uint32_t graph;
};

struct fake_stream {
	uint32_t id;
	uint64_t ready;
	CUgraph capture; /* NULL: not capturing */
	int device;	 /* whose context it is of */
};

/* What the profiler's library puts in. */
struct fake_profiler {
	void (*api)(int site, uint32_t cbid, uint32_t correlation);
	void (*record)(const struct fake_work *work);
};

FAKE_EXPORT extern struct fake_profiler fake_profiler;
FAKE_EXPORT extern uint32_t
	fake_correlation; /* counted up by each call while the profiler is there */

FAKE_EXPORT uint64_t fake_now(void);
/* "" if the script has no such word; the n-th of that name. */
FAKE_EXPORT const char *fake_script(const char *name, unsigned n);
FAKE_EXPORT long fake_script_number(const char *name, long otherwise);
FAKE_EXPORT void fake_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
FAKE_EXPORT void fake_sleep_until(uint64_t ns);

/* What both APIs do; cbid: of the driver's call. They answer a CUresult. */
FAKE_EXPORT int fake_launch(uint32_t cbid, CUstream s, const char *name);
FAKE_EXPORT int fake_copy_peer(CUstream s, uint64_t bytes);
FAKE_EXPORT int fake_copy(uint32_t cbid, CUstream s, uint8_t kind, uint64_t bytes);
FAKE_EXPORT int fake_set(uint32_t cbid, CUstream s, uint64_t bytes);
FAKE_EXPORT int fake_graph_launch(uint32_t cbid, CUgraphExec e, CUstream s);
FAKE_EXPORT int fake_wait(uint32_t cbid, CUstream s); /* NULL: all streams */
FAKE_EXPORT int fake_event_wait(uint32_t cbid, CUevent e);
FAKE_EXPORT CUstream fake_stream_new(void);
FAKE_EXPORT int fake_device_set(int number);
FAKE_EXPORT CUstream fake_stream_of(void *handle);
FAKE_EXPORT void fake_capture_begin(CUstream s);
FAKE_EXPORT CUgraph fake_capture_end(CUstream s);
FAKE_EXPORT CUgraphExec fake_instantiate(CUgraph g);
FAKE_EXPORT int fake_update(CUgraphExec e, CUgraph g);
FAKE_EXPORT void fake_graph_free(CUgraph g);
FAKE_EXPORT void fake_exec_free(CUgraphExec e);

#endif
