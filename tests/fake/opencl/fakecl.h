/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL driver that computes nothing and takes the time its script says; see fakecl_script.c for the script and
 * fakecl_log.c for what it writes down. Everything below is under one lock, driver_lock(), unless it says otherwise.
 *
 * An object has two counts: `refs` is the application's, `uses` also has the driver's own (commands in flight, children).
 * Its memory is never given back to malloc but reused for the same kind, late: a call on a released object is seen.
 */
#ifndef FAKECL_H
#define FAKECL_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define DEVICES_MAX	16
#define SCRIPT_KERNELS	64
#define NAME_MAX_LENGTH 128
#define ARGS_MAX	64
#define PATTERN_MAX	128
#define HELD_MAX	3

/* ---- script ---- */

struct script {
	uint64_t ns, copy_ns, bytes_per_us, submit_ns, start_ns, flush_to_submit, spin;
	uint64_t event_ns, event_device_ns, enqueue_ns, query_ns;
	int64_t clock_offset_ns;
	double drift_ppm;
	uint64_t tick_ns, jitter_ns, jitter_seed, timer, no_profiling;
	uint64_t profiling_unavailable_every, zero_stamps_every, reversed_stamps_every, queued_zero,
		queued_late;
	uint64_t fail_enqueue_every, lost_after, devices, event_limit;
	char log[4096], name[NAME_MAX_LENGTH];
	unsigned int n_kernels;
	struct {
		char name[NAME_MAX_LENGTH];
		uint64_t ns;
	} kernels[SCRIPT_KERNELS];
};

extern struct script script;

/* 0, or -1 after a line on stderr that says which word is wrong. */
int script_read(const char *text);
uint64_t script_kernel_ns(const char *name);
uint64_t script_copy_ns(size_t bytes);
static inline bool script_nth(uint64_t every, uint64_t n)
{
	return every && n % every == 0;
}

/* ---- lock and clock ---- */

void driver_lock(void);
void driver_unlock(void);
void driver_wait(pthread_cond_t *cond);
/* Sleeps until the condition is signalled or the moment has come. */
void driver_wait_until(pthread_cond_t *cond, uint64_t until_ns);
/* True once lost_after commands were taken: nothing but releases works from then on. */
bool driver_lost(void);
extern uint64_t commands_taken;

static inline void driver_unlock_at(const bool *locked)
{
	(void)locked;
	driver_unlock();
}
/* Holds the lock until the block is left. */
#define WITH_LOCK                                                                                  \
	__attribute__((cleanup(driver_unlock_at), unused)) bool locked_ = true;                    \
	driver_lock()

uint64_t now_ns(void);
void busy_ns(uint64_t ns);
/* The device's clock at a moment of CLOCK_MONOTONIC. */
uint64_t device_clock(uint64_t mono_ns);

/* ---- objects ---- */

enum kind {
	KIND_PLATFORM = 1,
	KIND_DEVICE,
	KIND_CONTEXT,
	KIND_QUEUE,
	KIND_MEM,
	KIND_SAMPLER,
	KIND_PROGRAM,
	KIND_KERNEL,
	KIND_EVENT,
	KIND_COMMAND_BUFFER,
	KINDS,
};

struct object {
	const struct _cl_icd_dispatch *dispatch;
	enum kind kind;
	int refs, uses;
	struct object *next_free;
};

extern const struct _cl_icd_dispatch fake_dispatch;

/* NULL without memory; else zeroed, with one reference. */
void *object_new(enum kind kind);
bool object_alive(const void *object, enum kind kind);
void object_use(void *object);
void object_put(void *object);
/* Back to where object_new() takes from; for the destroyers. */
void object_free(void *object);
cl_int object_retain(void *object, enum kind kind, cl_int error);
cl_int object_release(void *object, enum kind kind, cl_int error);
uint64_t objects_alive(enum kind kind);
uint64_t objects_peak(enum kind kind);
uint64_t objects_double_release(void);
/* For the child of a fork. */
void objects_forget(void);
void queues_forget(void);

