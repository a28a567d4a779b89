/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers, images, samplers, shared memory: all of it host memory. */
#include "fakecl_api.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX ((size_t)1 << 30)
#define ALIGN	   128

static cl_int flags_check(cl_mem_flags flags, const void *host)
{
	const cl_mem_flags use = CL_MEM_USE_HOST_PTR;
	const cl_mem_flags other = CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR;
	const cl_mem_flags access =
		flags & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY);
	const cl_mem_flags host_access =
		flags & (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS);

	if ((access & (access - 1)) || (host_access & (host_access - 1)) ||
	    ((flags & use) && (flags & other)) || flags >> 10)
		return CL_INVALID_VALUE;
	if (!host != !(flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
		return CL_INVALID_HOST_PTR;
	return CL_SUCCESS;
}

static cl_mem mem_make(cl_context context, cl_mem_flags flags, size_t size, void *host)
{
	cl_mem mem = object_new(KIND_MEM);

	if (!mem)
		return NULL;
	mem->owned = !(flags & CL_MEM_USE_HOST_PTR);
	mem->data = mem->owned ? aligned_alloc(ALIGN, (size + ALIGN - 1) / ALIGN * ALIGN) : host;
	if (!mem->data) {
		object_free(mem);
		return NULL;
	}
	if (mem->owned && host)
		memcpy(mem->data, host, size);
	else if (mem->owned)
		memset(mem->data, 0, size);
	mem->context = context;
	mem->type = CL_MEM_OBJECT_BUFFER;
	mem->flags = flags & 7 ? flags : flags | CL_MEM_READ_WRITE;
	mem->size = size;
	mem->host_ptr = mem->owned ? NULL : host;
	object_use(context);
	return mem;
}

void mem_destroy(cl_mem mem)
{
	if (mem->owned)
		free(mem->data);
	object_put(mem->parent);
	object_put(mem->context);
}

static cl_int context_check(cl_context context)
{
	if (!object_alive(context, KIND_CONTEXT))
		return CL_INVALID_CONTEXT;
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

cl_mem fake_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
			   cl_int *error)
{
	cl_mem mem;
	cl_int rc;

	WITH_LOCK;
	rc = context_check(context);
	if (!rc && (!size || size > BUFFER_MAX))
		rc = CL_INVALID_BUFFER_SIZE;
	if (!rc)
		rc = flags_check(flags, host);
	if (rc)
		return fail(error, rc);
	mem = mem_make(context, flags, size, host);
	fail(error, mem ? CL_SUCCESS : CL_MEM_OBJECT_ALLOCATION_FAILURE);
	return mem;
}

cl_mem fake_clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties,
					 cl_mem_flags flags, size_t size, void *host, cl_int *error)
{
	if (properties && *properties)
		return fail(error, CL_INVALID_PROPERTY);
	return fake_clCreateBuffer(context, flags, size, host, error);
}

static cl_int region_check(cl_mem buffer, cl_buffer_create_type type, const cl_buffer_region *r)
{
	if (!object_alive(buffer, KIND_MEM) || buffer->type != CL_MEM_OBJECT_BUFFER ||
	    buffer->parent)
		return CL_INVALID_MEM_OBJECT;
	if (type != CL_BUFFER_CREATE_TYPE_REGION || !r)
		return CL_INVALID_VALUE;
	if (!r->size)
		return CL_INVALID_BUFFER_SIZE;
	if (!buffer_holds(buffer, r->origin, r->size))
		return CL_INVALID_VALUE;
	return r->origin % ALIGN ? CL_MISALIGNED_SUB_BUFFER_OFFSET : CL_SUCCESS;
}

