/* SPDX-License-Identifier: Apache-2.0 */
/* What the scenarios of clplay share. */
#ifndef CLPLAY_H
#define CLPLAY_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define KERNELS 3
#define FLOATS	4096
#define BYTES	(FLOATS * sizeof(float))

/* A context with everything that most scenarios need. */
struct play {
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_command_queue queue;
	cl_program program;
	cl_kernel kernels[KERNELS]; /* add, mul, norm; all arguments are set */
	cl_mem a, b;		    /* BYTES each; a is the kernels' */
};

/* Prints what a call returned if it is an error, and makes the program end with 1. */
void tell(const char *call, cl_int rc);
#define DO(function, ...) tell(#function, function(__VA_ARGS__))

void play_open(struct play *p, cl_command_queue_properties properties);
void play_close(struct play *p);
void play_kernels(struct play *p);
cl_command_queue play_queue(struct play *p, cl_command_queue_properties properties);
/* Number `i` of a fixed sequence of kernels and sizes. */
void play_launch(struct play *p, cl_command_queue queue, long i, cl_uint n, const cl_event *list,
		 cl_event *event);
/* A sum of what the buffer holds, read by a blocking call. */
long play_sum(struct play *p, cl_command_queue queue, cl_mem mem);

void scene_inorder(long n);
void scene_decode(long n);
void scene_steps(long n);
void scene_outoforder(long n);
void scene_queues(long n);
void scene_threads(long n);
void scene_events(long n);
void scene_stamps(long n);
void scene_callbacks(long n);
void scene_early(long n);
void scene_noexit(long n);
void scene_userevents(long n);
void scene_million(long n);

void scene_copies(long n);
void scene_images(long n);
void scene_svm(long n);

void scene_binary(long n);
void scene_cmdbuf(long n);
void scene_queueinfo(long n);
void scene_errors(long n);
void scene_double(long n);
void scene_fork(long n);
void scene_dlopen(long n);

#endif
