/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, fills and maps of images. */
#include "fakecl_api.h"

#include <string.h>

/* A box of an image, settled by image_box(): where it starts and its pitches; of linear memory likewise. */
struct place {
	char *data;
	size_t row, slice;
};

static cl_int image_check(cl_context context, cl_mem image)
{
	if (!object_alive(image, KIND_MEM) || image->type == CL_MEM_OBJECT_BUFFER)
		return CL_INVALID_MEM_OBJECT;
	return image->context == context ? CL_SUCCESS : CL_INVALID_CONTEXT;
}

static bool layered(cl_mem image)
{
	return image->type == CL_MEM_OBJECT_IMAGE1D_ARRAY;
}

static void image_extent(cl_mem image, size_t extent[3])
{
	const cl_image_desc *d = &image->desc;

	extent[0] = d->image_width;
	extent[1] = extent[2] = 1;
	if (image->type == CL_MEM_OBJECT_IMAGE2D || image->type == CL_MEM_OBJECT_IMAGE3D ||
	    image->type == CL_MEM_OBJECT_IMAGE2D_ARRAY)
		extent[1] = d->image_height;
	if (image->type == CL_MEM_OBJECT_IMAGE3D)
		extent[2] = d->image_depth;
	if (image->type == CL_MEM_OBJECT_IMAGE2D_ARRAY)
		extent[2] = d->image_array_size;
	if (layered(image))
		extent[1] = d->image_array_size;
}

static cl_int image_box(cl_mem image, const size_t *origin, const size_t *region, struct place *to)
{
	size_t extent[3];

	if (!origin || !region)
		return CL_INVALID_VALUE;
	image_extent(image, extent);
	for (int i = 0; i < 3; i++) {
		if (!region[i] || origin[i] >= extent[i] || region[i] > extent[i] - origin[i])
			return CL_INVALID_VALUE;
	}
	to->row = layered(image) ? image->slice_pitch : image->row_pitch;
	to->slice = image->slice_pitch;
	to->data = image->data + origin[0] * image->element + origin[1] * to->row +
		   origin[2] * to->slice;
	return CL_SUCCESS;
}

/* Pitches of linear memory that holds a box of the image. */
static cl_int linear_box(cl_mem image, const size_t *region, struct place *to)
{
	size_t row = region[0] * image->element;

	if (!to->data)
		return CL_INVALID_VALUE;
	if (!to->row)
		to->row = row;
	if (!to->slice)
		to->slice = to->row * region[1];
	return to->row < row || to->slice < to->row * region[1] ? CL_INVALID_VALUE : CL_SUCCESS;
}

static struct task task_make(cl_command_type type, const char *kind, void *a, void *b)
{
	return (struct task){ .type = type, .kind = kind, .name = "-", .held = { a, b } };
}

static cl_int place_enqueue(const struct call *call, struct task *task, const struct place *dst,
			    const struct place *src, const size_t row_region[3])
{
	memcpy(task->box.region, row_region, sizeof(task->box.region));
	task->has_box = true;
	task->box.dst = dst->data;
	task->box.dst_pitch[0] = dst->row;
	task->box.dst_pitch[1] = dst->slice;
	if (src) {
		task->box.src = src->data;
		task->box.src_pitch[0] = src->row;
		task->box.src_pitch[1] = src->slice;
	}
	task->ns = script_copy_ns(row_region[0] * row_region[1] * row_region[2]);
	return call_enqueue(call, task);
}

static cl_int host_enqueue(const struct call *call, cl_mem image, struct task *task,
			   const size_t *origin, const size_t *region, struct place host)
{
	struct place device;
	cl_int rc = call_check(call);

	if (!rc)
		rc = image_check(call->queue->context, image);
	if (!rc)
		rc = image_box(image, origin, region, &device);
	if (!rc)
		rc = linear_box(image, region, &host);
	if (rc)
		return rc;
	const size_t bytes[3] = { region[0] * image->element, region[1], region[2] };

	if (task->type == CL_COMMAND_READ_IMAGE)
		return place_enqueue(call, task, &host, &device, bytes);
	return place_enqueue(call, task, &device, &host, bytes);
}