cl_mem fake_clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type,
			      const void *info, cl_int *error)
{
	const cl_buffer_region *r = info;
	cl_mem mem;
	cl_int rc;

	WITH_LOCK;
	rc = region_check(buffer, type, r);
	if (rc || driver_lost())
		return fail(error, rc ? rc : CL_OUT_OF_RESOURCES);
	mem = object_new(KIND_MEM);
	if (!mem)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	mem->context = buffer->context;
	mem->parent = buffer;
	mem->type = CL_MEM_OBJECT_BUFFER;
	mem->flags = flags & 7 ? flags : flags | (buffer->flags & 7);
	mem->size = r->size;
	mem->origin = r->origin;
	mem->data = buffer->data + r->origin;
	mem->host_ptr = buffer->host_ptr ? mem->data : NULL;
	object_use(buffer);
	object_use(buffer->context);
	fail(error, CL_SUCCESS);
	return mem;
}

/* ---- images ---- */

static size_t channels(cl_channel_order order)
{
	switch (order) {
	case CL_R:
	case CL_A:
	case CL_LUMINANCE:
	case CL_INTENSITY:
		return 1;
	case CL_RG:
	case CL_RA:
		return 2;
	case CL_RGBA:
	case CL_BGRA:
	case CL_ARGB:
		return 4;
	default:
		return 0;
	}
}

static size_t channel_size(cl_channel_type type)
{
	switch (type) {
	case CL_SNORM_INT8:
	case CL_UNORM_INT8:
	case CL_SIGNED_INT8:
	case CL_UNSIGNED_INT8:
		return 1;
	case CL_SNORM_INT16:
	case CL_UNORM_INT16:
	case CL_SIGNED_INT16:
	case CL_UNSIGNED_INT16:
	case CL_HALF_FLOAT:
		return 2;
	case CL_SIGNED_INT32:
	case CL_UNSIGNED_INT32:
	case CL_FLOAT:
		return 4;
	default:
		return 0;
	}
}

static bool desc_valid(const cl_image_desc *d)
{
	bool buffer = d->image_type == CL_MEM_OBJECT_IMAGE1D_BUFFER;

	if (d->image_type < CL_MEM_OBJECT_IMAGE2D || d->image_type > CL_MEM_OBJECT_IMAGE1D_BUFFER)
		return false;
	if (!d->image_width || d->image_width > 65536 || d->image_height > 16384 ||
	    d->image_depth > 2048 || d->image_array_size > 2048)
		return false;
	if (d->num_mip_levels || d->num_samples)
		return false;
	if (d->image_type <= CL_MEM_OBJECT_IMAGE2D_ARRAY && !d->image_height)
		return false;
	return d->image_type == CL_MEM_OBJECT_IMAGE2D || buffer == (d->mem_object != NULL);
}

static size_t image_layers(const cl_image_desc *d)
{
	switch (d->image_type) {
	case CL_MEM_OBJECT_IMAGE3D:
		return d->image_depth ? d->image_depth : 1;
	case CL_MEM_OBJECT_IMAGE2D_ARRAY:
	case CL_MEM_OBJECT_IMAGE1D_ARRAY:
		return d->image_array_size ? d->image_array_size : 1;
	default:
		return 1;
	}
}

static void image_shape(cl_mem mem, const cl_image_format *format, const cl_image_desc *d,
			size_t row, size_t slice)
{
	mem->type = d->image_type;
	mem->format = *format;
	mem->desc = *d;
	mem->element = channels(format->image_channel_order) *
		       channel_size(format->image_channel_data_type);
	mem->row_pitch = row;
	mem->slice_pitch = slice;
}

