/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vulkan from outside: what the files of this folder share. The loader calls us as a layer (layer.c). What a command buffer holds is
 * listed as it is recorded (commands.c), with timestamps where the program has barriers of its own; a submit tells of the
 * list (submit.c), and when the program has seen it end the timestamps are read (harvest.c). Nothing is waited for or flushed
 * here, and no barrier added. docs/vulkan.md has the whole story.
 */
#ifndef LMM_PROBE_DEVICES_VULKAN_VULKAN_H
#define LMM_PROBE_DEVICES_VULKAN_VULKAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "probe/devices/device.h"
#include "probe/devices/vulkan/fns.h"

extern struct lmm_device_api lmm_vk_api;
/* The loader has asked for us. */
bool lmm_vk_is_layer(void);
void lmm_vk_instances_after_fork(void);
/* True once per session: a reason is a text and a lock, and what it is about may come with every command buffer. */
static inline bool lmm_vk_is_unsaid(_Atomic uint32_t *said)
{
	uint32_t now = lmm_device_session();

	return lmm_session_is_joined() && atomic_load_explicit(said, memory_order_relaxed) != now &&
	       atomic_exchange(said, now) != now;
}

/* ---- devices and queues (objects.c) ------------------------------------------------------------- */

#define LMM_VK_FAMILIES 16u
#define LMM_VK_PENDING	1024u /* what was submitted to a queue and is not read yet; a power of two */
#define LMM_VK_IN_FLIGHT                                                                           \
	4000u /* timed commands of a queue whose times are not read yet; the analysis joins 4,096 */

struct lmm_vk_list;
struct lmm_vk_chunk;

struct lmm_vk_device {
	_Atomic(void *) key; /* of all its objects; NULL: destroyed */
	void *handle;
	vk_get_device_proc *get_proc;
	struct lmm_vk_fns fn;
	char name[256];
	double period; /* nanoseconds per tick */
	uint16_t number;
	bool has_host_reset; /* the application has enabled it */
	bool has_clock;	     /* vkGetCalibratedTimestampsEXT() works */
	bool is_clock_ours;  /* the application has not enabled it, and does not see it */
	unsigned n_families;
	struct {
		uint32_t bits, flags;
	} family[LMM_VK_FAMILIES];
	struct lmm_device_clock clock;
	/* with the lock held */
	pthread_mutex_t lock;
	struct lmm_vk_chunk *free_chunks;
	struct lmm_vk_list *free_lists;
	bool is_full; /* the driver makes no more of them */
	unsigned n_pools;
	vk_handle pools[64];
	uint64_t stamp,
		stamp_ns; /* one that was read last, beyond its bits, and the host's time then; 0: none */
	uint64_t newest;	    /* of a command */
	uint64_t begun_t, begun_ns; /* the same instant by both of the host's clocks */
	_Atomic uint32_t n_timed_lists;
};

/* What a queue was given: a command buffer's list, or an instant that says that all before it has ended. */
struct lmm_vk_pending {
	struct lmm_vk_list *list; /* NULL: no times are to be read */
	vk_handle signal;	  /* fence or timeline semaphore; 0: none */
	uint64_t value;		  /* of the semaphore; 0: it is a fence */
	uint64_t t;		  /* before the submit */
	uint32_t id;		  /* of its first timed command */
	uint32_t recording;
	uint32_t serial; /* of the list, when it was submitted */
	bool is_more;	 /* a signal: nothing was handed over since the entry before */
};

struct lmm_vk_queue {
	_Atomic(void *) handle; /* NULL: its device is gone */
	struct lmm_vk_device *device;
	uint16_t number;
	uint16_t family;
	uint32_t told; /* the session in which it was described */
	uint32_t next_id;
	_Atomic uint32_t n_in_flight;
	_Atomic uint32_t head, tail; /* positions; whoever submits is alone, by Vulkan's own rule */
	_Atomic uint32_t seen;	     /* all before this one is known to have ended */
	atomic_flag is_harvested;    /* by one thread at a time; who finds it set goes on */
	struct lmm_vk_pending pending[LMM_VK_PENDING];
};