cl_int fake_clEnqueueReadImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
			       const size_t *origin, const size_t *region, size_t row, size_t slice,
			       void *to, cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_READ_IMAGE, "read_image", image, NULL);
	const struct place host = { to, row, slice };

	WITH_LOCK;
	return host_enqueue(&call, image, &task, origin, region, host);
}

cl_int fake_clEnqueueWriteImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
				const size_t *origin, const size_t *region, size_t row,
				size_t slice, const void *from, cl_uint n, const cl_event *list,
				cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_WRITE_IMAGE, "write_image", image, NULL);
	const struct place host = { (char *)(uintptr_t)from, row, slice };

	WITH_LOCK;
	return host_enqueue(&call, image, &task, origin, region, host);
}

static unsigned char unorm8(float f)
{
	return (unsigned char)(f <= 0 ? 0 : f >= 1 ? 255 : f * 255 + 0.5f);
}

/* Floats to UNORM_INT8 and FLOAT, integers as they are cut to size; other formats get zeros. */
static void colour_set(struct box *box, cl_mem image, const void *colour)
{
	size_t n, size;
	float f[4];

	memcpy(f, colour, sizeof(f));
	box->pattern_size = image->element;
	switch (image->format.image_channel_data_type) {
	case CL_UNORM_INT8:
		for (n = 0; n < image->element; n++)
			box->pattern[n] = (char)unorm8(f[n]);
		if (image->format.image_channel_order == CL_BGRA) {
			box->pattern[0] = (char)unorm8(f[2]);
			box->pattern[2] = (char)unorm8(f[0]);
		}
		break;
	case CL_SIGNED_INT8:
	case CL_UNSIGNED_INT8:
		for (n = 0; n < image->element; n++)
			box->pattern[n] = ((const char *)colour)[4 * n];
		break;
	case CL_FLOAT:
	case CL_SIGNED_INT32:
	case CL_UNSIGNED_INT32:
		size = image->element;
		memcpy(box->pattern, colour, size);
		break;
	default:
		break;
	}
}

cl_int fake_clEnqueueFillImage(cl_command_queue queue, cl_mem image, const void *colour,
			       const size_t *origin, const size_t *region, cl_uint n,
			       const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_FILL_IMAGE, "fill_image", image, NULL);
	struct place device;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = image_check(queue->context, image);
	if (!rc)
		rc = colour ? image_box(image, origin, region, &device) : CL_INVALID_VALUE;
	if (rc)
		return rc;
	const size_t bytes[3] = { region[0] * image->element, region[1], region[2] };

	colour_set(&task.box, image, colour);
	return place_enqueue(&call, &task, &device, NULL, bytes);
}

cl_int fake_clEnqueueCopyImage(cl_command_queue queue, cl_mem src, cl_mem dst,
			       const size_t *src_origin, const size_t *dst_origin,
			       const size_t *region, cl_uint n, const cl_event *list,
			       cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task = task_make(CL_COMMAND_COPY_IMAGE, "copy_image", src, dst);
	struct place from, to;
	cl_int rc;

	WITH_LOCK;
	rc = call_check(&call);
	if (!rc)
		rc = image_check(queue->context, src);
	if (!rc)
		rc = image_check(queue->context, dst);
	if (!rc && memcmp(&src->format, &dst->format, sizeof(src->format)))
		rc = CL_IMAGE_FORMAT_MISMATCH;
	if (!rc)
		rc = image_box(src, src_origin, region, &from);
	if (!rc)
		rc = image_box(dst, dst_origin, region, &to);
	if (rc)
		return rc;
	const size_t bytes[3] = { region[0] * src->element, region[1], region[2] };

	return place_enqueue(&call, &task, &to, &from, bytes);
}