static cl_mem image_make(cl_context context, cl_mem_flags flags, const cl_image_format *format,
			 const cl_image_desc *d, void *host)
{
	size_t element = channels(format->image_channel_order) *
			 channel_size(format->image_channel_data_type);
	size_t row = d->image_row_pitch ? d->image_row_pitch : d->image_width * element;
	size_t height = d->image_height && d->image_type <= CL_MEM_OBJECT_IMAGE2D_ARRAY
				? d->image_height
				: 1;
	size_t slice = d->image_slice_pitch ? d->image_slice_pitch : row * height;
	cl_mem mem, parent = d->mem_object;

	if (!parent) {
		mem = mem_make(context, flags, slice * image_layers(d), host);
	} else {
		mem = object_new(KIND_MEM);
		if (!mem)
			return NULL;
		mem->context = context;
		mem->parent = parent;
		mem->flags = flags & 7 ? flags : flags | CL_MEM_READ_WRITE;
		mem->data = parent->data;
		mem->size = slice;
		object_use(parent);
		object_use(context);
	}
	if (mem)
		image_shape(mem, format, d, row, slice);
	return mem;
}

static cl_int image_check(cl_context context, cl_mem_flags flags, const cl_image_format *format,
			  const cl_image_desc *d, const void *host)
{
	cl_int rc = context_check(context);
	size_t element, row;

	if (rc)
		return rc;
	if (!format || !channels(format->image_channel_order) ||
	    !channel_size(format->image_channel_data_type))
		return CL_INVALID_IMAGE_FORMAT_DESCRIPTOR;
	if (!d || !desc_valid(d))
		return CL_INVALID_IMAGE_DESCRIPTOR;
	element = channels(format->image_channel_order) *
		  channel_size(format->image_channel_data_type);
	row = d->image_width * element;
	if (d->image_row_pitch && (d->image_row_pitch < row || d->image_row_pitch % element))
		return CL_INVALID_IMAGE_DESCRIPTOR;
	if (d->mem_object &&
	    !(object_alive(d->mem_object, KIND_MEM) &&
	      d->mem_object->size >= (d->image_height && d->image_row_pitch
					      ? d->image_row_pitch * d->image_height
					      : row)))
		return CL_INVALID_IMAGE_DESCRIPTOR;
	return d->mem_object ? CL_SUCCESS : flags_check(flags, host);
}

cl_mem fake_clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *format,
			  const cl_image_desc *desc, void *host, cl_int *error)
{
	cl_mem mem;
	cl_int rc;

	WITH_LOCK;
	rc = image_check(context, flags, format, desc, host);
	if (rc)
		return fail(error, rc);
	mem = image_make(context, flags, format, desc, host);
	fail(error, mem ? CL_SUCCESS : CL_MEM_OBJECT_ALLOCATION_FAILURE);
	return mem;
}

cl_mem fake_clCreateImageWithProperties(cl_context context, const cl_mem_properties *properties,
					cl_mem_flags flags, const cl_image_format *format,
					const cl_image_desc *desc, void *host, cl_int *error)
{
	if (properties && *properties)
		return fail(error, CL_INVALID_PROPERTY);
	return fake_clCreateImage(context, flags, format, desc, host, error);
}

cl_mem fake_clCreateImage2D(cl_context context, cl_mem_flags flags, const cl_image_format *format,
			    size_t width, size_t height, size_t pitch, void *host, cl_int *error)
{
	const cl_image_desc d = { .image_type = CL_MEM_OBJECT_IMAGE2D,
				  .image_width = width,
				  .image_height = height,
				  .image_row_pitch = pitch };

	return fake_clCreateImage(context, flags, format, &d, host, error);
}

cl_mem fake_clCreateImage3D(cl_context context, cl_mem_flags flags, const cl_image_format *format,
			    size_t width, size_t height, size_t depth, size_t row, size_t slice,
			    void *host, cl_int *error)
{
	const cl_image_desc d = { .image_type = CL_MEM_OBJECT_IMAGE3D,
				  .image_width = width,
				  .image_height = height,
				  .image_depth = depth,
				  .image_row_pitch = row,
				  .image_slice_pitch = slice };

	return fake_clCreateImage(context, flags, format, &d, host, error);
}