struct lmm_vk_device *lmm_vk_device_by_key(void *key);
/* One that is there: most processes have no other. */
extern _Atomic(struct lmm_vk_device *) lmm_vk_device_first;
/* By any dispatchable handle of it: all begin with the loader's word for the device. */
static inline struct lmm_vk_device *lmm_vk_device_of(void *handle)
{
	struct lmm_vk_device *d = atomic_load_explicit(&lmm_vk_device_first, memory_order_acquire);
	void *key = *(void **)handle;

	if (lmm_likely(d && atomic_load_explicit(&d->key, memory_order_acquire) == key))
		return d;
	return lmm_vk_device_by_key(key);
}
/* NULL: there are too many. */
struct lmm_vk_device *lmm_vk_device_add(void *handle);
/* A session begins, whose clock may be another one. */
void lmm_vk_device_begin(struct lmm_vk_device *d);
/* The driver is about to take it down; all its work has ended. */
void lmm_vk_device_remove(struct lmm_vk_device *d);
struct lmm_vk_queue *lmm_vk_queue_find(void *handle);
void lmm_vk_queue_note(struct lmm_vk_device *d, void *handle, uint32_t family);
/* All that were made; *n gets how many. Entries are never freed. */
struct lmm_vk_queue *const *lmm_vk_queues(unsigned *n);
void lmm_vk_recording_begin(void);
/* Queues of that family run vkCmdResetQueryPool() and have timestamps. */
bool lmm_vk_family_resets(const struct lmm_vk_device *d, uint32_t family);

/* ---- kernels (pipelines.c) ---------------------------------------------------------------------- */

/* Numbers of commands in lists: 0 for a kernel that is not known, below LMM_DEVICE_KERNEL_FIRST kinds, else an index that the
 * recording is told of by lmm_vk_kernel_tell(), which returns the number for events. */
uint32_t lmm_vk_kernel_of(vk_handle pipeline);
uint32_t lmm_vk_kernel_tell(uint32_t kernel);
/* One that stands for several that ran together. */
struct lmm_vk_command;
uint32_t lmm_vk_kernel_of_group(const struct lmm_vk_command *commands, uint32_t n);
/* Changes when a handle that was another pipeline's comes again, or a pipeline gets a name: what is known by handles is void. */
uint32_t lmm_vk_pipelines_changed(void);
void lmm_vk_pipelines_after_fork(void);

/* What the code calls itself: the function of that name has another one, or the source file. Returns 0 and fills name. */
int lmm_vk_spirv_name(const uint32_t *code, size_t bytes, const char *entry, char *name,
		      size_t name_bytes);
/* The same by the variable that holds the code in the object that `ra` lies in, with what follows `_data` cut off (embedded.c). */
int lmm_vk_embedded_name(const uint32_t *code, size_t bytes, const void *ra, char *name,
			 size_t name_bytes);
void lmm_vk_embedded_after_fork(void);

/* ---- lists and timestamps (lists.c) ------------------------------------------------------------- */

#define LMM_VK_CHUNK 128u /* stamps */
/* Of a list: one with more commands than may wait to be read would never be read. */
#define LMM_VK_CHUNKS (LMM_VK_IN_FLIGHT / LMM_VK_CHUNK)

struct lmm_vk_command {
	vk_handle pipeline; /* 0: it is no kernel, or nobody knows which */
	uint32_t kernel;
	uint32_t graph, node;
	uint32_t amount; /* saturated */
	uint32_t
		stamp; /* number of the one behind it; 0: not timed. Its start is the stamp before that */
};

struct lmm_vk_chunk {
	vk_handle pool;
	uint32_t first;
	struct lmm_vk_chunk *next;
};

/*
 * What a command buffer holds. Of the buffer while it is recorded, afterwards of those that it was submitted to as well. What each
 * command needs comes first: a driver's own work leaves little of it in the caches.
 */
struct lmm_vk_list {
	struct lmm_vk_command *commands;
	uint32_t n, cap;
	uint32_t group; /* commands from here on have no stamp yet */
	uint32_t n_stamps, n_timed;
	unsigned n_chunks;
	bool is_decided; /* whether it is timed */
	bool is_timed;
	bool is_split;	    /* commands between two barriers are told apart */
	bool is_one_time;   /* submitted once */
	bool is_doubled;    /* it begins with two stamps, between which there is nothing */
	uint32_t recording; /* in which it was begun */
	/* so far it holds what this one does: n of its commands, and nothing is listed; NULL: it does not (patterns.c) */
	struct lmm_vk_pattern *pattern;
	/* the pattern's number, even if the list has turned out another; 0: there was none */
	uint32_t expected;
	uint32_t pipelines; /* lmm_vk_pipelines_changed() when it began */
	uint32_t step;	    /* that it was begun in */
	bool may_be_learned;
	struct lmm_vk_device *device;
	_Atomic uint32_t refs;
	/* times it was submitted: a result belongs to the last of them */
	_Atomic uint32_t serial;
	struct lmm_vk_list *next; /* of the free ones */
	struct lmm_vk_chunk *chunks[LMM_VK_CHUNKS];
};

