/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment variable FAKECL: words key=value with spaces between.
 *
 *	ns=N ns:KERNEL=N	how long a kernel takes (10000)
 *	copy_ns=N		what any copy, fill, map, unmap takes (2000), and
 *	bytes_per_us=N		its speed on top (10000; 0: size does not matter)
 *	submit_ns=N		from the call to SUBMIT (2000)
 *	start_ns=N		from when nothing is in the way any more to START (0)
 *	flush_to_submit=1	nothing is submitted before a flush or a call that waits
 *	spin=1			the device thread spins the last 30 us
 *	enqueue_ns=N		busy time of each enqueueing call
 *	event_ns=N		the same, if it returns an event on a queue with profiling
 *	event_device_ns=N	added to start_ns of such a command
 *	query_ns=N		busy time of each clGetEventProfilingInfo
 *	clock_offset_ns=±N drift_ppm=±X	device clock = mono * (1 + drift_ppm / 1e6) + offset
 *	tick_ns=N		stamps are rounded down to its multiples
 *	jitter_ns=N		START and END stamps get 0…N added, from the event's number; END stays behind START
 *	jitter_seed=N		another sequence of these
 *	timer=0			clGetDeviceAndHostTimer and clGetHostTimer do not work
 *	no_profiling=1		no queue can have profiling
 *	profiling_unavailable_every=N	every Nth profiled event has no stamps,
 *	zero_stamps_every=N	all of them 0,
 *	reversed_stamps_every=N	START and END swapped
 *	queued_zero=1		QUEUED is 0
 *	queued_late=1		QUEUED and SUBMIT of a command with a wait list are 7 us and 4 us before its START (as NVIDIA's)
 *	fail_enqueue_every=N	every Nth correct enqueueing call gives CL_OUT_OF_RESOURCES and does nothing
 *	lost_after=N		after so many commands every call but retain and release gives CL_OUT_OF_RESOURCES
 *	event_limit=N		CL_OUT_OF_HOST_MEMORY when so many events are alive
 *	devices=N (1) name=TEXT log=FILE
 */
#include "fakecl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 4352

static const struct script defaults = {
	.ns = 10000,
	.copy_ns = 2000,
	.bytes_per_us = 10000,
	.submit_ns = 2000,
	.timer = 1,
	.devices = 1,
	.name = "fakecl",
};

struct script script;

#define KEY(key)                                                                                   \
	{                                                                                          \
#key, offsetof(struct script, key)                                                 \
	}

static const struct {
	const char *name;
	size_t at;
} keys[] = {
	KEY(ns),
	KEY(copy_ns),
	KEY(bytes_per_us),
	KEY(submit_ns),
	KEY(start_ns),
	KEY(flush_to_submit),
	KEY(spin),
	KEY(event_ns),
	KEY(event_device_ns),
	KEY(enqueue_ns),
	KEY(query_ns),
	KEY(tick_ns),
	KEY(jitter_ns),
	KEY(jitter_seed),
	KEY(timer),
	KEY(no_profiling),
	KEY(profiling_unavailable_every),
	KEY(zero_stamps_every),
	KEY(reversed_stamps_every),
	KEY(queued_zero),
	KEY(queued_late),
	KEY(fail_enqueue_every),
	KEY(lost_after),
	KEY(devices),
	KEY(event_limit),
};

static int number_read(const char *text, uint64_t *to)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	*to = strtoull(text, &end, 10);
	return errno || *end ? -1 : 0;
}

static int signed_read(const char *text, int64_t *to)
{
	char *end;

	errno = 0;
	*to = strtoll(text, &end, 10);
	return errno || *end || end == text ? -1 : 0;
}

static int real_read(const char *text, double *to)
{
	char *end;

	errno = 0;
	*to = strtod(text, &end);
	/* also false for what is not a number */
	return !errno && !*end && end != text && *to > -1e6 && *to < 1e6 ? 0 : -1;
}

static int text_read(const char *text, char *to, size_t room)
{
	size_t length = strlen(text);

	if (!length || length >= room)
		return -1;
	memcpy(to, text, length + 1);
	return 0;
}

static int kernel_read(const char *name, const char *value)
{
	unsigned int i = script.n_kernels;

	if (i == SCRIPT_KERNELS || text_read(name, script.kernels[i].name, NAME_MAX_LENGTH))
		return -1;
	script.n_kernels++;
	return number_read(value, &script.kernels[i].ns);
}

static int key_read(const char *key, const char *value)
{
	if (!strncmp(key, "ns:", 3))
		return kernel_read(key + 3, value);
	if (!strcmp(key, "clock_offset_ns"))
		return signed_read(value, &script.clock_offset_ns);
	if (!strcmp(key, "drift_ppm"))
		return real_read(value, &script.drift_ppm);
	if (!strcmp(key, "log"))
		return text_read(value, script.log, sizeof(script.log));
	if (!strcmp(key, "name"))
		return text_read(value, script.name, sizeof(script.name));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!strcmp(key, keys[i].name))
			return number_read(value,
					   (uint64_t *)(void *)((char *)&script + keys[i].at));
	}
	return -1;
}

static int word_read(const char *from, size_t length)
{
	char word[WORD_MAX];
	char *eq;

	if (length < sizeof(word)) {
		memcpy(word, from, length);
		word[length] = 0;
		eq = strchr(word, '=');
		if (eq) {
			*eq = 0;
			if (!key_read(word, eq + 1))
				return 0;
		}
	}
	fprintf(stderr, "fakecl: FAKECL: \"%.*s\" is not understood\n",
		(int)(length < 200 ? length : 200), from);
	return -1;
}

int script_read(const char *text)
{
	script = defaults;
	while (text && *text) {
		size_t length = strcspn(text, " ");

		if (length && word_read(text, length))
			return -1;
		text += length;
		text += strspn(text, " ");
	}
	if (script.devices && script.devices <= DEVICES_MAX)
		return 0;
	fprintf(stderr, "fakecl: FAKECL: devices is 1 to %d\n", DEVICES_MAX);
	return -1;
}

uint64_t script_kernel_ns(const char *name)
{
	for (unsigned int i = 0; i < script.n_kernels; i++) {
		if (!strcmp(script.kernels[i].name, name))
			return script.kernels[i].ns;
	}
	return script.ns;
}

uint64_t script_copy_ns(size_t bytes)
{
	return script.copy_ns + (script.bytes_per_us ? bytes * 1000 / script.bytes_per_us : 0);
}
