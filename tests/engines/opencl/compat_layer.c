/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL layer that makes Intel's runtime for CPUs a device that llama.cpp's OpenCL backend takes, so that the real
 * backend can be profiled on a machine without a GPU. It stands next to the driver; nothing that is measured passes
 * through it, only the questions of the start:
 *
 * - clGetDeviceInfo: the backend asks for "Intel" in the device's name, which a CPU of another maker does not have;
 * - clBuildProgram: the runtime's library lacks the half versions of built-ins that relaxed mathematics would call;
 * - clCreateProgramWithSource: softmax counts on sub-groups of 32 without asking for them, and set_rows on a compiler that
 *   lets float * pass for half *.
 *
 * It serves both loaders: ocl-icd calls clInitLayer, Khronos' may want clInitLayerWithProperties.
 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT	    __attribute__((visibility("default")))
#define NAME_PREFIX "Intel(R) "

static const cl_icd_dispatch *driver;
static cl_icd_dispatch ours;

/*
 * Softmax reduces over one sub-group of 32; the runtime would choose 16. A macro's name in its own text stays as it is.
 */
static const char prelude[] = "#pragma clang diagnostic ignored \"-Wincompatible-pointer-types\"\n"
			      "#define SIZE_32_ __attribute__((intel_reqd_sub_group_size(32)))\n"
			      "#define kernel_soft_max SIZE_32_ kernel_soft_max\n"
			      "#define kernel_soft_max_f16 SIZE_32_ kernel_soft_max_f16\n"
			      "#define kernel_soft_max_4 SIZE_32_ kernel_soft_max_4\n"
			      "#define kernel_soft_max_4_f16 SIZE_32_ kernel_soft_max_4_f16\n"
			      "#line 1\n";

static const char *const unwanted_options[] = {
	"-cl-fast-relaxed-math",
	"-cl-unsafe-math-optimizations",
	"-cl-finite-math-only",
};

static cl_int CL_API_CALL get_device_info(cl_device_id device, cl_device_info what, size_t size,
					  void *value, size_t *size_ret)
{
	const size_t prefix = sizeof(NAME_PREFIX) - 1;
	size_t length = 0;
	cl_int err;

	if (what != CL_DEVICE_NAME)
		return driver->clGetDeviceInfo(device, what, size, value, size_ret);
	err = driver->clGetDeviceInfo(device, what, 0, NULL, &length);
	if (err != CL_SUCCESS)
		return err;
	if (size_ret)
		*size_ret = prefix + length;
	if (!value)
		return CL_SUCCESS;
	if (size < prefix + length)
		return CL_INVALID_VALUE;
	memcpy(value, NAME_PREFIX, prefix);
	return driver->clGetDeviceInfo(device, what, length, (char *)value + prefix, NULL);
}

static cl_program CL_API_CALL create_program_with_source(cl_context context, cl_uint count,
							 const char **strings,
							 const size_t *lengths, cl_int *err)
{
	const char **all_strings = calloc(count + 1, sizeof(*all_strings));
	size_t *all_lengths = calloc(count + 1, sizeof(*all_lengths));
	cl_program program = NULL;

	if (!all_strings || !all_lengths) {
		if (err)
			*err = CL_OUT_OF_HOST_MEMORY;
	} else if (!count || !strings) {
		/* the driver says what is wrong */
		program = driver->clCreateProgramWithSource(context, count, strings, lengths, err);
	} else {
		all_strings[0] = prelude;
		memcpy(all_strings + 1, strings, count * sizeof(*strings));
		/* a length of 0: up to the string's end */
		if (lengths)
			memcpy(all_lengths + 1, lengths, count * sizeof(*lengths));
		program = driver->clCreateProgramWithSource(context, count + 1, all_strings,
							    all_lengths, err);
	}
	free(all_strings);
	free(all_lengths);
	return program;
}

static cl_int CL_API_CALL build_program(cl_program program, cl_uint num_devices,
					const cl_device_id *devices, const char *options,
					void(CL_CALLBACK *notify)(cl_program, void *), void *data)
{
	char *kept = strdup(options ? options : "");
	cl_int err;

	if (!kept)
		return CL_OUT_OF_HOST_MEMORY;
	for (size_t i = 0; i < sizeof(unwanted_options) / sizeof(unwanted_options[0]); i++) {
		const size_t length = strlen(unwanted_options[i]);

		for (char *at = kept; (at = strstr(at, unwanted_options[i]));)
			memset(at, ' ', length);
	}
	err = driver->clBuildProgram(program, num_devices, devices, kept, notify, data);
	free(kept);
	return err;
}

EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t size, void *value,
					 size_t *size_ret)
{
	static const char name[] = "lmmeter test compat";
	static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
	const void *from = what == CL_LAYER_NAME ? (const void *)name : &version;
	const size_t length = what == CL_LAYER_NAME ? sizeof(name) : sizeof(version);

	if (what != CL_LAYER_NAME && what != CL_LAYER_API_VERSION)
		return CL_INVALID_VALUE;
	if (value && size < length)
		return CL_INVALID_VALUE;
	if (value)
		memcpy(value, from, length);
	if (size_ret)
		*size_ret = length;
	return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clInitLayer(cl_uint num_entries, const cl_icd_dispatch *target,
				      cl_uint *num_entries_ret,
				      const cl_icd_dispatch **dispatch_ret)
{
	if (!target || !num_entries_ret || !dispatch_ret)
		return CL_INVALID_VALUE;
	/* all that is used is of OpenCL 1.0; what is left empty goes straight to the target */
	if (num_entries * sizeof(void *) <= offsetof(cl_icd_dispatch, clBuildProgram))
		return CL_INVALID_VALUE;
	driver = target;
	ours.clGetDeviceInfo = get_device_info;
	ours.clCreateProgramWithSource = create_program_with_source;
	ours.clBuildProgram = build_program;
	*num_entries_ret = sizeof(ours) / sizeof(void *);
	*dispatch_ret = &ours;
	return CL_SUCCESS;
}

/* Younger headers have these two; the properties are a list that ends with 0, and none is known. */
EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint num_entries,
						    const cl_icd_dispatch *target,
						    cl_uint *num_entries_ret,
						    const cl_icd_dispatch **dispatch_ret,
						    const void *properties);
EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint num_entries,
						    const cl_icd_dispatch *target,
						    cl_uint *num_entries_ret,
						    const cl_icd_dispatch **dispatch_ret,
						    const void *properties)
{
	(void)properties;
	return clInitLayer(num_entries, target, num_entries_ret, dispatch_ret);
}

EXPORT cl_int CL_API_CALL clDeinitLayer(void);
EXPORT cl_int CL_API_CALL clDeinitLayer(void)
{
	return CL_SUCCESS;
}