/* NULL: out of memory. */
struct lmm_vk_list *lmm_vk_list_new(struct lmm_vk_device *d);
void lmm_vk_list_unref(struct lmm_vk_list *l);
static inline void lmm_vk_list_ref(struct lmm_vk_list *l)
{
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
}
/* Room for one more command; false: out of memory. */
bool lmm_vk_list_grow(struct lmm_vk_list *l);
/* Room for two more stamps: a reset range is recorded into the buffer or reset here. False: there are none. */
bool lmm_vk_list_grow_stamps(struct lmm_vk_list *l, void *buffer);
/* Command i as a recording may know it: graphs and their nodes are numbered anew in each. */
static inline struct lmm_vk_command lmm_vk_list_at(const struct lmm_vk_list *l, uint32_t i,
						   uint32_t recording)
{
	struct lmm_vk_command c = l->commands[i];

	if (lmm_unlikely(l->recording != recording)) {
		c.graph = 0;
		c.node = LMM_NODE_UNKNOWN;
	}
	return c;
}
/* Writes a stamp, for which there is room, behind what the buffer holds. */
void lmm_vk_list_stamp(struct lmm_vk_list *l, void *buffer);
/* The first n stamps of a piece; false: they are not there. */
bool lmm_vk_chunk_read(const struct lmm_vk_device *d, const struct lmm_vk_chunk *c, uint32_t n,
		       uint64_t *to);

/* ---- patterns (patterns.c) ---------------------------------------------------------------------- */

/*
 * What a command buffer held that is recorded anew for each token, and holds the same each time. The next one is expected to: as long as
 * it does its commands are compared and not listed, and what was described once is told by its number.
 */
struct lmm_vk_pattern {
	_Atomic uint32_t refs;
	uint32_t number;
	uint32_t recording, graph,
		pipelines; /* that it is good for; the last by lmm_vk_pipelines_changed() */
	uint32_t next;	   /* number of the one that followed it last; 0: none */
	uint64_t hash;
	uint64_t described; /* bytes of descriptors before its own */
	uint32_t n;
	struct lmm_vk_command command[];
};

/* The list's first command comes, on this thread, and is not to be timed: l->pattern gets what is expected of it, if anything is. */
void lmm_vk_pattern_expect(struct lmm_vk_list *l, struct lmm_thread *th);
void lmm_vk_pattern_unref(struct lmm_vk_pattern *p);
/* It is not what was expected: what it holds so far is listed. False: out of memory, and it is empty. */
bool lmm_vk_pattern_leave(struct lmm_vk_list *l);
/* What follows on this thread is for nodes behind those of the list so far. */
void lmm_vk_pattern_mark(const struct lmm_vk_list *l);
/* No more comes to the list, which may come again. False: as above. */
bool lmm_vk_pattern_end(struct lmm_vk_list *l);
/* So many others were described since that whoever reads may have forgotten it. */
bool lmm_vk_pattern_is_old(const struct lmm_vk_pattern *p);
void lmm_vk_patterns_after_fork(void);

/* ---- command buffers (buffers.c) ---------------------------------------------------------------- */

struct lmm_vk_buffer {
	_Atomic(void *) handle; /* the key stays where it is when the buffer is gone */
	struct lmm_vk_device *device;
	struct lmm_vk_list *list; /* NULL: nothing is listed */
	vk_handle pool;
	struct lmm_vk_buffer *next_of_pool;
	struct lmm_vk_queue *queue; /* that it was last submitted to with times to be read */
	vk_handle pipeline;	    /* that is bound; 0: none is known */
	uint32_t upto;		    /* position behind it there */
	uint16_t family;
	bool is_alive;
	bool is_secondary : 1;
	bool is_unseen : 1; /* recorded while nobody looked, or not listed to the end */
	bool is_simultaneous : 1;
};
_Static_assert(sizeof(struct lmm_vk_buffer) <= 64, "one cache line");

/* NULL: not known. */
struct lmm_vk_buffer *lmm_vk_buffer_find(void *handle);
void lmm_vk_buffers_after_fork(void);
/* Those of a device are gone. */
void lmm_vk_buffers_forget(struct lmm_vk_device *d);
/* What was submitted of it has ended: Vulkan allows it to be recorded anew only then. */
void lmm_vk_buffer_has_ended(struct lmm_vk_buffer *b);

/* Gives the commands that have no stamp yet one that ends them all (commands.c). */
void lmm_vk_group_close(struct lmm_vk_buffer *b);

/* CLOCK_MONOTONIC. */
uint64_t lmm_vk_host_ns(void);

/* ---- harvest.c ---------------------------------------------------------------------------------- */

/* All up to position `upto` (not included) has ended. Its times are read once the device has nothing else to do, as some drivers
 * answer only then; at once if there is much to read, or `now`. */
void lmm_vk_has_ended(struct lmm_vk_queue *q, uint32_t upto, bool now);
/* What the driver says has ended; asks, never waits. */
void lmm_vk_harvest_ended(struct lmm_vk_queue *q);
/* Nothing of the device will ever end. */
void lmm_vk_device_is_lost(struct lmm_vk_device *d);

#endif