cl_int fake_clGetSupportedImageFormats(cl_context context, cl_mem_flags flags,
				       cl_mem_object_type type, cl_uint room, cl_image_format *to,
				       cl_uint *n)
{
	static const cl_image_format formats[] = {
		{ CL_RGBA, CL_UNORM_INT8 }, { CL_RGBA, CL_HALF_FLOAT }, { CL_RGBA, CL_FLOAT },
		{ CL_R, CL_FLOAT },	    { CL_R, CL_HALF_FLOAT },	{ CL_R, CL_UNSIGNED_INT32 },
	};
	const cl_uint all = sizeof(formats) / sizeof(formats[0]);

	(void)flags;
	WITH_LOCK;
	if (!object_alive(context, KIND_CONTEXT))
		return CL_INVALID_CONTEXT;
	if (type < CL_MEM_OBJECT_IMAGE2D || type > CL_MEM_OBJECT_IMAGE1D_BUFFER || (to && !room))
		return CL_INVALID_VALUE;
	if (to)
		memcpy(to, formats, (room < all ? room : all) * sizeof(formats[0]));
	if (n)
		*n = all;
	return CL_SUCCESS;
}

cl_int fake_clGetImageInfo(cl_mem mem, cl_image_info what, size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(mem, KIND_MEM) || mem->type == CL_MEM_OBJECT_BUFFER)
		return CL_INVALID_MEM_OBJECT;
	switch (what) {
	case CL_IMAGE_FORMAT:
		return answer(a, &mem->format, sizeof(mem->format));
	case CL_IMAGE_ELEMENT_SIZE:
		return answer_size(a, mem->element);
	case CL_IMAGE_ROW_PITCH:
		return answer_size(a, mem->row_pitch);
	case CL_IMAGE_SLICE_PITCH:
		return answer_size(a, image_layers(&mem->desc) > 1 ? mem->slice_pitch : 0);
	case CL_IMAGE_WIDTH:
		return answer_size(a, mem->desc.image_width);
	case CL_IMAGE_HEIGHT:
		return answer_size(a, mem->desc.image_height);
	case CL_IMAGE_DEPTH:
		return answer_size(a, mem->desc.image_depth);
	case CL_IMAGE_ARRAY_SIZE:
		return answer_size(a, mem->desc.image_array_size);
	case CL_IMAGE_NUM_MIP_LEVELS:
	case CL_IMAGE_NUM_SAMPLES:
		return answer_uint(a, 0);
	default:
		return CL_INVALID_VALUE;
	}
}

/* ---- all of them ---- */

cl_int fake_clRetainMemObject(cl_mem mem)
{
	return object_retain(mem, KIND_MEM, CL_INVALID_MEM_OBJECT);
}

cl_int fake_clReleaseMemObject(cl_mem mem)
{
	return object_release(mem, KIND_MEM, CL_INVALID_MEM_OBJECT);
}

cl_int fake_clGetMemObjectInfo(cl_mem mem, cl_mem_info what, size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(mem, KIND_MEM))
		return CL_INVALID_MEM_OBJECT;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_MEM_TYPE:
		return answer_uint(a, mem->type);
	case CL_MEM_FLAGS:
		return answer_ulong(a, mem->flags);
	case CL_MEM_SIZE:
		return answer_size(a, mem->size);
	case CL_MEM_HOST_PTR:
		return answer_pointer(a, mem->host_ptr);
	case CL_MEM_MAP_COUNT:
		return answer_uint(a, mem->maps);
	case CL_MEM_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)mem->o.refs);
	case CL_MEM_CONTEXT:
		return answer_pointer(a, mem->context);
	case CL_MEM_ASSOCIATED_MEMOBJECT:
		return answer_pointer(a, mem->parent);
	case CL_MEM_OFFSET:
		return answer_size(a, mem->origin);
	case CL_MEM_USES_SVM_POINTER:
		return answer_uint(a, CL_FALSE);
	default:
		return CL_INVALID_VALUE;
	}
}

