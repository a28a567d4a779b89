/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios that move data. */
#include "clplay.h"

#include <stdlib.h>
#include <string.h>

#define EDGE 16 /* of the boxes and images */

static unsigned long checksum(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	unsigned long sum = 5381;

	for (size_t i = 0; i < size; i++)
		sum = (sum * 33 + bytes[i]) & 0xffffffff;
	return sum;
}

static void bytes_fill(unsigned char *to, size_t size, long seed)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)((i * 7 + (size_t)seed * 13) & 0xff);
}

static void copies_linear(struct play *p, unsigned char *host, long round)
{
	const cl_uint pattern = 0x01020304;

	bytes_fill(host, BYTES, round);
	DO(clEnqueueWriteBuffer, p->queue, p->a, CL_TRUE, 0, BYTES, host, 0, NULL, NULL);
	DO(clEnqueueCopyBuffer, p->queue, p->a, p->b, 256, 1024, 2048, 0, NULL, NULL);
	DO(clEnqueueFillBuffer, p->queue, p->b, &pattern, sizeof(pattern), 4096, 512, 0, NULL,
	   NULL);
	memset(host, 0, BYTES);
	DO(clEnqueueReadBuffer, p->queue, p->b, CL_FALSE, 0, BYTES, host, 0, NULL, NULL);
	DO(clFinish, p->queue);
	printf("linear %lx\n", checksum(host, BYTES));
}

static void copies_boxes(struct play *p, unsigned char *host)
{
	const size_t zero[3] = { 0, 0, 0 }, at[3] = { 4, 2, 1 }, region[3] = { 8, 4, 2 };

	DO(clEnqueueWriteBufferRect, p->queue, p->a, CL_TRUE, at, zero, region, EDGE, EDGE * EDGE,
	   8, 0, host, 0, NULL, NULL);
	DO(clEnqueueCopyBufferRect, p->queue, p->a, p->b, at, zero, region, EDGE, EDGE * EDGE, EDGE,
	   EDGE * EDGE, 0, NULL, NULL);
	memset(host, 0, BYTES);
	DO(clEnqueueReadBufferRect, p->queue, p->b, CL_TRUE, zero, zero, region, EDGE, EDGE * EDGE,
	   EDGE, EDGE * EDGE, host, 0, NULL, NULL);
	printf("boxes %lx\n", checksum(host, BYTES));
}

static void copies_maps(struct play *p)
{
	cl_mem_migration_flags to_host = CL_MIGRATE_MEM_OBJECT_HOST;
	unsigned char *mapped;
	cl_int rc;

	mapped = clEnqueueMapBuffer(p->queue, p->b, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 512, 1024,
				    0, NULL, NULL, &rc);
	tell("clEnqueueMapBuffer", rc);
	if (mapped) {
		mapped[0]++;
		printf("mapped %lx\n", checksum(mapped, 1024));
		DO(clEnqueueUnmapMemObject, p->queue, p->b, mapped, 0, NULL, NULL);
	}
	DO(clEnqueueMigrateMemObjects, p->queue, 1, &p->b, to_host, 0, NULL, NULL);
	DO(clFinish, p->queue);
	printf("sum %lx\n", (unsigned long)play_sum(p, p->queue, p->a) & 0xffff);
}

static void copies_sub(struct play *p)
{
	const cl_buffer_region region = { 1024, 1024 };
	unsigned char host[64];
	cl_int rc;
	cl_mem sub = clCreateSubBuffer(p->b, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
				       &region, &rc);

	tell("clCreateSubBuffer", rc);
	DO(clEnqueueReadBuffer, p->queue, sub, CL_TRUE, 16, sizeof(host), host, 0, NULL, NULL);
	printf("sub %lx\n", checksum(host, sizeof(host)));
	DO(clReleaseMemObject, sub);
}

void scene_copies(long n)
{
	unsigned char *host = malloc(BYTES);
	struct play p;

	play_open(&p, 0);
	for (long i = 0; host && i < n; i++) {
		copies_linear(&p, host, i);
		copies_boxes(&p, host);
		copies_maps(&p);
		copies_sub(&p);
	}
	play_close(&p);
	free(host);
}

/* ---- images ---- */

static cl_mem image_make(struct play *p)
{
	const cl_image_format format = { CL_RGBA, CL_UNORM_INT8 };
	const cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D,
				     .image_width = EDGE,
				     .image_height = EDGE };
	cl_int rc;
	cl_mem image = clCreateImage(p->context, CL_MEM_READ_WRITE, &format, &desc, NULL, &rc);

	tell("clCreateImage", rc);
	return image;
}