struct _cl_platform_id {
	struct object o;
};

struct _cl_device_id {
	struct object o;
	char name[NAME_MAX_LENGTH + 16];
};

struct _cl_context {
	struct object o;
	cl_uint n_devices;
	cl_device_id devices[DEVICES_MAX];
	size_t n_properties;
	cl_context_properties properties[16];
};

struct command;

struct late_callback {
	struct late_callback *next;
	cl_event event;
	cl_int type;
	void(CL_CALLBACK *call)(cl_event, cl_int, void *);
	void *data;
};

/* head..tail are the commands that are not complete, in the order they came. */
struct _cl_command_queue {
	struct object o;
	cl_context context;
	cl_device_id device;
	cl_command_queue_properties properties;
	size_t n_array;
	cl_queue_properties array[8];
	unsigned int number;
	struct command *head, *tail;
	uint64_t last_end, barrier_end; /* of all completed, of the last completed barrier */
	pthread_cond_t wake;
	bool idle, stop;
	struct late_callback *callbacks;
	struct _cl_command_queue *next;
};

struct _cl_mem {
	struct object o;
	cl_context context;
	cl_mem parent;
	cl_mem_object_type type;
	cl_mem_flags flags;
	size_t size, origin;
	void *host_ptr;
	char *data;
	bool owned;
	cl_uint maps;
	cl_image_format format;
	cl_image_desc desc;
	size_t element, row_pitch, slice_pitch;
};

struct _cl_sampler {
	struct object o;
	cl_context context;
	cl_bool normalized;
	cl_addressing_mode addressing;
	cl_filter_mode filter;
};

enum argument {
	ARGUMENT_VALUE,
	ARGUMENT_MEM,
	ARGUMENT_LOCAL,
};

struct signature {
	char name[NAME_MAX_LENGTH];
	cl_uint n_args;
	unsigned char args[ARGS_MAX];
};

struct _cl_program {
	struct object o;
	cl_context context;
	char *source;
	bool from_binary;
	cl_build_status status;
	char *options;
	unsigned int n_kernels, kernels_alive;
	struct signature *kernels;
};

struct _cl_kernel {
	struct object o;
	cl_program program;
	struct signature signature;
	uint64_t ns, args_set;
};

struct waiter {
	struct waiter *next;
	bool done;
};

struct _cl_event {
	struct object o;
	cl_context context;
	cl_command_queue queue; /* NULL: a user event */
	cl_command_type type;
	cl_int status;		 /* CL_QUEUED until complete */
	struct command *command; /* NULL once complete */
	uint64_t number;
	uint64_t queued_ns, submit_ns, start_ns, end_ns;
	bool has_waited; /* for a wait list */
	unsigned int dependents;
	struct waiter *waiters;
	struct late_callback *callbacks;
};

/* ---- what a command does ---- */

/* Rows of a box in memory: copied from src, or filled with a pattern. */
struct box {
	char *dst;
	const char *src;
	size_t region[3], dst_pitch[2], src_pitch[2];
	size_t pattern_size;
	char pattern[PATTERN_MAX];
};

struct task {
	cl_command_type type;
	const char *kind, *name;
	uint64_t ns;
	bool barrier;	/* what comes later waits for it */
	bool waits_all; /* it waits for all that came before */
	bool free;	/* takes no time on the device, not even the way there */
	bool has_box;
	struct box box;
	void *held[HELD_MAX];
	cl_command_buffer_khr buffer;
};

struct _cl_command_buffer_khr {
	struct object o;
	cl_command_queue queue;
	cl_command_buffer_flags_khr flags;
	size_t n_properties;
	cl_command_buffer_properties_khr properties[4];
	bool final;
	unsigned int pending;
	uint64_t ns;
	cl_uint n, room;
	struct task *steps;
};