cl_int fake_clSetMemObjectDestructorCallback(cl_mem mem, void(CL_CALLBACK *call)(cl_mem, void *),
					     void *data)
{
	(void)call;
	(void)data;
	WITH_LOCK;
	return object_alive(mem, KIND_MEM) ? CL_OUT_OF_RESOURCES : CL_INVALID_MEM_OBJECT;
}

cl_mem fake_clCreatePipe(cl_context context, cl_mem_flags flags, cl_uint packet, cl_uint max,
			 const cl_pipe_properties *properties, cl_int *error)
{
	(void)context;
	(void)flags;
	(void)packet;
	(void)max;
	(void)properties;
	return fail(error, CL_INVALID_OPERATION);
}

cl_int fake_clGetPipeInfo(cl_mem pipe, cl_pipe_info what, size_t room, void *to, size_t *size)
{
	(void)pipe;
	(void)what;
	(void)room;
	(void)to;
	(void)size;
	return CL_INVALID_MEM_OBJECT;
}

void *fake_clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
	size_t align = alignment > ALIGN ? alignment : ALIGN;

	WITH_LOCK;
	if (context_check(context) || !size || size > BUFFER_MAX || (alignment & (alignment - 1)) ||
	    (flags & CL_MEM_SVM_ATOMICS))
		return NULL;
	return aligned_alloc(align, (size + align - 1) / align * align);
}

void fake_clSVMFree(cl_context context, void *pointer)
{
	(void)context;
	free(pointer);
}

cl_sampler fake_clCreateSampler(cl_context context, cl_bool normalized,
				cl_addressing_mode addressing, cl_filter_mode filter, cl_int *error)
{
	cl_sampler s;
	cl_int rc;

	WITH_LOCK;
	rc = context_check(context);
	if (rc)
		return fail(error, rc);
	s = object_new(KIND_SAMPLER);
	if (!s)
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	s->context = context;
	s->normalized = normalized;
	s->addressing = addressing;
	s->filter = filter;
	object_use(context);
	fail(error, CL_SUCCESS);
	return s;
}

cl_sampler fake_clCreateSamplerWithProperties(cl_context context, const cl_sampler_properties *p,
					      cl_int *error)
{
	cl_bool normalized = CL_TRUE;
	cl_addressing_mode addressing = CL_ADDRESS_CLAMP;
	cl_filter_mode filter = CL_FILTER_NEAREST;

	for (; p && *p; p += 2) {
		if (*p == CL_SAMPLER_NORMALIZED_COORDS)
			normalized = (cl_bool)p[1];
		else if (*p == CL_SAMPLER_ADDRESSING_MODE)
			addressing = (cl_addressing_mode)p[1];
		else if (*p == CL_SAMPLER_FILTER_MODE)
			filter = (cl_filter_mode)p[1];
		else
			return fail(error, CL_INVALID_VALUE);
	}
	return fake_clCreateSampler(context, normalized, addressing, filter, error);
}

cl_int fake_clRetainSampler(cl_sampler sampler)
{
	return object_retain(sampler, KIND_SAMPLER, CL_INVALID_SAMPLER);
}

cl_int fake_clReleaseSampler(cl_sampler sampler)
{
	return object_release(sampler, KIND_SAMPLER, CL_INVALID_SAMPLER);
}

cl_int fake_clGetSamplerInfo(cl_sampler s, cl_sampler_info what, size_t room, void *to,
			     size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(s, KIND_SAMPLER))
		return CL_INVALID_SAMPLER;
	switch (what) {
	case CL_SAMPLER_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)s->o.refs);
	case CL_SAMPLER_CONTEXT:
		return answer_pointer(a, s->context);
	case CL_SAMPLER_NORMALIZED_COORDS:
		return answer_uint(a, s->normalized);
	case CL_SAMPLER_ADDRESSING_MODE:
		return answer_uint(a, s->addressing);
	case CL_SAMPLER_FILTER_MODE:
		return answer_uint(a, s->filter);
	default:
		return CL_INVALID_VALUE;
	}
}