static void image_map(struct play *p, cl_mem image)
{
	const size_t zero[3] = { 0, 0, 0 }, all[3] = { EDGE, EDGE, 1 };
	unsigned long sum = 0;
	size_t pitch = 0;
	cl_int rc;
	char *data = clEnqueueMapImage(p->queue, image, CL_TRUE, CL_MAP_READ, zero, all, &pitch,
				       NULL, 0, NULL, NULL, &rc);

	tell("clEnqueueMapImage", rc);
	if (!data)
		return;
	for (size_t y = 0; y < EDGE; y++)
		sum ^= checksum(data + y * pitch, (size_t)EDGE * 4);
	printf("mapped %lx\n", sum);
	DO(clEnqueueUnmapMemObject, p->queue, image, data, 0, NULL, NULL);
}

static void images_round(struct play *p, cl_mem x, cl_mem y, long round)
{
	const size_t zero[3] = { 0, 0, 0 }, at[3] = { 2, 3, 0 };
	const size_t all[3] = { EDGE, EDGE, 1 }, part[3] = { 8, 4, 1 };
	const float colour[4] = { 0, 1, 0, 1 };
	unsigned char host[EDGE * EDGE * 4];

	bytes_fill(host, sizeof(host), round);
	DO(clEnqueueWriteImage, p->queue, x, CL_TRUE, zero, all, 0, 0, host, 0, NULL, NULL);
	DO(clEnqueueFillImage, p->queue, y, colour, zero, all, 0, NULL, NULL);
	DO(clEnqueueCopyImage, p->queue, x, y, at, zero, part, 0, NULL, NULL);
	DO(clEnqueueCopyImageToBuffer, p->queue, x, p->a, zero, part, 128, 0, NULL, NULL);
	DO(clEnqueueCopyBufferToImage, p->queue, p->a, y, 128, at, part, 0, NULL, NULL);
	memset(host, 0, sizeof(host));
	DO(clEnqueueReadImage, p->queue, y, CL_TRUE, zero, all, 0, 0, host, 0, NULL, NULL);
	printf("image %lx\n", checksum(host, sizeof(host)));
	image_map(p, y);
}

void scene_images(long n)
{
	cl_bool there = CL_FALSE;
	struct play p;
	cl_mem x, y;

	play_open(&p, 0);
	DO(clGetDeviceInfo, p.device, CL_DEVICE_IMAGE_SUPPORT, sizeof(there), &there, NULL);
	if (!there) {
		printf("no images\n");
		play_close(&p);
		return;
	}
	x = image_make(&p);
	y = image_make(&p);
	for (long i = 0; i < n; i++)
		images_round(&p, x, y, i);
	DO(clFinish, p.queue);
	DO(clReleaseMemObject, x);
	DO(clReleaseMemObject, y);
	play_close(&p);
}

/* ---- shared memory ---- */

static void svm_round(struct play *p, unsigned char *x, unsigned char *y, long round)
{
	const cl_uint pattern = 0x0a0b0c0d + (cl_uint)round;

	DO(clEnqueueSVMMemFill, p->queue, x, &pattern, sizeof(pattern), BYTES, 0, NULL, NULL);
	DO(clEnqueueSVMMemcpy, p->queue, CL_TRUE, y, x, BYTES / 2, 0, NULL, NULL);
	DO(clEnqueueSVMMap, p->queue, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, y, BYTES, 0, NULL, NULL);
	memset(y + BYTES / 2, (int)round, BYTES / 2);
	printf("svm %lx\n", checksum(y, BYTES));
	DO(clEnqueueSVMUnmap, p->queue, y, 0, NULL, NULL);
	DO(clFinish, p->queue);
	DO(clSetKernelArgSVMPointer, p->kernels[0], 0, x);
	play_launch(p, p->queue, 0, 0, NULL, NULL);
	DO(clFinish, p->queue);
}

void scene_svm(long n)
{
	cl_device_svm_capabilities svm = 0;
	unsigned char *x, *y;
	struct play p;

	play_open(&p, 0);
	if (clGetDeviceInfo(p.device, CL_DEVICE_SVM_CAPABILITIES, sizeof(svm), &svm, NULL) ||
	    !(svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER)) {
		printf("no svm\n");
		play_close(&p);
		return;
	}
	x = clSVMAlloc(p.context, CL_MEM_READ_WRITE, BYTES, 0);
	y = clSVMAlloc(p.context, CL_MEM_READ_WRITE, BYTES, 0);
	for (long i = 0; x && y && i < n; i++)
		svm_round(&p, x, y, i);
	clSVMFree(p.context, x);
	clSVMFree(p.context, y);
	play_close(&p);
}