/* Between an image and a buffer, whose rows lie one behind the other. */
static cl_int mixed_enqueue(const struct call *call, struct task *task, cl_mem image, cl_mem buffer,
			    size_t offset, const size_t *origin, const size_t *region)
{
	struct place device, linear = { 0 };
	cl_int rc = call_check(call);

	if (!rc)
		rc = image_check(call->queue->context, image);
	if (!rc && (!object_alive(buffer, KIND_MEM) || buffer->type != CL_MEM_OBJECT_BUFFER))
		rc = CL_INVALID_MEM_OBJECT;
	if (!rc && buffer->context != image->context)
		rc = CL_INVALID_CONTEXT;
	if (!rc)
		rc = image_box(image, origin, region, &device);
	if (rc)
		return rc;
	const size_t bytes[3] = { region[0] * image->element, region[1], region[2] };

	if (!buffer_holds(buffer, offset, bytes[0] * bytes[1] * bytes[2]))
		return CL_INVALID_VALUE;
	linear.data = buffer->data + offset;
	linear.row = bytes[0];
	linear.slice = bytes[0] * bytes[1];
	if (task->type == CL_COMMAND_COPY_IMAGE_TO_BUFFER)
		return place_enqueue(call, task, &linear, &device, bytes);
	return place_enqueue(call, task, &device, &linear, bytes);
}

cl_int fake_clEnqueueCopyImageToBuffer(cl_command_queue queue, cl_mem image, cl_mem buffer,
				       const size_t *origin, const size_t *region, size_t offset,
				       cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task =
		task_make(CL_COMMAND_COPY_IMAGE_TO_BUFFER, "copy_image_to_buffer", image, buffer);

	WITH_LOCK;
	return mixed_enqueue(&call, &task, image, buffer, offset, origin, region);
}

cl_int fake_clEnqueueCopyBufferToImage(cl_command_queue queue, cl_mem buffer, cl_mem image,
				       size_t offset, const size_t *origin, const size_t *region,
				       cl_uint n, const cl_event *list, cl_event *event)
{
	const struct call call = CALL(queue, n, list, event, CL_FALSE);
	struct task task =
		task_make(CL_COMMAND_COPY_BUFFER_TO_IMAGE, "copy_buffer_to_image", image, buffer);

	WITH_LOCK;
	return mixed_enqueue(&call, &task, image, buffer, offset, origin, region);
}

static cl_int map_check(const struct call *call, cl_mem image, cl_map_flags flags,
			const size_t *row, const size_t *slice)
{
	cl_int rc = call_check(call);

	if (!rc)
		rc = image_check(call->queue->context, image);
	if (rc)
		return rc;
	if (!flags || flags >> 3 || !row)
		return CL_INVALID_VALUE;
	if (!slice &&
	    (image->type == CL_MEM_OBJECT_IMAGE3D || image->type == CL_MEM_OBJECT_IMAGE2D_ARRAY ||
	     image->type == CL_MEM_OBJECT_IMAGE1D_ARRAY))
		return CL_INVALID_VALUE;
	return CL_SUCCESS;
}

void *fake_clEnqueueMapImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
			     cl_map_flags flags, const size_t *origin, const size_t *region,
			     size_t *row, size_t *slice, cl_uint n, const cl_event *list,
			     cl_event *event, cl_int *error)
{
	const struct call call = CALL(queue, n, list, event, blocking);
	struct task task = task_make(CL_COMMAND_MAP_IMAGE, "map_image", image, NULL);
	struct place device;
	cl_int rc;

	WITH_LOCK;
	rc = map_check(&call, image, flags, row, slice);
	if (!rc)
		rc = image_box(image, origin, region, &device);
	if (rc)
		return fail(error, rc);
	task.ns = script_copy_ns(region[0] * region[1] * region[2] * image->element);
	rc = call_enqueue(&call, &task);
	if (rc)
		return fail(error, rc);
	image->maps++;
	*row = device.row;
	if (slice)
		*slice = image->type == CL_MEM_OBJECT_IMAGE2D ? 0 : device.slice;
	fail(error, CL_SUCCESS);
	return device.data;
}