struct command {
	struct command *next, *prev;
	struct task task;
	cl_command_queue queue;
	cl_event event;
	uint64_t number;
	uint64_t before_ns, after_ns, submit_ns, start_ns, end_ns;
	bool submitted, scheduled;
	cl_int status;
	pid_t thread;
	cl_uint n_deps;
	cl_event *deps;
	struct waiter *waiters;
};

/* A call of clEnqueue…, as it came in; `before_ns` is when. */
struct call {
	uint64_t before_ns;
	cl_command_queue queue;
	cl_uint n;
	const cl_event *list;
	cl_event *event;
	cl_bool blocking;
};
#define CALL(queue, n, list, event, blocking)                                                      \
	{                                                                                          \
		now_ns(), queue, n, list, event, blocking                                          \
	}

cl_int call_check(const struct call *call);
/* Takes the command and waits for it if it blocks. Lets go of the lock meanwhile. */
cl_int call_enqueue(const struct call *call, const struct task *task);
/* Submits what the queue holds back. */
void queue_flush(cl_command_queue queue);
void task_hold(const struct task *task);
void task_release(struct task *task);
void deps_release(struct command *command);

void queue_wake(cl_command_queue queue);
/* Wakes every device thread that waits for something. */
void queues_wake(void);
extern cl_command_queue all_queues;
void *device_thread(void *queue);
void waiter_wait(struct waiter **list);
void waiters_done(struct waiter **list);

cl_event event_new(cl_context context, cl_command_queue queue, cl_command_type type);
cl_int event_list_check(cl_context context, cl_uint n, const cl_event *list);
/* Sets the final status and hands back the callbacks, to be run without the lock. */
struct late_callback *event_complete(cl_event event, cl_int status);
void callbacks_run(struct late_callback *list);

/* ---- small answers ---- */

struct answer {
	size_t room;
	void *to;
	size_t *size;
};

cl_int answer(struct answer a, const void *from, size_t size);
cl_int answer_text(struct answer a, const char *text);
cl_int answer_uint(struct answer a, cl_uint value);
cl_int answer_ulong(struct answer a, cl_ulong value);
cl_int answer_size(struct answer a, size_t value);
cl_int answer_pointer(struct answer a, const void *value);
static inline void *fail(cl_int *to, cl_int error)
{
	if (to)
		*to = error;
	return NULL;
}

/* ---- parts that tear down ---- */

void event_destroy(cl_event event);
void queue_destroy(cl_command_queue queue);
void mem_destroy(cl_mem mem);
void program_destroy(cl_program program);
void kernel_destroy(cl_kernel kernel);
void command_buffer_destroy(cl_command_buffer_khr buffer);

/* ---- device side ---- */

extern struct _cl_platform_id the_platform;
extern struct _cl_device_id the_devices[DEVICES_MAX];
bool device_valid(cl_device_id device);
bool device_in(cl_context context, cl_device_id device);

/* Mem objects: their checks are shared by copies and command buffers. */
bool buffer_holds(cl_mem mem, size_t offset, size_t size);
void box_line(struct box *box, char *dst, const char *src, size_t size);
void box_run(const struct box *box);
cl_int copy_buffer_task(struct task *task, cl_context context, cl_mem src, cl_mem dst,
			const size_t at[3]);
cl_int fill_buffer_task(struct task *task, cl_context context, cl_mem buffer, const void *pattern,
			const size_t at[3]);
cl_int kernel_task(struct task *task, cl_command_queue queue, cl_kernel kernel, cl_uint dims,
		   const size_t *global, const size_t *local);

/* ---- log ---- */

enum counter {
	COUNT_FINISH,
	COUNT_FLUSH,
	COUNT_WAIT,
	COUNT_BARRIER,
	COUNT_MARKER,
	COUNT_EVENT_INFO,
	COUNT_PROFILING,
	COUNT_CALLBACK,
	COUNT_RETAIN,
	COUNT_RELEASE,
	COUNT_TIMER,
	COUNTERS,
};

/* The only one that takes no lock. */
void count(enum counter counter);
int log_open(void);
void log_command(const struct command *command);
void log_flush(void);
void log_forked(void);

#endif
